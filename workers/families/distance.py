"""Distances to the nearest element that is 0, and labels that grow: the Euclidean distance transform, exact at any cut.

The squared distance is the smallest over an axis of (squared distance along the others) + (steps)^2: axis after axis.
Without a bound, elements anywhere on an axis count, so that a sweep has blocks of its whole length; with one, a halo.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from math import inf, prod

import numpy as np

from gridstride.workers.buffers import Borrowed
from gridstride.workers.families.local import Local
from gridstride.workers.families.nodata import LeftOut
from gridstride.workers.nodata import NoData
from gridstride.workers.operators.base import Grid, Meaning, Operator, Report, Window
from gridstride.workers.operators.boundary import Taps
from gridstride.workers.region import Region

TILE_BYTES = 2**18  # more than a tile of columns takes, beside its length
FARTHEST = 2**30  # as int32 counts squared distances: two may be added


@dataclass(frozen=True)
class Squares:
    """How squared distances are counted. sampling: the step along each axis of the array"""

    sampling: tuple[float, ...]
    dtype: np.dtype

    @classmethod
    def of(cls, sampling: tuple[float, ...], steps: tuple[int, ...]) -> Squares:
        """The type that has the squared distance of so many steps along each axis; whole numbers are exact."""
        most = sum((s * n) ** 2 for s, n in zip(sampling, steps, strict=True))
        whole = all(s == int(s) for s in sampling) and most < FARTHEST
        return cls(sampling, np.dtype(np.int32 if whole else np.float64))

    @property
    def far(self) -> np.generic:
        """What stands for no element at all."""
        return self.dtype.type(FARTHEST if self.dtype.kind == "i" else inf)

    def within(self, bound: float) -> float:
        """The largest squared distance whose root is not more than a bound."""
        most = bound * bound
        while np.sqrt(np.nextafter(most, inf)) <= bound:
            most = float(np.nextafter(most, inf))
        return min(most, float(FARTHEST - 1)) if self.dtype.kind == "i" else most

    def table(self, axis: int, count: int) -> np.ndarray:
        """The squares of so many steps along an axis: of sums of two none is beyond the type."""
        squares = np.square(np.arange(count) * self.sampling[axis])
        return (np.minimum(squares, FARTHEST - 1) if self.dtype.kind == "i" else squares).astype(self.dtype)


def reach_of(bound: float, sampling: tuple[float, ...], axes: tuple[int, ...], grid: Grid) -> tuple[int, ...]:
    """Steps along each axis of an array that are not farther than a bound, and not beyond its end."""
    reach = []
    for axis, (step, n) in enumerate(zip(sampling, grid.shape, strict=True)):
        steps = min(int(bound / step) + 1, max(0, n - 1)) if axis in axes else 0
        while steps and steps * step > bound:
            steps -= 1
        reach.append(steps)
    return tuple(reach)


@dataclass(frozen=True)
class Distances(Operator):
    """Distances to the nearest element that is 0, in a sweep for each of `stages`: the axes that it goes along. The
    geometry is that of the last sweep, which alone is left when the others are made.

    begun: whether the array holds squared distances along the axes of stages before
    ended: whether the result is distances, not their squares
    """

    stages: tuple[tuple[int, ...], ...]
    squares: Squares
    out_dtype: np.dtype
    begun: bool = False
    ended: bool = True

    cpu_only = True

    def out_grid(self, grid: Grid) -> Grid:
        return grid.having(self.out_dtype)

    def needed(self, want: Region, grid: Grid) -> Region:
        for axis in self.stages[-1] if want.size else ():
            want = want.having(axis, (0, grid.shape[axis]))
        return want

    def uncut(self, grid: Grid) -> frozenset[int]:
        return frozenset(self.stages[-1])

    def describe(self) -> str:
        axes = ", then ".join(" and ".join(map(str, sorted(stage))) for stage in self.stages)
        return f"exact distances along axes {axes}"

    def meaning(self) -> Meaning:
        return Meaning(truths=True)

    def without(self, nodata: NoData, grid: Grid) -> tuple[Operator, NoData | None]:
        """Zeros are what distances are to, whether they stand for no data or not."""
        return (self, None) if not any(nodata.values) else super().without(nodata, grid)

    def sweeps(self) -> int:
        return len(self.stages) - 1

    def kept(self, grid: Grid) -> tuple[int, ...]:
        return (prod(grid.shape) * self.squares.dtype.itemsize,) * self.sweeps()

    def element_time(self, grid: Grid) -> float:
        return 1.0 + 0.5 * sum(map(len, self.stages)) * self.squares.dtype.itemsize

    def scratch(self, want: Region, grid: Grid, device: str) -> int:
        need = self.needed(want, grid)
        longest = max((grid.shape[axis] for axis in self.stages[-1]), default=0)
        return need.size * (self.squares.dtype.itemsize + 9) + 600 * longest + TILE_BYTES

    def first_sweep(self) -> Operator | None:
        if len(self.stages) == 1:
            return None
        return Distances(self.stages[:1], self.squares, self.squares.dtype, self.begun, ended=False)

    def resolve(self, reports: Iterable[Report], grid: Grid) -> Operator:
        return self.but(stages=self.stages[1:], begun=True)

    def cpu(self, window: Window, out: np.ndarray) -> None:
        from gridstride.workers.families.distance_cpu import roots, squared  # Numba takes time to import

        if out.size == 0:
            return
        need = self.needed(window.want, window.grid)
        data, inside = window.part(need).data, window.want.within(need)
        if not self.ended and need == window.want and out.flags.c_contiguous:
            squared(data, self.squares, self.stages[-1], out, self.begun)
            return
        with Borrowed() as memory:
            found = memory.array(need.shape, self.squares.dtype)
            squared(data, self.squares, self.stages[-1], found, self.begun)
            if self.ended:
                roots(found[inside], self.squares, out)
            else:
                out[...] = found[inside]


@dataclass(frozen=True)
class Nearby(Local):
    """What Euclidean distances along some axes are asked for within a bound, which makes a halo.

    axes: ascending; reach: steps along each axis of the array that are within the bound
    """

    axes: tuple[int, ...]
    squares: Squares
    reach: tuple[int, ...]
    bound: float

    cpu_only = True

    def reads(self, grid: Grid) -> tuple[Taps, ...]:
        return tuple(Taps(2 * r + 1, -r, mode="constant") for r in self.reach)

    def scratch(self, want: Region, grid: Grid, device: str) -> int:
        need, item = self.needed(want, grid), self.squares.dtype.itemsize
        lines = 200 * max(n + 2 * r for n, r in zip(need.shape, self.reach, strict=True)) * item
        return need.size * (2 * item + 18) + lines + TILE_BYTES

    def element_time(self, grid: Grid) -> float:
        return 2.0 + sum(self.squares.dtype.itemsize * (1 + 0.1 * min(n, 20)) for n in self.reach if n)


@dataclass(frozen=True)
class BoundedDistances(Nearby):
    """Distances to the nearest element that is 0 where they are less than the bound; else the bound."""

    out_dtype: np.dtype

    def out_grid(self, grid: Grid) -> Grid:
        return grid.having(self.out_dtype)

    def describe(self) -> str:
        return f"exact distances below {self.bound:g}"

    def meaning(self) -> Meaning:
        return Meaning(truths=True)

    def without(self, nodata: NoData, grid: Grid) -> tuple[Operator, NoData | None]:
        return (self, None) if not any(nodata.values) else super().without(nodata, grid)

    def cpu(self, window: Window, out: np.ndarray) -> None:
        from gridstride.workers.families.distance_cpu import roots, squared  # Numba takes time to import

        if out.size == 0:
            return
        need = self.needed(window.want, window.grid)
        with Borrowed() as memory:
            found = memory.array(need.shape, self.squares.dtype)
            squared(window.part(need).data, self.squares, self.axes, found, most=self.reach)
            roots(found[window.want.within(need)], self.squares, out, self.bound)


@dataclass(frozen=True)
class Expansion(Nearby):
    """The nearest element that is not 0, where its distance is not more than the bound; else 0."""

    def describe(self) -> str:
        return f"the nearest label within {self.bound:g}"

    def meaning(self) -> Meaning:
        return Meaning(1.0, between=True, chosen=True)

    def without(self, nodata: NoData, grid: Grid) -> tuple[Operator, NoData]:
        """Elements without data are no labels, and none grows over them, unless 0 stands for no data."""
        left = nodata.stored_as(grid.dtype)
        return (self if not any(nodata.values) else LeftOut(self, nodata, left.value, filler=0)), left

    def cpu(self, window: Window, out: np.ndarray) -> None:
        from gridstride.workers.families.distance_cpu import expanded  # Numba takes time to import

        if out.size == 0:
            return
        need = self.needed(window.want, window.grid)
        expanded(np.ascontiguousarray(window.part(need).data), self, window.want.within(need), out)
