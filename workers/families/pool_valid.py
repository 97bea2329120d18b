"""Pooling of arrays with elements that are missing: each box is of those that have a value."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product
from math import prod
from typing import Any

import numpy as np

from gridstride.workers.families.nodata import Masked, Run, as_bytes, chosen, filled
from gridstride.workers.families.parts import nothing
from gridstride.workers.families.whole import divided, half_to_even, halves
from gridstride.workers.operators.base import Grid, Operator, Window
from gridstride.workers.region import Region


@dataclass(frozen=True)
class ExtremeOfValid(Masked):
    """The largest or smallest element of each box. any: the largest of a mask's boxes"""

    any: Operator
    largest: bool

    def helpers(self, grid: Grid) -> list[tuple[Operator, Grid]]:
        return [(self.operator, grid), (self.any, grid.having(np.uint8))]

    def made(self, window: Window, valid: Any, xp: Any, run: Run) -> Any:
        low, high = nothing(window.data.dtype)
        result = run(self.operator, filled(window, valid, xp, high if self.largest else low))
        return chosen(run(self.any, as_bytes(window, valid)) > 0, result, self.missing, xp)


@dataclass(frozen=True)
class MeanOfValid(Masked):
    """The mean of each box, as `Pool` makes it: of integers exact, half to even; else of sums in float64 in C order.

    stored: writes the means, in float64 or 64-bit integers, as the result; None where they are it
    """

    stored: Operator | None
    factors: tuple[int, ...]

    def scratch(self, want: Region, grid: Grid, device: str) -> int:
        parts = 0 if grid.dtype.kind == "f" else 24 * self.needed(want, grid).size  # halves of integers
        return super().scratch(want, grid, device) + 64 * want.size + parts

    def made(self, window: Window, valid: Any, xp: Any, run: Run) -> Any:
        out = self.out_grid(window.grid)
        whole = window.grid.dtype.kind != "f" and out.dtype.kind != "f"
        count = self.sums(valid, window.want.shape, np.int64, xp)
        some = count > 0
        count = chosen(some, count, 1, xp)
        if whole:
            means = self.whole_means(filled(window, valid, xp).data, count, window.want.shape, xp)
        else:
            means = self.sums(filled(window, valid, xp, -0.0).data, window.want.shape, np.float64, xp) / count
        if self.stored is not None:
            means = run(self.stored, Window(means, window.want, window.want, out.having(means.dtype)))
        return chosen(some, means, self.missing, xp)

    def sums(self, data: Any, shape: tuple[int, ...], dtype: Any, xp: Any) -> Any:
        """The sum of each box, element by element in C order; boxes at the end of an axis are of what exists."""
        total = xp.full(shape, -0.0, dtype)
        for first in product(*(range(n) for n in self.factors)):
            part = data[tuple(slice(k, None, n) for k, n in zip(first, self.factors, strict=True))]
            total[tuple(slice(0, n) for n in part.shape)] += part.astype(dtype)
        return total

    def whole_means(self, data: Any, count: Any, shape: tuple[int, ...], xp: Any) -> Any:
        """Exact: the high and the low 32 bits are summed apart."""
        high, low = (self.sums(half, shape, np.int64, xp) for half in halves(data))
        dtype = np.uint64 if data.dtype == np.uint64 else np.int64
        return half_to_even(*divided(high, low, count, dtype), count)


def between(a: Any, b: Any, dtype: np.dtype) -> Any:
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

    factors: tuple[int, ...]
    frequent: bool

    def scratch(self, want: Region, grid: Grid, device: str) -> int:
        item = max(4, grid.dtype.itemsize)
        box = prod(self.factors)
        return super().scratch(want, grid, device) + want.size * (box * (3 * item + 12) + 80)

    def made(self, window: Window, valid: Any, xp: Any, run: Run) -> Any:
        data = window.data.view(np.uint8) if window.data.dtype == np.bool_ else window.data
        lists, count = self.sorted(data, valid, window.want.shape, xp)
        some = count > 0
        if self.frequent:
            return chosen(some, _most_frequent(lists, count, xp), self.missing, xp)
        low, high = (
            xp.take_along_axis(lists, xp.maximum(rank, 0)[None], 0)[0] for rank in ((count - 1) // 2, count // 2)
        )
        result = between(low, high, self.out_grid(window.grid).dtype)
        if lists.dtype.kind == "f":
            last = xp.take_along_axis(lists, xp.maximum(count - 1, 0)[None], 0)[0]
            result = xp.where(last != last, last, result)
        return chosen(some, result, self.missing, xp)

    def sorted(self, data: Any, valid: Any, shape: tuple[int, ...], xp: Any) -> tuple[Any, Any]:
        """The elements of each box in order, (elements, *shape), those without a value last; and how many have one."""
        last = np.nan if data.dtype.kind == "f" else nothing(data.dtype)[0]
        lists = xp.full((prod(self.factors), *shape), last, data.dtype)
        count = xp.zeros(shape, np.int64)
        for number, first in enumerate(product(*(range(n) for n in self.factors))):
            where = tuple(slice(k, None, n) for k, n in zip(first, self.factors, strict=True))
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
