"""Rank filters: the element of a given rank among those around each, such as their median."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from math import prod
from typing import TYPE_CHECKING

import numpy as np

from gridstride.workers.families.elementwise import stored_as
from gridstride.workers.families.local import Local
from gridstride.workers.families.nodata import Unified
from gridstride.workers.launches import Launches
from gridstride.workers.nodata import NoData
from gridstride.workers.operators.base import Grid, Meaning, Operator, Window
from gridstride.workers.operators.boundary import Taps
from gridstride.workers.operators.graph import Graph, Step
from gridstride.workers.region import Region

if TYPE_CHECKING:
    from gridstride.workers.operators.fields import Box

MOST_ELEMENTS = 2**21  # of a box: 128 along each of three axes
LARGEST_NETWORK = 343  # elements of a box that networks sort, about
WORK_BYTES = 2**18  # more than the lists, rows and tables that a twin works in besides the padded window


@dataclass(frozen=True)
class Rank(Local):
    """The element of rank `rank` (0: the smallest) of those that a box around each output holds.

    size, before, modes: the box, the elements of it before the output, and the boundary, on each axis of the array
    cval: the value outside in mode "constant", one that the array's dtype has
    footprint: bool, of shape `size`: the part of the box that counts; None for all of it
    percent: of which percentile the rank is, if it is of one

    The order is that of the numbers, -0.0 before 0.0 and NaN after infinity, whatever its sign.
    """

    size: tuple[int, ...]
    before: tuple[int, ...]
    modes: tuple[str, ...]
    rank: int
    cval: float | int = 0
    footprint: np.ndarray | None = None
    percent: float | None = None

    @property
    def missing(self) -> float | int | None:
        """The value of elements that are left out."""
        return None

    @property
    def ranks(self) -> np.ndarray:
        """The rank for each number of elements that are not left out, int64 (n + 1,)."""
        n = self.count
        if self.percent is not None:
            return of_percentile(self.percent, np.arange(n + 1))
        return np.arange(n + 1) * (2 * self.rank + 1) // (2 * n)

    @property
    def count(self) -> int:
        """How many elements of the box count."""
        return prod(self.size) if self.footprint is None else int(np.count_nonzero(self.footprint))

    @property
    def taps(self) -> np.ndarray:
        """The elements of the box that count, int64 (elements, axes)."""
        return np.argwhere(np.ones(self.size, bool) if self.footprint is None else self.footprint)

    def reads(self, grid: Grid) -> tuple[Taps, ...]:
        return tuple(Taps(n, -b, mode=m) for n, b, m in zip(self.size, self.before, self.modes, strict=True))

    def element_time(self, grid: Grid) -> float:
        """By a network for small boxes; else by a search."""
        count = prod(self.size) if self.footprint is None else int(self.footprint.sum())
        return count * (0.1 if count <= LARGEST_NETWORK else 1.0)

    def describe(self) -> str:
        return f"rank {self.rank} of a box of {' x '.join(map(str, self.size))}"

    def meaning(self) -> Meaning:
        return Meaning(1.0, between=True, chosen=True)

    def without(self, nodata: NoData, grid: Grid) -> tuple[Operator, NoData]:
        """Missing elements are left out."""
        fields, left = {f.name: getattr(self, f.name) for f in dataclasses.fields(self)}, NoData((nodata.value,))
        ranked = RankOfValid(**fields, nodata=nodata.value)
        if nodata.is_one_pattern:
            return ranked, left
        one = Unified(Operator(), nodata, nodata.value)
        return Graph((Step("unified", one), Step("ranked", ranked, ("unified",)))), left

    def scratch(self, want: Region, grid: Grid, device: str) -> int:
        item = 4 if grid.dtype == np.float16 and device == "gpu" else grid.dtype.itemsize
        shape = self.padded_shape(want, grid)
        halves = (want.size + prod(shape)) * 4 if item != grid.dtype.itemsize else 0
        rows = 8 * (6 * sum(shape) + prod(want.shape[:-1]) + (2 * len(self.size) + 4) * prod(self.size))
        if grid.dtype.itemsize == 1 and device == "cpu":
            rows += 576 * (512 + self.size[-1])  # histograms of a tile's columns
        wide = np.min_scalar_type(prod(self.size)).itemsize if device == "cpu" else 0
        keys = item + (wide if wide > item else 0)
        masks = 0 if self.missing is None or device != "cpu" else keys + 3
        return (keys + masks) * prod(shape) + halves + rows + WORK_BYTES

    def cpu(self, window: Window, out: np.ndarray) -> None:
        from gridstride.workers.families.rank_cpu import rank  # Numba takes time to import

        rank(self, window, out)

    def gpu(self, window: Window, launches: Launches) -> None:
        from gridstride.workers.families.rank_gpu import launch_rank

        launch_rank(self, window, launches)


@dataclass(frozen=True)
class RankOfValid(Rank):
    """A rank among the elements of a box of n that are not `nodata`: of m of them rank m (2 rank + 1) // (2 n), which
    is the smallest of them, the largest or the median where that is asked for, or that of the percentile; `nodata`
    where there is none."""

    nodata: float | int = 0

    @property
    def missing(self) -> float | int:
        return self.nodata

    def describe(self) -> str:
        return f"{super().describe()}, of elements that have a value"


def constant(cval: float, dtype: np.dtype) -> float | int:
    """The value outside, as an array's dtype has it: towards zero. Raises ValueError if it is outside of its range."""
    if dtype.kind == "f":
        with np.errstate(over="ignore"):
            return float(dtype.type(cval))
    limits = np.iinfo(np.uint8 if dtype.kind == "b" else dtype)
    low, high = (0, 1) if dtype.kind == "b" else (limits.min, limits.max)
    if not (np.isfinite(cval) and low <= int(cval) <= high):
        raise ValueError(f"cval is {cval}: expected a value of the array's dtype {dtype} ({low} to {high})")
    return int(cval)


def of_percentile(percent: float, counts: np.ndarray | int) -> np.ndarray:
    """The rank that a percentile (0 to 100) has among so many elements, as scipy.ndimage rounds it; int64."""
    counts = np.asarray(counts)
    rank = counts * percent / 100.0
    return np.minimum(rank.astype(np.int64), np.maximum(counts - 1, 0))


def ranked(
    box: Box, rank: int, grid: Grid, outside: float | int, out_dtype: np.dtype, percent: float | None = None
) -> Operator:
    """The element of a rank of a box or footprint, stored as a dtype. Raises ValueError for one that is too large."""
    if prod(box.size) > MOST_ELEMENTS:
        shape = " x ".join(str(n) for n in box.size)
        raise ValueError(f"the box of {shape} has {prod(box.size):.3g} elements: expected {MOST_ELEMENTS} at most")
    cval = constant(outside, grid.dtype) if "constant" in box.modes else 0
    return stored_as(Rank(box.size, box.before, box.modes, rank, cval, box.footprint, percent), grid, out_dtype)
