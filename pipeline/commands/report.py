"""The commands status and report, which show how a job went. `main` registers them."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

import click


def register(main: click.Group, guard: Callable[[Any], Any]) -> None:
    """Add the commands to `main`."""

    @main.command("status")
    @click.argument("out", metavar="OUT")
    @click.option("--json", "as_json", is_flag=True, help="Print JSON.")
    @click.option("--debug", is_flag=True, hidden=True)
    @guard
    def status(out: str, as_json: bool, debug: bool) -> None:
        """Show the progress of the job or simulation that writes OUT, running or not. Changes nothing."""
        from gridstride.pipeline.reports import status as looking

        found = looking.status(out)
        if as_json:
            import json

            click.echo(json.dumps(found.plain(), indent=1))
            return
        from rich.console import Console

        click.echo(looking.title(found))
        Console(width=None if sys.stdout.isatty() else 120).print(looking.table(found))

    @main.command("report")
    @click.argument("out", metavar="OUT")
    @click.argument("file", metavar="HTML")
    @click.option("--debug", is_flag=True, hidden=True)
    @guard
    def report(out: str, file: str, debug: bool) -> None:
        """Write an HTML page about the job or simulation that writes OUT: plan, times, faults, pictures."""
        from gridstride.pipeline.reports.report import write_report

        click.echo(f"wrote {write_report(out, file)}")
