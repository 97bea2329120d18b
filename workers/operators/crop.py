"""crop: a part of the array."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Annotated, Any, ClassVar

from pydantic import BeforeValidator, Field

from gridstride.workers.families.reindex import Reindex
from gridstride.workers.operators.base import Grid, Operator
from gridstride.workers.operators.fields import find_axis
from gridstride.workers.operators.kinds import plain
from gridstride.workers.operators.recipe import Recipe

EXPECTED = "expected START:STOP for each axis, such as 0:40,100:-100,:, or axes by name, such as z=0:40,x=100:-100"
SPAN = re.compile(r"(?:([^=:,]+)=)?([+-]?\d{1,18})?:([+-]?\d{1,18})?", re.ASCII)


def region_text(given: Any) -> str:
    """A region as text: from text, or from slices or pairs, one for each axis or by the names of axes."""
    if isinstance(given, str):
        parts = ["".join(part.split()) for part in given.split(",")]
    elif isinstance(given, Mapping):
        parts = [f"{name}={_span_text(span)}" for name, span in given.items()]
    elif isinstance(given, list | tuple):
        parts = [_span_text(span) for span in given]
    else:
        raise ValueError(EXPECTED)
    if not parts or not all(map(SPAN.fullmatch, parts)):
        raise ValueError(EXPECTED)
    return ",".join(parts)


def _span_text(span: Any) -> str:
    """A slice, or a pair of a start and a stop, as START:STOP."""
    if isinstance(span, slice):
        ends = [span.start, span.stop, *([] if span.step in (None, 1) else [span.step])]
    else:
        ends = list(span) if isinstance(span, list | tuple) else []
    ends = [plain(end) for end in ends]
    if len(ends) != 2 or any(isinstance(end, bool) or not isinstance(end, int | None) for end in ends):
        raise ValueError(EXPECTED)
    return ":".join("" if end is None else str(end) for end in ends)


class Crop(Recipe):
    """A part of the array: the elements from a start to before a stop on each axis.

    As in NumPy's slices, numbers below 0 count from the end; but steps, numbers beyond the array, and what leaves no
    element are refused. The origin of the axes moves with the start. Any axis may be cropped, and labels too.
    Example: gridstride filter crop cells.zarr part.zarr --region z=4:30,x=16:-16
    """

    formula: ClassVar[str] = "out[i] = in[start + i], 0 <= i < stop - start"
    source: ClassVar[str] = "numpy: indexing by slices"

    region: Annotated[str, BeforeValidator(region_text)] = Field(
        description="START:STOP for each axis, such as 0:40,100:-100,: or axes by name, such as z=0:40,x=100:-100."
    )

    def resolved(self, grid: Grid) -> dict[str, Any]:
        return {"region": ",".join(f"{start}:{stop}" for start, stop in self.spans(grid))}

    def bind(self, grid: Grid) -> Operator:
        spans = self.spans(grid)
        shape = tuple(stop - start for start, stop in spans)
        first = tuple(start for start, _ in spans)
        return Reindex(shape, first, (1,) * grid.ndim, ("nearest",) * grid.ndim)

    def spans(self, grid: Grid) -> list[tuple[int, int]]:
        """(start, stop) of each axis. Raises ValueError for what lies outside the array, and for nothing."""
        found = [(0, n) for n in grid.shape]
        parts = [match.groups() for match in map(SPAN.fullmatch, self.region.split(",")) if match]
        named = [name for name, _, _ in parts if name]
        if named and len(named) < len(parts):
            raise ValueError(f"region is {self.region}: expected a name for every axis in it, or for none")
        if not named and len(parts) != grid.ndim:
            raise ValueError(
                f"region is {self.region}: expected {grid.ndim} of START:STOP, one for each axis ({grid.axis_list()}), "
                "or axes by name"
            )
        axes = [find_axis(grid, name) for name in named] or list(range(grid.ndim))
        if len(set(axes)) < len(axes):
            raise ValueError(f"region is {self.region}: an axis is given twice")
        for axis, (_, *ends) in zip(axes, parts, strict=True):
            found[axis] = _span(self.region, axis, grid, ends)
        return found


def _span(region: str, axis: int, grid: Grid, ends: list[str | None]) -> tuple[int, int]:
    n, name = grid.shape[axis], grid.axes[axis].name or str(axis)
    given = [default if end is None else int(end) for end, default in zip(ends, (0, n), strict=True)]
    start, stop = (end + n if end < 0 else end for end in given)
    if min(start, stop) < 0 or max(start, stop) > n:
        raise ValueError(f"region is {region}: axis {name[:40]} has {n} elements, expected numbers from {-n} to {n}")
    if start >= stop and n:
        raise ValueError(f"region is {region}: nothing is left of axis {name[:40]}, which has {n} elements")
    return start, stop
