"""Relay: operators one after another, each of which stores its result for the next: of many passes over an array, as
many in each sweep as its halo pays for."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from math import isnan, nan

from gridstride.workers.families.elementwise import Elementwise
from gridstride.workers.families.nodata import Touched, Unified
from gridstride.workers.nodata import NoData
from gridstride.workers.operators.base import Grid, Meaning, Operator, Report
from gridstride.workers.operators.graph import Graph, Step
from gridstride.workers.region import Region


@dataclass(frozen=True)
class Relay(Operator):
    """Parts, each a sweep. What passes between them may have axes that neither the array nor the result has. They leave
    out NaN by themselves (`leaving_out`).

    The geometry is that of the last sweep, which alone is left when the others are made.
    """

    parts: tuple[Operator, ...]

    @property
    def exact(self) -> bool:  # type: ignore[override]
        return all(part.exact for part in self.parts)

    def grids(self, grid: Grid) -> list[Grid]:
        """What each part reads, and the result."""
        found = [grid]
        for part in self.parts:
            found.append(part.out_grid(found[-1]))
        return found

    def out_grid(self, grid: Grid) -> Grid:
        return self.grids(grid)[-1]

    def axes_from(self, grid: Grid) -> tuple[int | None, ...]:
        axes: tuple[int | None, ...] = tuple(range(grid.ndim))
        for part, read in zip(self.parts, self.grids(grid), strict=False):
            axes = tuple(None if axis is None else axes[axis] for axis in part.axes_from(read))
        return axes

    def needed(self, want: Region, grid: Grid) -> Region:
        *before, last = self.parts
        read = self.grids(grid)[-2]
        need = last.needed(want, read)
        if not before:
            return need
        came = Relay(tuple(before)).axes_from(grid)
        return Region(tuple(need.spans[came.index(axis)] for axis in range(grid.ndim)))

    def uncut(self, grid: Grid) -> frozenset[int]:
        return self.parts[-1].uncut(self.grids(grid)[-2])

    def scratch(self, want: Region, grid: Grid, device: str) -> int:
        return self.parts[-1].scratch(want, self.grids(grid)[-2], device)

    def element_time(self, grid: Grid) -> float:
        """Of all parts together."""
        grids = self.grids(grid)
        sizes = [Region.whole(one.shape).size for one in grids]
        times = zip(self.parts, grids, sizes[1:], strict=False)
        return sum(part.element_time(read) * size for part, read, size in times) / max(1, sizes[-1])

    def sweeps(self) -> int:
        return len(self.parts) - 1

    def kept(self, grid: Grid) -> tuple[int, ...]:
        return tuple(one.nbytes for one in self.grids(grid)[1:-1])

    def describe(self) -> str:
        return f"{self.parts[-1].describe()}, in {len(self.parts)} sweeps"

    def remarks(self, grid: Grid) -> tuple[str, ...]:
        return self.parts[0].remarks(grid)

    def meaning(self) -> Meaning:
        found = self.parts[0].meaning()
        for part in self.parts[1:]:
            found = found.then(part.meaning())
        return found

    def without(self, nodata: NoData, grid: Grid) -> tuple[Operator, NoData | None]:
        return leaving_out(self.parts, nodata, grid)

    def first_sweep(self) -> Operator | None:
        return self.parts[0] if len(self.parts) > 1 else None

    def resolve(self, reports: Iterable[Report], grid: Grid) -> Operator:
        return alone(self.parts[1:])


def alone(parts: tuple[Operator, ...]) -> Operator:
    """Parts as an operator: one as itself."""
    return parts[0] if len(parts) == 1 else Relay(parts)


def shares(total: int, most: int) -> list[int]:
    """A number of passes in as few sweeps as possible, of about as many each."""
    sweeps = max(1, -(-total // most))
    return [total * (n + 1) // sweeps - total * n // sweeps for n in range(sweeps)]


def leaving_out(parts: tuple[Operator, ...], nodata: NoData, grid: Grid) -> tuple[Operator, NoData | None]:
    """Parts that themselves leave out NaN, and give it where they are given it, for an array in which some values stand
    for no data: NaN is these in the first part, and becomes what stands for no data after the last."""
    dtype, nans = Relay(parts).out_grid(grid).dtype, NoData((nan,))
    left = nodata.stored_as(dtype)
    if not all(isnan(value) for value in nodata.values):
        same = Touched(Elementwise("cast", grid.dtype), nodata, nan)
        parts = (Graph((Step("marked", same), Step("made", parts[0], ("marked",)))), *parts[1:])
    if not isnan(left.value):
        one = Unified(Operator(), nans, left.value)
        parts = (*parts[:-1], Graph((Step("made", parts[-1]), Step("unmarked", one, ("made",)))))
    return alone(parts), left
