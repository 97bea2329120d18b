"""What happened to a job, as one HTML page: made from what lies in OUT, during the job, after it, or after it died."""

from __future__ import annotations

import sys
from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import Any, TypeVar

from gridstride.pipeline.errors import JobFailed, UsageError, first_line
from gridstride.pipeline.reports import page as html
from gridstride.pipeline.storage.paths import Place, durable_write

T = TypeVar("T")


def check_report(file: str | Path) -> Path:
    """The path of a report to be written. Raises UsageError for a file that is there and is none of our reports."""
    path = Path(file)
    try:
        with path.open("rb") as there:
            ours = html.GENERATOR.encode() in there.read(1000)
    except OSError:
        ours = False
    if path.is_file() and not ours:
        raise UsageError(f"{path} exists and is no report of gridstride: give another name")
    from gridstride.pipeline.pictures.files import check_file

    return check_file(path, ours, (".html", ".htm"))


def reported(run: Callable[..., T]) -> Callable[..., T]:
    """A function that runs a job, and then writes the report that its options ask for, however the job ends."""

    @wraps(run)
    def run_and_report(prepared: Any, client: Any = None) -> T:
        file = prepared.options.report
        if file is None:
            return run(prepared, client)
        path = check_report(file)
        try:
            summary = run(prepared, client)
        except UsageError:  # nothing was begun
            raise
        except BaseException:
            try:
                write_report(prepared.out, path)
            except Exception as error:  # how the job ended is the news
                print(f"gridstride: {path} was not written: {first_line(error)}", file=sys.stderr)
            raise
        try:
            write_report(prepared.out, path)
        except UsageError as error:
            raise JobFailed(f"the job is done, but not its report: {error}") from error
        return summary

    return run_and_report


def write_report(out: str | Place, file: str | Path) -> Path:
    """Write the report about the job at `out` into an HTML file. Raises UsageError if either cannot be."""
    path = check_report(file)
    from gridstride.pipeline.reports.sections import Story

    content = Story(out).page()
    try:
        durable_write(path, content.encode())
    except OSError as error:
        raise UsageError(f"{path} cannot be written: {first_line(error)}") from error
    return path
