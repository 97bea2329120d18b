"""The report of a job, one HTML page: written during the job, at its end, or after it died, from the files in OUT."""

from __future__ import annotations

import sys
from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import Any, TypeVar

from gridstride.pipeline.errors import JobFailed, UsageError, first_line
from gridstride.pipeline.storage.paths import StorePath, at_home, durable_write

T = TypeVar("T")
GENERATOR = "gridstride report"  # marks our own files, which a new report may replace


def check_report(file: str | Path) -> Path:
    """The path of a report to be written. Raises UsageError if the file exists and is not one of our reports."""
    from gridstride.pipeline.pictures.canvas import check_file

    path = at_home(file)
    try:
        with path.open("rb") as there:
            ours = f'content="{GENERATOR}"'.encode() in there.read(1000)
    except OSError:
        ours = False
    if path.is_file() and not ours:
        raise UsageError(f"{path} exists and is not a gridstride report: choose another name")
    return check_file(path, ours, (".html", ".htm"))


def with_report(run: Callable[[], T], out: str | StorePath, file: str | Path | None) -> T:
    """Run a job that writes `out`, then write its report into `file` (None: no report), however the job ended.

    Raises UsageError, before the job starts, if the file cannot be a report.
    """
    if file is None:
        return run()
    path = check_report(file)
    try:
        summary = run()
    except UsageError:  # the job did not start
        raise
    except BaseException:
        try:
            write_report(out, path)
        except Exception as error:  # the job's own error matters more
            print(f"gridstride: {path} was not written: {first_line(error)}", file=sys.stderr)
        raise
    try:
        write_report(out, path)
    except UsageError as error:
        raise JobFailed(f"the job is done, but its report was not written: {error}") from error
    return summary


def reported(run: Callable[..., T]) -> Callable[..., T]:
    """Decorates a function that runs a prepared job: `with_report`, with the job's own output and options."""

    @wraps(run)
    def run_and_report(prepared: Any, client: Any = None) -> T:
        return with_report(lambda: run(prepared, client), prepared.out, prepared.options.report)

    return run_and_report


def write_report(out: str | StorePath, file: str | Path) -> Path:
    """Write the report of the job at `out` into an HTML file. Raises UsageError if there is no job, or no such file."""
    from gridstride.pipeline.reports.history import History
    from gridstride.pipeline.reports.page import render

    path = check_report(file)
    content = render(History(out), GENERATOR)
    try:
        durable_write(path, content.encode())
    except OSError as error:
        raise UsageError(f"{path} cannot be written: {first_line(error)}") from error
    return path
