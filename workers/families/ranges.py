"""Ranges: elements brought into a range of values, each by itself."""

from __future__ import annotations

from dataclasses import dataclass
from math import prod
from typing import ClassVar

import numpy as np

from gridstride.workers.families.casting import store
from gridstride.workers.families.elementwise import THREADS, comparable
from gridstride.workers.families.nodata import Touched
from gridstride.workers.families.rows import in_order
from gridstride.workers.families.tally import groups_in
from gridstride.workers.families.whole import apart
from gridstride.workers.launches import INPUTS, Launches, Ref, ceil_div, six, strides, type_name
from gridstride.workers.nodata import NoData
from gridstride.workers.operators.base import Grid, Meaning, Operator, Window
from gridstride.workers.region import Region

# Elements, by their bytes, from which on each value's result is computed once and looked up.
MANY = (0, 2**8, 2**17, 2**63)


def instantiations() -> list[tuple[str, str]]:
    """Every (file, name expression) that can be asked for."""
    found = [f"clip<{t}>" for t in INPUTS]
    found += [f"rescale<{t}, f64>" for t in INPUTS] + ["rescale<f32, f32>"]
    return [("elementwise.cu", expression) for expression in found]


@dataclass(frozen=True)
class Clipped(Operator):
    """Elements below `low` are `low`, elements above `high` are `high`, both of the array's dtype; NaN stays."""

    low: float | int
    high: float | int

    def describe(self) -> str:
        return f"clip to {self.low} .. {self.high}"

    def meaning(self) -> Meaning:
        return Meaning(1.0)

    def element_time(self, grid: Grid) -> float:
        return 1.0

    def without(self, nodata: NoData, grid: Grid) -> tuple[Operator, NoData]:
        left = nodata.stored_as(grid.dtype)
        return Touched(self, nodata, left.value), left

    def scratch(self, want: Region, grid: Grid, device: str) -> int:
        """Copies of arrays that do not lie in a row, and of float16, which kernels do not read."""
        return 2 * want.size * comparable(grid.dtype).itemsize

    def cpu(self, window: Window, out: np.ndarray) -> None:
        from gridstride.workers.loops import clip_to  # Numba takes time to import

        data = window.part(window.want).data
        data = data.view(np.uint8) if data.dtype == np.bool_ else data.astype(comparable(data.dtype), copy=False)
        lies = out.flags.c_contiguous and out.dtype.itemsize == data.dtype.itemsize
        flat = out.view(data.dtype).reshape(-1) if lies else np.empty(out.size, data.dtype)
        clip_to(in_order(data).reshape(-1), data.dtype.type(self.low), data.dtype.type(self.high), flat)
        if not lies:
            out[...] = flat.reshape(out.shape)

    def gpu(self, window: Window, launches: Launches) -> None:
        dtype, count = np.dtype(window.data.dtype), prod(window.want.shape)
        launches.out_dtype = dtype
        if count == 0:
            return
        args = Ref("data"), Ref("out"), np.int64(count), dtype.type(self.low), dtype.type(self.high)
        launches.launch("elementwise.cu", f"clip<{type_name(dtype)}>", ceil_div(count, THREADS), (THREADS, 1), 0, args)


@dataclass(frozen=True)
class Rescaled(Operator):
    """((x cut to low .. high) - shift) / span * gain + offset, each step rounded; NaN stays.

    per: axes, each index of which has numbers of its own; none: all elements have the same
    numbers: float64 (groups, 6): low, high, shift, span, gain, offset
    whole: of arrays of 64-bit integers: int64 (groups,), the bits of what is first subtracted, exactly
    single: the steps are made in float32, else in float64
    truncate: towards 0; a result of another dtype is rounded then, half to even, and saturates
    method: a word for people
    """

    PIECE: ClassVar[int] = 2**15  # elements that stay in the cache from one step to the next

    out_dtype: np.dtype
    numbers: np.ndarray
    whole: np.ndarray
    per: tuple[int, ...] = ()
    single: bool = False
    truncate: bool = False
    method: str = "rescale"

    def out_grid(self, grid: Grid) -> Grid:
        return grid.having(self.out_dtype)

    def describe(self) -> str:
        return self.method

    def element_time(self, grid: Grid) -> float:
        return 2.0

    def without(self, nodata: NoData, grid: Grid) -> tuple[Operator, NoData]:
        left = nodata.stored_as(self.out_dtype)
        return Touched(self, nodata, left.value), left

    def scratch(self, want: Region, grid: Grid, device: str) -> int:
        """Copies of what does not lie in a row, and pieces; on a GPU, the result before it has its dtype."""
        if device == "gpu":
            return 8 * want.size + 4 * want.size * (grid.dtype == np.float16) + self.numbers.nbytes + self.whole.nbytes
        return want.size * (grid.dtype.itemsize + self.out_dtype.itemsize) + 64 * self.PIECE + 2**16 * 16

    @property
    def between(self) -> np.dtype:
        """The type in which the steps are made."""
        return np.dtype(np.float32 if self.single else np.float64)

    def cpu(self, window: Window, out: np.ndarray) -> None:
        from gridstride.workers.loops import look_up  # Numba takes time to import

        data = window.part(window.want).data
        for place, group in groups_in(window.want, window.grid, self.per):
            part = out[place]
            flat = part.reshape(-1) if part.flags.c_contiguous else np.empty(part.size, part.dtype)
            values = in_order(data[place]).reshape(-1)
            if len(values) >= MANY[min(values.itemsize, 3)]:
                patterns = f"u{values.itemsize}"
                table = np.empty(2 ** (8 * values.itemsize), part.dtype)
                self._rescale(np.arange(len(table), dtype=patterns).view(values.dtype), group, table)
                look_up(values.view(patterns), *(x.view(f"u{part.itemsize}") for x in (table, flat)))
            else:
                self._rescale(values, group, flat)
            if not part.flags.c_contiguous:
                part[...] = flat.reshape(part.shape)

    def _rescale(self, values: np.ndarray, group: int, out: np.ndarray) -> None:
        """The elements of a group, a piece at a time."""
        from gridstride.workers.loops import rescale_to

        long = values.dtype.kind in "iu" and values.itemsize == 8
        values = values.view(np.uint8) if values.dtype == np.bool_ else values
        numbers = self.numbers[group].astype(self.between)
        for first in range(0, len(values), self.PIECE):
            piece = values[first : first + self.PIECE]
            if long:
                piece = apart(piece, self.whole[group : group + 1].view(piece.dtype), np)
            elif piece.dtype == np.float16:
                piece = piece.astype(np.float32)
            there = out[first : first + self.PIECE]
            made = there if there.dtype in (np.float32, np.float64) else np.empty(len(piece), self.between)
            rescale_to(piece, numbers, self.truncate, made)
            if made is not there:
                store(made, there, "round")

    def gpu(self, window: Window, launches: Launches) -> None:
        dtype, count, work = np.dtype(window.data.dtype), prod(window.want.shape), self.between
        launches.out_dtype = out = np.dtype(np.float32) if self.out_dtype == np.float16 else self.out_dtype
        if count == 0:
            return
        made = Ref("out") if out == work else launches.reserve("work", count * work.itemsize)
        shape = six(window.want.shape, 1)
        steps = [0] * window.grid.ndim
        for axis, step in zip(self.per, strides(tuple(window.grid.shape[axis] for axis in self.per)), strict=True):
            steps[axis] = step
        start = sum(step * span[0] for step, span in zip(steps, window.want.spans, strict=True))
        walk = launches.constant(np.array([*shape, *six(steps, 0)], np.int64))
        tables = launches.constant(self.numbers), launches.constant(self.whole)
        args = [Ref("data"), made, np.int64(count), walk, np.int64(start), np.bool_(bool(self.per)), *tables]
        tiles = ceil_div(count, THREADS)
        expression = f"rescale<{type_name(dtype)}, {type_name(work)}>"
        launches.launch("elementwise.cu", expression, tiles, (THREADS, 1), 0, [*args, np.bool_(self.truncate)])
        if out != work:
            expression = f"elementwise<{type_name(work)}, {type_name(out)}, cast>"
            args = [made, Ref("out"), np.int64(count), work.type(0)]
            launches.launch("elementwise.cu", expression, tiles, (THREADS, 1), 0, args)
