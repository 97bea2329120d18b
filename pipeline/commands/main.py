"""The commands: parse, call, print. Nothing heavy is imported before a command runs (`--help` answers at once, and
spawned workers import this module before their environment is set)."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

import click

from gridstride import __version__
from gridstride.pipeline.commands import cluster as cluster_cli
from gridstride.pipeline.commands import report as report_cli
from gridstride.pipeline.commands.shared import FIELD, JOB_OPTIONS, RUN_OPTIONS, TOLD_OPTIONS, Numbers, Shape


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.version_option(__version__, prog_name="gridstride")
def main() -> None:
    """Stencil work on Zarr arrays larger than memory: exact, resumable, on every GPU or CPU there is."""


def _guard(command: Callable[..., Any]) -> Callable[..., Any]:
    """One line and an exit code for what goes wrong; the traceback with --debug."""
    from functools import wraps

    def again(kwargs: dict[str, Any]) -> str:
        return f"; go on with: gridstride resume {kwargs['out']}" if kwargs.get("out") else ""

    def end(text: str, code: int, kwargs: dict[str, Any], hint: str = "") -> None:
        if kwargs.get("log_json"):
            from gridstride.pipeline.events.events import Events

            Events(as_json=True).say("exit", text, "error", code=code)
        else:
            click.echo(f"gridstride: {text}{hint}", err=True)
        sys.exit(code)

    @wraps(command)
    def run(*args: Any, **kwargs: Any) -> Any:
        debug = bool(kwargs.get("debug"))
        try:
            return command(*args, **kwargs)
        except KeyboardInterrupt:
            end(f"stopped{again(kwargs)}", 130, kwargs)
        except (click.exceptions.Exit, click.ClickException, SystemExit):
            raise
        except Exception as error:
            if debug:
                raise
            code = getattr(error, "exit_code", 1)
            text = " ".join(str(error).split()) or type(error).__name__
            kind = "" if hasattr(error, "exit_code") else f"{type(error).__name__}: "
            hint = "" if hasattr(error, "exit_code") else " (--debug shows where)"
            text += again(kwargs) if type(error).__name__ == "ClusterGone" else ""
            end(kind + text, code, kwargs, hint)

    return run


def _options(values: dict[str, Any]) -> tuple[dict[str, Any], Any]:
    """Split a command's values into the job's parameters and `RunOptions`."""
    from gridstride.pipeline.options import RunOptions

    names = RunOptions.__dataclass_fields__
    options = {name: values.pop(name) for name in list(values) if name in names}
    return values, RunOptions(**options)


def _run(prepared: Any, dry_run: bool = False) -> None:
    """Show the plan, run the job, show what it did."""
    from rich.console import Console

    from gridstride.pipeline import job as jobs
    from gridstride.pipeline.reports.progress import job_facts, operator_name, plan_table, shape_text, summary_table

    options, plan = prepared.options, prepared.plan
    console = Console(stderr=not dry_run)
    if dry_run:
        console.print(plan_table(job_facts(prepared)))
        return
    if options.watched:
        device, size = prepared.reason, prepared.size
        click.echo(f"device: {device}; workers: {size.workers}, threads each: {size.threads}", err=True)
        shape, algorithm = shape_text(plan.block), operator_name(prepared.job.operator)
        click.echo(f"plan: {plan.blocks} blocks of up to {shape}, batches: {plan.batches}, {algorithm}", err=True)
    summary = jobs.run(prepared)
    if options.watched and summary.computed:
        console.print(summary_table(summary.stages, summary.idle, summary.seconds))
    click.echo(
        f"{summary.out}: {summary.computed} blocks computed, {summary.skipped} done before, {summary.retried} retried, "
        f"{len(summary.failed)} failed"
        + (
            f"; {summary.seconds:.2f} s, {summary.voxels_per_second / 1e6:.1f} Mvoxel/s, "
            f"{summary.bytes_in / summary.seconds / 1e9:.3f} GB/s in, "
            f"{summary.bytes_out / summary.seconds / 1e9:.3f} GB/s out"
            if summary.computed
            else ""
        )
    )
    for line in summary.failures() if not options.log_json else ():
        click.echo(line, err=True)
    summary.raise_if_failed()


def _convolution(name: str, what: str) -> None:
    @main.command(name, help=what)
    @click.argument("input", metavar="IN")
    @click.argument("out", metavar="OUT")
    @click.option(
        "--kernel",
        required=True,
        metavar="K",
        help="A .npy file, or box, gaussian, sharpen, laplace, sobel-x, sobel-y, sobel-z, identity.",
    )
    @click.option("--size", type=int, default=3, show_default=True, help="Of kernel box.")
    @click.option("--sigma", type=float, default=1.0, show_default=True, help="Of kernel gaussian.")
    @click.option("--origin", type=Numbers(int), default=0, help="Shift of the kernel, one or one per filtered axis.")
    @click.option("--channels", metavar="AXIS", help="Sum over this axis; K is (outputs, channels, ...).")
    @click.option("--bias", metavar="FILE", help=".npy file with a number for each output channel.")
    @click.option(
        "--algorithm",
        type=click.Choice(["auto", "direct", "separable", "fft"]),
        default="auto",
        show_default=True,
    )
    @JOB_OPTIONS
    @_guard
    def command(input: str, out: str, kernel: str, dry_run: bool, **values: Any) -> None:
        from gridstride.pipeline import images

        parameters, options = _options(values)
        _run(images.prepare_convolution(name, input, out, kernel, options=options, **parameters), dry_run)


_convolution("convolve", "Convolve IN with kernel K into OUT, as scipy.ndimage.convolve.")
_convolution("correlate", "Correlate IN with kernel K into OUT, as scipy.ndimage.correlate.")


@main.group("filter")
def filters() -> None:
    """Filters of scipy.ndimage."""


@filters.command("gaussian")
@click.argument("input", metavar="IN")
@click.argument("out", metavar="OUT")
@click.option("--sigma", type=Numbers(float), required=True, help="In elements, one or one per filtered axis.")
@click.option("--order", type=Numbers(int), default=0, help="Order of derivative, one or one per filtered axis.")
@click.option("--truncate", type=float, default=4.0, show_default=True, help="Cut the Gaussian at this many sigma.")
@JOB_OPTIONS
@_guard
def gaussian(input: str, out: str, dry_run: bool, **values: Any) -> None:
    """Smooth IN into OUT with a Gaussian."""
    from gridstride.pipeline import images

    parameters, options = _options(values)
    _run(images.prepare_filter("gaussian", input, out, options=options, **parameters), dry_run)


@filters.command("uniform")
@click.argument("input", metavar="IN")
@click.argument("out", metavar="OUT")
@click.option("--size", type=Numbers(int), default=3, show_default=True, help="One or one per filtered axis.")
@click.option("--origin", type=Numbers(int), default=0, help="Shift, one or one per filtered axis.")
@JOB_OPTIONS
@_guard
def uniform(input: str, out: str, dry_run: bool, **values: Any) -> None:
    """Mean of IN over a box, into OUT."""
    from gridstride.pipeline import images

    parameters, options = _options(values)
    _run(images.prepare_filter("uniform", input, out, options=options, **parameters), dry_run)


@main.command("simulate")
@click.argument("case", metavar="CASE")
@click.argument("out", metavar="OUT")
@click.option("--set", "overrides", multiple=True, metavar="KEY=VALUE", help="Override a field: fluid.mach=0.05.")
@click.option("--blocks", type=click.IntRange(1), help="Slabs in memory; as many as pay by default.")
@click.option("--from-store", is_flag=True, help="Keep the state in stores even if it fits the memory.")
@click.option("--block", type=Shape(), metavar="Z,Y,X", help="Block shape where the state goes from store to store.")
@click.option("--overwrite", is_flag=True, help="Delete what is at OUT first.")
@click.option("--dry-run", is_flag=True, help="Print the plan and stop.")
@TOLD_OPTIONS
@RUN_OPTIONS
@_guard
def simulate(case: str, out: str, overrides: tuple[str, ...], dry_run: bool, **values: Any) -> None:
    """Run the Navier-Stokes simulation that the file CASE describes, into OUT (see examples/cases)."""
    from gridstride.pipeline.simulations import simulation
    from gridstride.pipeline.simulations.case import load_case

    how, options = _options(values)
    _simulate(simulation.prepare(load_case(case, overrides), out, options, **how), dry_run)


def _simulate(prepared: Any, dry_run: bool = False) -> None:
    """Show the plan, run the simulation, show what it did."""
    from rich.console import Console

    from gridstride.pipeline.reports import simulations as flow_report

    console = Console(stderr=not dry_run, width=None if sys.stdout.isatty() else 120)
    if dry_run:
        console.print(flow_report.plan_table(prepared))
        return
    if prepared.options.watched:
        for line in flow_report.plan_lines(prepared):
            click.echo(line, err=True)
    summary = flow_report.run_shown(prepared)
    if prepared.options.watched and summary.stages:
        console.print(flow_report.stage_table(summary))
    click.echo(flow_report.summary_line(prepared, summary))


@main.command("resume")
@click.argument("out", metavar="OUT")
@TOLD_OPTIONS
@RUN_OPTIONS
@_guard
def resume(out: str, **values: Any) -> None:
    """Go on with the unfinished job or simulation that writes OUT."""
    from gridstride.pipeline import job as jobs
    from gridstride.pipeline.simulations import simulation

    options = _options(values)[1]
    if simulation.is_simulation(out):
        _simulate(simulation.resume(out, options))
    else:
        _run(jobs.resume(out, options))


cluster_cli.register(main, RUN_OPTIONS, _guard, _options)


@main.command("info")
@click.argument("store")
@click.option("--array", metavar="NAME", help="Which array, where the store is a group.")
@click.option("--debug", is_flag=True, hidden=True)
@_guard
def info(store: str, array: str | None, debug: bool) -> None:
    """Describe a Zarr array, and the job that wrote it."""
    from rich.console import Console

    from gridstride.pipeline.reports.info import info_table

    Console(width=None if sys.stdout.isatty() else 120).print(info_table(store, array))


@main.command("preview")
@click.argument("store")
@click.argument("png")
@click.option("--array", metavar="NAME", help="Which array, where the store is a group.")
@click.option("--compare", metavar="STORE", help="Draw this one beside it.")
@click.option("--compare-array", metavar="NAME", help="Which array of it, where it is a group.")
@click.option("--axis", help="The axis projected, or cut with --index; the third from last by default.")
@click.option("--index", type=int, help="One slice, instead of the maximum along the axis.")
@click.option("--select", multiple=True, metavar="AXIS=N", help="Which element of another axis, such as c=1.")
@click.option("--field", type=FIELD, help="Of a simulation: what to draw; speed by default.")
@click.option("--time", type=float, help="Of a simulation: the snapshot nearest to it; the last by default.")
@click.option("--limits", type=Numbers(float), metavar="LOW,HIGH", help="Of a simulation: ends of the colour scale.")
@click.option("--overwrite", is_flag=True, help="Replace PNG if it exists.")
@click.option("--debug", is_flag=True, hidden=True)
@_guard
def preview(store: str, png: str, debug: bool, **values: Any) -> None:
    """Draw STORE as the picture PNG: a maximum projection, or a slice; of a simulation, a field on a plane."""
    from gridstride.pipeline.pictures.arrays import preview as draw

    click.echo(f"wrote {draw(store, png, **values)}")


@main.command("movie")
@click.argument("store", metavar="OUT")
@click.argument("file")
@click.option("--field", type=FIELD, default="speed", show_default=True, help="What to film.")
@click.option("--axis", help="In three dimensions: the axis cut; z by default.")
@click.option("--index", type=int, help="In three dimensions: where it is cut, in cells; the middle by default.")
@click.option("--limits", type=Numbers(float), metavar="LOW,HIGH", help="Ends of the colour scale.")
@click.option("--fps", type=float, default=15.0, show_default=True, help="Frames a second.")
@click.option("--every", type=int, default=1, show_default=True, metavar="N", help="Film one snapshot in N.")
@click.option("--size", type=int, default=800, show_default=True, help="Longer side of the picture, in pixels.")
@click.option("--overwrite", is_flag=True, help="Replace FILE if it exists.")
@click.option("--quiet", is_flag=True, help="No progress.")
@click.option("--debug", is_flag=True, hidden=True)
@_guard
def movie(store: str, file: str, debug: bool, **values: Any) -> None:
    """Film the simulation OUT into FILE, an .mp4 or .gif: one frame for each snapshot written so far."""
    from gridstride.pipeline.pictures.movie import movie as film

    made = film(store, file, **values)
    more = f" (snapshots not written yet: {made.missing})" if made.missing else ""
    click.echo(f"wrote {made.path}: {made.frames} frames{more}")


@main.command("plot")
@click.argument("store", metavar="OUT")
@click.argument("png")
@click.option("--overwrite", is_flag=True, help="Replace PNG if it exists.")
@click.option("--debug", is_flag=True, hidden=True)
@_guard
def plot(store: str, png: str, debug: bool, overwrite: bool) -> None:
    """Draw the diagnostics of the simulation OUT against time as the picture PNG."""
    from gridstride.pipeline.pictures.plots import plot as draw

    click.echo(f"wrote {draw(store, png, overwrite=overwrite)}")


report_cli.register(main, _guard)


if __name__ == "__main__":
    main()
