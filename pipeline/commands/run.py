"""The command `gridstride run`: the operators of a pipeline file as one job."""

from __future__ import annotations

from typing import Any

import click

from gridstride.pipeline.commands.shared import JOB_OPTIONS, guard, split_options


@click.command("run")
@click.argument("pipeline", metavar="PIPELINE")
@click.argument("input", metavar="IN")
@click.argument("out", metavar="OUT")
@click.option(
    "--set", "settings", multiple=True, metavar="STEP.OPTION=VALUE",
    help="Change an option of a step, by the step's name, operator or number: median.size=5.",
)  # fmt: skip
@JOB_OPTIONS
@guard
def run(pipeline: str, input: str, out: str, settings: tuple[str, ...], dry_run: bool, **values: Any) -> None:
    """Apply the operators that the YAML file PIPELINE lists, as one job.

    \b
    A pipeline is a list of steps, each an operator with its options:
      - median: {size: 3}
      - gaussian: {sigma: [1, 2, 2], mode: mirror}
      - threshold: {method: otsu}
    A step may have a name, and the names of its inputs (docs/pipelines.md).
    Example: gridstride run nuclei.yaml cells.zarr mask.zarr --set median.size=5
    """
    from gridstride.pipeline import api
    from gridstride.pipeline.commands.filter import run_job
    from gridstride.pipeline.pipelines.file import load_pipeline

    terms, options = split_options(values)
    given = {field: value for field, value in terms.items() if value is not None}
    run_job(api.prepare(load_pipeline(pipeline, settings), input, out, options=options, **given), dry_run)
