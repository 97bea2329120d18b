"""What commands share: kinds of values, options, and how a command ends. Imports nothing heavy."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Callable, Collection, Sequence
from typing import Any

import click

from gridstride.pipeline.text import one_line, shown


class Number(click.ParamType):
    """A number; a whole one is not rounded."""

    name = "number"

    def convert(self, value: Any, param: Any, ctx: Any) -> float | int:
        try:
            return int(value) if str(value).strip().lstrip("+-").isdecimal() else float(value)
        except ValueError:
            self.fail(f"{shown(value)} is not a number", param, ctx)


PIPED = 400  # columns of a table that is not for a terminal


class Numbers(click.ParamType):
    """One number or several, with commas: 2 or 1,2,2."""

    name = "numbers"

    def __init__(self, kind: type) -> None:
        self.kind = kind

    def convert(self, value: Any, param: Any, ctx: Any) -> Any:
        if not isinstance(value, str):
            return value
        try:
            numbers = [self.kind(part) for part in value.split(",")]
        except ValueError:
            what = "whole numbers" if self.kind is int else "numbers"
            self.fail(f"{shown(value)}: expected {what} with commas between them, such as 1,2,2", param, ctx)
        return numbers[0] if len(numbers) == 1 else numbers


class Shape(Numbers):
    """Several whole numbers: 64,256,256."""

    def __init__(self) -> None:
        super().__init__(int)

    def convert(self, value: Any, param: Any, ctx: Any) -> Any:
        value = super().convert(value, param, ctx)
        return tuple(value) if isinstance(value, list) else value if isinstance(value, tuple) else (value,)


class Size(click.ParamType):
    name = "size"

    def convert(self, value: Any, param: Any, ctx: Any) -> int:
        from gridstride.workers.sizes import parse_size

        try:
            return parse_size(value)
        except ValueError as error:
            self.fail(str(error), param, ctx)


def words(_ctx: Any, _param: Any, value: str | None) -> Any:
    if value is None or "," not in value:
        return value
    return [part.strip() for part in value.split(",")]


Decorator = Callable[[Any], Any]
BESIDE = "job "  # before the name of an option of jobs that an operator's field has too


def _apply(options: Sequence[Callable[[Any], Any]]) -> Callable[[Any], Any]:
    def decorate(command: Any) -> Any:
        for option in reversed(options):
            command = option(command)
        return command

    return decorate


PLACE_OPTIONS = _apply(
    [
        click.option("--device", type=click.Choice(["auto", "gpu", "cpu"]), default="auto", show_default=True),
        click.option("--cluster", metavar="FILE", help="Cluster file (see cluster.yaml)."),
        click.option("--workers", type=click.IntRange(1), help="Number of worker processes."),
        click.option("--memory", type=Size(), help="Host memory for all processes together, such as 2GB."),
    ]
)
MISSING_OPTION = click.option(
    "--missing",
    type=click.Choice(["fill", "error"]),
    default="fill",
    show_default=True,
    help="Absent chunks of an input: the fill value, which is said, or an error.",
)
QUIET_OPTIONS = _apply(
    [
        click.option("--quiet", is_flag=True, help="No progress, no plan."),
        click.option("--debug", is_flag=True, help="Tracebacks and Dask's own log."),
    ]
)
RUN_OPTIONS = _apply(
    [
        PLACE_OPTIONS,
        click.option(
            "--halos",
            type=click.Choice(["auto", "exchange", "read", "neighbours", "store"]),
            default="auto",
            metavar="[auto|exchange|read]",
            help="Where blocks get their halos: from their neighbours (map_overlap), or each task reads its own.",
        ),
        MISSING_OPTION,
        click.option("--ignore-disk", is_flag=True, help="Start even if the uncompressed result has no room."),
        QUIET_OPTIONS,
    ]
)
INPUT_OPTIONS = _apply(
    [
        click.option("--array", metavar="NAME", help="Which array, where the input is a group."),
        click.option(
            "--nodata",
            metavar="VALUE|nan|auto|none",
            help="What stands for no data: such elements are left out. auto: what the array declares.",
        ),
    ]
)
TOLD_OPTIONS = _apply(
    [
        click.option("--log-json", is_flag=True, help="Events as JSON lines on stderr, nothing else there."),
        click.option("--log", "--log-file", "log", metavar="FILE", help="Events as JSON lines into this file too."),
        click.option("--report", metavar="HTML", help="Write a page about the run, with charts and pictures."),
    ]
)
JOB_OPTIONS = _apply(
    [
        INPUT_OPTIONS,
        click.option("--block", type=Shape(), metavar="Z,Y,X", help="Block shape (default: the largest that fits)."),
        click.option("--chunks", type=Shape(), metavar="Z,Y,X", help="Chunks of the result (default: the input's)."),
        click.option("--shards", type=Shape(), metavar="Z,Y,X", help="Shards of the result (default: the input's)."),
        click.option("--codec", metavar="NAME[:LEVEL]", help="lz4 (default), zstd, blosc-zstd, gzip or none."),
        click.option("--force-labels", is_flag=True, help="Filter labels as if their numbers were measurements."),
        click.option("--overwrite", is_flag=True, help="Delete what is at OUT first."),
        click.option("--dry-run", is_flag=True, help="Print the plan and stop."),
        TOLD_OPTIONS,
        RUN_OPTIONS,
    ]
)


def print_table(table: Any, err: bool = False) -> None:
    """Print a table of rich, whose lines are not broken where they go to a file or a pipe."""
    from rich.console import Console

    stream = sys.stderr if err else sys.stdout
    Console(stderr=err, width=None if stream.isatty() else PIPED).print(table)


def job_parameters(own: Collection[str] = ()) -> list[click.Parameter]:
    """The options of every job, for a command that is not made by decorators. own: fields of its operator; an option of
    such a name has its other names alone, as --log of flatfield is the logarithm, and --log-file the file"""
    params = click.command("job")(JOB_OPTIONS(lambda **_: None)).params
    for param in params:
        if param.name in own:
            param.opts.remove(f"--{param.name.replace('_', '-')}")
            param.name = BESIDE + param.name
    return params


def guard(command: Callable[..., Any]) -> Callable[..., Any]:
    """One line and an exit code for what goes wrong; the traceback with --debug."""
    from functools import wraps

    from gridstride.pipeline.stopping import Stopped, orderly

    def again(kwargs: dict[str, Any]) -> str:
        import shlex

        from gridstride.pipeline.reports.status import kept

        if "out" not in kwargs or "workers" not in kwargs:  # no job
            return ""
        where = f" --cluster {shlex.quote(kwargs['cluster'])}" if kwargs["cluster"] else ""
        text = kept(kwargs["out"])
        return text + where if "gridstride resume" in text else text

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
        if not debug:
            warnings.simplefilter("ignore")  # libraries warn of what their callers should change
        try:
            with orderly():
                return command(*args, **kwargs)
        except Stopped as stop:
            end(f"stopped by {stop}{again(kwargs)}", stop.exit_code, kwargs)
        except KeyboardInterrupt:
            end(f"stopped{again(kwargs)}", 130, kwargs)
        except (click.exceptions.Exit, click.ClickException, SystemExit):
            raise
        except Exception as error:
            if debug:
                raise
            code = getattr(error, "exit_code", 1)
            text = one_line(str(error)) or type(error).__name__
            kind = "" if hasattr(error, "exit_code") else f"{type(error).__name__}: "
            hint = "" if hasattr(error, "exit_code") else " (--debug shows where)"
            text += again(kwargs) if type(error).__name__ == "ClusterGone" else ""
            end(kind + text, code, kwargs, hint)

    return run


def split_options(values: dict[str, Any], own: Collection[str] = ()) -> tuple[dict[str, Any], Any]:
    """Split a command's values into the job's parameters and `RunOptions`. own: as in `job_parameters`"""
    from gridstride.pipeline.options import RunOptions

    names = {BESIDE + name if name in own else name: name for name in RunOptions.model_fields}
    options = {names[name]: values.pop(name) for name in list(values) if name in names}
    return values, RunOptions(**options)
