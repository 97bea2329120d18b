"""The command `gridstride filter NAME`, one for each operator of the registry, made from its recipe's fields."""

from __future__ import annotations

import difflib
import inspect
import sys
from typing import Any

import click

from gridstride.pipeline.commands.shared import guard, job_parameters, print_table, split_options
from gridstride.workers.operators.listing import names, summary


class Filters(click.Group):
    """Lists the operators by the names of their files, and imports one only when it is used."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(names())

    def get_command(self, ctx: click.Context, name: str) -> click.Command | None:
        if name in names():
            return filter_command(name)
        near = difflib.get_close_matches(name, names(), n=1)
        ctx.fail(f"there is no operator {name!r}{f': did you mean {near[0]!r}?' if near else ''}")

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Operators"):
            formatter.write_dl([(name, summary(name)) for name in names()])


EXAMPLES = """\b
More, where the files are those of gridstride's examples/kernels, as contrast.py is:
  gridstride apply bilateral.cu cells.zarr out.zarr --halo 3 --axes y,x --param range=500
  gridstride apply fisher.py:step seed.zarr out.zarr --halo 1 --iterations 200 --mode nearest
  gridstride apply contrast.py:local_contrast cells.zarr out.zarr --halo 3 --check
"""
CHECK = "Check it on parts of IN instead, a CUDA kernel under sanitizers; OUT is not written."


@click.group("filter", cls=Filters)
def filters() -> None:
    """Apply an operator to an array: gaussian, median, sobel, ..."""


def filter_command(name: str, first: str = "") -> click.Command:
    """The command of an operator. first: a field that is an argument, before IN and OUT"""
    from gridstride.pipeline.commands.fields import options_of
    from gridstride.workers.operators import registry

    recipe = registry.find(name)

    @guard
    def run(input: str, out: str, dry_run: bool, **values: Any) -> None:
        from gridstride.pipeline import api

        checked = values.pop("check", False)
        terms, options = split_options(values, recipe.model_fields)
        given = {field: value for field, value in terms.items() if value is not None}
        if checked:
            plain = type(options)(quiet=options.quiet, debug=options.debug)
            ignored = [field for field in api.LAYOUT[1:] if given.pop(field, None) is not None]
            ignored += [field for field, value in options if value != getattr(plain, field)]
            if ignored:
                named = ", ".join(f"--{field.replace('_', '-')}" for field in ignored)
                click.echo(f"note: --check has no use for {named}", err=True)
            return run_checks(input, given)
        run_job(api.prepare(name, input, out, options=options, **given), dry_run)

    arguments = [click.Argument(["input"], metavar="IN"), click.Argument(["out"], metavar="OUT")]
    if first:
        arguments.insert(0, click.Argument([first], metavar="FILE[:NAME]"))
    fields: list[click.Parameter] = [option for option in options_of(recipe) if option.name != first]
    if name == "apply":
        fields.append(click.Option(["--check"], is_flag=True, help=CHECK))
    text, _, example = (inspect.getdoc(recipe) or "").partition("Example: ")
    if example:  # on a line of its own, to be copied
        text += f"\n\n\b\nExample:\n  {' '.join(example.split())}"
    params = [*arguments, *fields, *job_parameters(recipe.model_fields)]
    return click.Command(name, params=params, callback=run, help=text, epilog=EXAMPLES if first else None)


def run_checks(input: str, terms: dict[str, Any]) -> None:
    """Check a program of the user's, a line for each check, and then what was found."""
    from gridstride.pipeline.errors import JobFailed
    from gridstride.pipeline.kernel_check import check_kernel

    complaints = []
    for found in check_kernel(terms.pop("file"), input, terms, terms.pop("array", None)):
        click.echo(f"{'FAULT' if found.complaint else 'ok':5}  {found.check}")
        complaints += [found.complaint] if found.complaint else []
    for line in complaints[:-1]:
        click.echo(f"gridstride: {line}", err=True)
    if complaints:
        raise JobFailed(complaints[-1])


class Alias(click.Command):
    """A command at the top level that is one of the filters: `gridstride convolve`. It is made when it is used.

    first: a field that is an argument, before IN and OUT
    """

    def __init__(self, name: str, first: str = "") -> None:
        super().__init__(name, help=summary(name), short_help=summary(name))
        self.first = first

    def make_context(self, info_name: str | None, args: list[str], parent: Any = None, **extra: Any) -> click.Context:
        return filter_command(str(self.name), self.first).make_context(info_name, args, parent, **extra)


def run_job(job: Any, dry_run: bool = False) -> None:
    """Show the plan, run the job, show what it did."""
    from gridstride.pipeline import api
    from gridstride.pipeline.reports.progress import job_facts, plan_table, summary_table
    from gridstride.pipeline.text import counted, shape_text

    options, plan, environment = job.options, job.plan, job.environment
    if dry_run:
        print_table(plan_table(job_facts(job)))
        return
    if options.watched:
        size = environment.size
        workers, threads = counted(size.workers, "worker"), counted(size.threads, "thread")
        click.echo(f"device: {environment.reason}; {workers}, {threads} each", err=True)
        shape, algorithm = shape_text(plan.block), job.operator.describe()
        blocks, batches = counted(plan.blocks, "block"), counted(plan.batches, "batch", "batches")
        axes = f"; {job.axes}" if job.axes else ""
        click.echo(f"plan: {blocks} of up to {shape}, {batches}, {algorithm}{axes}", err=True)
    summary = api.run(job)
    if options.watched and summary.computed:
        print_table(summary_table(summary.stages, summary.idle, summary.seconds), err=True)
    click.echo(summary_line(summary))
    for line in summary.groups:
        click.echo(line)
    for note in summary.notes:
        click.echo(f"note: {note}")
    for line in summary.failures() if not options.log_json else ():
        click.echo(line, err=True)
    summary.raise_if_failed()
    sys.stdout.flush()


def summary_line(summary: Any) -> str:
    """What a job did, in one line."""
    counts = f"{summary.computed} blocks computed, {summary.skipped} skipped (already done), {summary.retried} retried"
    line = f"{summary.out}: {counts}, {len(summary.failed)} failed"
    axes = f"; {summary.axes}" if summary.axes else ""
    if not summary.computed:
        return line + axes
    rates = (summary.voxels / 1e6, summary.bytes_in / 1e9, summary.bytes_out / 1e9)
    mega, read, written = (rate / summary.seconds for rate in rates)
    return f"{line}; {summary.seconds:.2f} s, {mega:.1f} Mvoxel/s, {read:.3f} GB/s in, {written:.3f} GB/s out{axes}"
