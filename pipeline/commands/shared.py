"""What commands take: kinds of values, and the options that many commands share. Imports nothing heavy, as `cli`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import click


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
            self.fail(f"{value!r}: expected {what} with commas between them, such as 1,2,2", param, ctx)
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


def names(_ctx: Any, _param: Any, value: str | None) -> list[str] | None:
    return None if value is None else [part.strip() for part in value.split(",")]


def _apply(options: Sequence[Callable[[Any], Any]]) -> Callable[[Any], Any]:
    def decorate(command: Any) -> Any:
        for option in reversed(options):
            command = option(command)
        return command

    return decorate


RUN_OPTIONS = _apply(
    [
        click.option("--device", type=click.Choice(["auto", "gpu", "cpu"]), default="auto", show_default=True),
        click.option("--cluster", metavar="FILE", help="Cluster file (see cluster.yaml)."),
        click.option("--workers", type=click.IntRange(1), help="Worker processes."),
        click.option("--memory", type=Size(), help="Host memory for all processes together, such as 2GB."),
        click.option(
            "--halos",
            type=click.Choice(["auto", "neighbours", "store"]),
            default="auto",
            help="Where blocks get their halos: from their neighbours (map_overlap), or each task reads its own.",
        ),
        click.option("--ignore-disk", is_flag=True, help="Start even if the uncompressed result has no room."),
        click.option("--quiet", is_flag=True, help="No progress, no plan."),
        click.option("--debug", is_flag=True, help="Tracebacks and Dask's own log."),
    ]
)
TOLD_OPTIONS = _apply(
    [
        click.option("--log-json", is_flag=True, help="Events as JSON lines on stderr, nothing else there."),
        click.option("--log", metavar="FILE", help="Events as JSON lines into this file too."),
        click.option("--report", metavar="HTML", help="Write a page about the run, with charts and pictures."),
    ]
)
JOB_OPTIONS = _apply(
    [
        click.option("--array", metavar="NAME", help="Which array, where the input is a group."),
        click.option("--axes", callback=names, metavar="A,B", help="Axes to filter, by name or number."),
        click.option("--spatial", type=int, metavar="N", help="Filter the last N axes, the others slice by slice."),
        click.option(
            "--mode", default="reflect", callback=words, show_default=True, metavar="MODE[,MODE]",
            help="Boundary: reflect, mirror, nearest, wrap or constant; one, or one per filtered axis.",
        ),
        click.option("--cval", type=float, default=0.0, help="Value outside, in mode constant."),
        click.option("--dtype", help="Of the result; the input's by default."),
        click.option(
            "--precision", type=click.Choice(["auto", "single", "double"]), default="auto",
            help="Of the sums. auto: float32, but float64 for 32-bit integers and wider.", show_default=True,
        ),
        click.option(
            "--cast", type=click.Choice(["round", "scipy"]), default="round", show_default=True,
            help="To integers: round and saturate, or truncate and wrap around as scipy does.",
        ),
        click.option("--block", type=Shape(), metavar="Z,Y,X", help="Block shape; as memory allows by default."),
        click.option("--chunks", type=Shape(), metavar="Z,Y,X", help="Chunks of the result; the input's by default."),
        click.option("--shards", type=Shape(), metavar="Z,Y,X", help="Shards of the result; the input's by default."),
        click.option("--codec", metavar="NAME[:LEVEL]", help="lz4 (default), zstd, blosc-zstd, gzip or none."),
        click.option("--overwrite", is_flag=True, help="Delete what is at OUT first."),
        click.option("--dry-run", is_flag=True, help="Print the plan and stop."),
        TOLD_OPTIONS,
        RUN_OPTIONS,
    ]
)  # fmt: skip
