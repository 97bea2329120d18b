"""The commands that run a simulation, and that go on with a job or a simulation."""

from __future__ import annotations

import sys
from typing import Any

import click

from gridstride.pipeline.commands.shared import RUN_OPTIONS, TOLD_OPTIONS, Shape, guard, split_options


@click.command("simulate")
@click.argument("case", metavar="CASE")
@click.argument("out", metavar="OUT")
@click.option("--set", "overrides", multiple=True, metavar="KEY=VALUE", help="Override a field: fluid.mach=0.05.")
@click.option("--blocks", type=click.IntRange(1), help="Number of slabs in memory (default: the planner's choice).")
@click.option("--from-store", is_flag=True, help="Keep the state in stores even if it fits the memory.")
@click.option("--block", type=Shape(), metavar="Z,Y,X", help="Block shape where the state goes from store to store.")
@click.option("--overwrite", is_flag=True, help="Delete what is at OUT first.")
@click.option("--dry-run", is_flag=True, help="Print the plan and stop.")
@TOLD_OPTIONS
@RUN_OPTIONS
@guard
def simulate(case: str, out: str, overrides: tuple[str, ...], dry_run: bool, **values: Any) -> None:
    """Run the simulation that the file CASE describes, into OUT (see examples/cases)."""
    from gridstride.pipeline.simulations import simulation
    from gridstride.pipeline.simulations.case import load_case

    how, options = split_options(values)
    _simulate(simulation.prepare(load_case(case, overrides), out, options, **how), dry_run)


def _simulate(prepared: Any, dry_run: bool = False) -> None:
    """Show the plan, run the simulation, show what it did."""
    from rich.console import Console

    from gridstride.pipeline.reports import simulations as flow_report
    from gridstride.pipeline.reports.progress import plan_table, summary_table

    console = Console(stderr=not dry_run, width=None if sys.stdout.isatty() else 120)
    if dry_run:
        console.print(plan_table(flow_report.plan_facts(prepared)))
    _warn(prepared, prepared.warnings)
    if dry_run:
        return
    if prepared.options.watched:
        for line in flow_report.plan_lines(prepared):
            click.echo(line, err=True)
    summary = flow_report.run_shown(prepared)
    if prepared.options.watched and summary.stages:
        console.print(summary_table(summary.stages, summary.idle, summary.seconds))
    click.echo(flow_report.summary_line(prepared, summary))
    _warn(prepared, summary.warnings[len(prepared.warnings) :])


def _warn(prepared: Any, lines: list[str]) -> None:
    if not prepared.options.log_json:  # the log has them
        for line in lines:
            click.echo(f"warning: {line}", err=True)


@click.command("resume")
@click.argument("out", metavar="OUT")
@click.option("--until", type=float, metavar="T", help="Make a simulation longer, finished or not: run.until.")
@click.option("--code", multiple=True, metavar="FILE", help="The program of your own that the job runs (apply).")
@TOLD_OPTIONS
@RUN_OPTIONS
@guard
def resume(out: str, until: float | None, code: tuple[str, ...], **values: Any) -> None:
    """Go on with the unfinished job or simulation that writes OUT, or with a simulation beyond its end."""
    from gridstride.pipeline import api
    from gridstride.pipeline.commands.filter import run_job

    prepared = api.prepare_resume(out, split_options(values)[1], until, code)
    if isinstance(prepared, api.Job):
        run_job(prepared)
    else:
        _simulate(prepared)
