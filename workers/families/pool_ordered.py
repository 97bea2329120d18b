"""Pooling by order: the median, or the most frequent element, of each box."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product
from math import prod
from typing import Any

import numpy as np

from gridstride.workers.families.nodata import Masked, Run, chosen
from gridstride.workers.families.parts import nothing
from gridstride.workers.families.pool import Pool
from gridstride.workers.launches import Launches
from gridstride.workers.nodata import NoData
from gridstride.workers.operators.base import Grid, Meaning, Operator, Window
from gridstride.workers.region import Region

MOST_ELEMENTS = 2**21  # of a box, which is sorted
KEYS = 2**15  # that are sorted together, in lists of at least LEAST boxes
LEAST = 16


def tile(elements: int) -> int:
    """Boxes that are sorted at a time."""
    return max(LEAST, min(256, KEYS // elements))


@dataclass(frozen=True)
class Ordered(Pool):
    """The median of each box, or its most frequent element: of several that are as frequent, the least.

    A median is NaN where an element is; where two elements are in the middle it is their mean, of integers rounded half
    to even. All NaN are one element, larger than others, and all zeros are 0.0.
    out_dtype: the array's own; of medians of integers also float64, which has the halves
    """

    def meaning(self) -> Meaning:
        return Meaning(1.0, between=True, chosen=self.method == "mode")

    def remarks(self, grid: Grid) -> tuple[str, ...]:
        return ()

    def without(self, nodata: NoData, grid: Grid) -> tuple[Operator, NoData]:
        """Each box is of the elements that have a value."""
        left = nodata.stored_as(self.out_dtype)
        return OrderedOfValid(self, nodata, left.value), left

    def scratch(self, want: Region, grid: Grid, device: str) -> int:
        """Copies of data as `Pool` makes them, the two elements in the middle, their mean, and the lists."""
        lists = tile(prod(self.factors)) * (prod(self.factors) * 8 + 32) if device == "cpu" else 0
        return super().scratch(want, grid, device) + 6 * 8 * want.size + lists

    def cpu(self, window: Window, out: np.ndarray) -> None:
        from gridstride.workers.families.pool_ordered_cpu import pool  # Numba takes time to import

        pool(self, window, out)

    def gpu(self, window: Window, launches: Launches) -> None:
        from gridstride.workers.families.pool_gpu import launch_pool

        launch_pool(self, window, launches)


def between(a: Any, b: Any, dtype: np.dtype, xp: Any) -> Any:
    """The mean of two elements, as a dtype: NumPy's of floating-point numbers; integers are not added, which may
    overflow."""
    if a.dtype.kind == "f":
        with np.errstate(over="ignore", invalid="ignore"):
            return (a + b) / a.dtype.type(2)
    low, odd = (a & b) + ((a ^ b) >> a.dtype.type(1)), (a ^ b) & a.dtype.type(1)
    if dtype.kind == "f":
        return low.astype(dtype) + odd.astype(dtype) / 2
    return low + (odd & low & low.dtype.type(1))


@dataclass(frozen=True)
class OrderedOfValid(Masked):
    """The median or the most frequent of the elements of each box that have a value; `missing` where none has."""

    operator: Ordered

    def describe(self) -> str:
        return f"{self.operator.describe()}, of elements that have a value"

    def scratch(self, want: Region, grid: Grid, device: str) -> int:
        item = max(4, grid.dtype.itemsize)
        box = prod(self.operator.factors)
        return super().scratch(want, grid, device) + want.size * (box * (3 * item + 12) + 80)

    def made(self, window: Window, valid: Any, xp: Any, run: Run) -> Any:
        lists, count = self.sorted(window.data, valid, window.want.shape, xp)
        some = count > 0
        if self.operator.method == "mode":
            return chosen(some, _most_frequent(lists, count, xp), self.missing, xp)
        low, high = (
            xp.take_along_axis(lists, xp.maximum(rank, 0)[None], 0)[0] for rank in ((count - 1) // 2, count // 2)
        )
        result = between(low, high, self.operator.out_dtype, xp)
        if lists.dtype.kind == "f":
            last = xp.take_along_axis(lists, xp.maximum(count - 1, 0)[None], 0)[0]
            result = xp.where(last != last, last, result)
        return chosen(some, result, self.missing, xp)

    def sorted(self, data: Any, valid: Any, shape: tuple[int, ...], xp: Any) -> tuple[Any, Any]:
        """The elements of each box in order, (elements, *shape), those without a value last; and how many have one."""
        factors = self.operator.factors
        last = np.nan if data.dtype.kind == "f" else nothing(data.dtype)[0]
        lists = xp.full((prod(factors), *shape), last, data.dtype)
        count = xp.zeros(shape, np.int64)
        for number, first in enumerate(product(*(range(n) for n in factors))):
            where = tuple(slice(k, None, n) for k, n in zip(first, factors, strict=True))
            part, there = data[where], valid[where]
            place = tuple(slice(0, n) for n in part.shape)
            lists[(number, *place)] = xp.where(there, part, lists.dtype.type(last))
            count[place] += there
        if data.dtype.kind == "f":
            lists += lists.dtype.type(0)  # zeros without a sign
        lists.sort(axis=0)
        return lists, count


def _most_frequent(lists: Any, count: Any, xp: Any) -> Any:
    """The longest run in each list, of those that are as long the first."""
    result = lists[0].copy()
    most, run = xp.ones(count.shape, np.int64), xp.ones(count.shape, np.int64)
    for number in range(1, len(lists)):
        this, before = lists[number], lists[number - 1]
        alike = (this == before) | ((this != this) & (before != before))
        run = xp.where(alike, run + 1, 1)
        more = (run > most) & (number < count)
        most, result = xp.where(more, run, most), xp.where(more, this, result)
    return result
