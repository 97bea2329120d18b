"""Ranges: elements brought into a range of values, each by itself."""

from __future__ import annotations

from dataclasses import dataclass
from math import prod

import numpy as np

from gridstride.workers.families.elementwise import THREADS, comparable
from gridstride.workers.families.nodata import Touched
from gridstride.workers.families.rows import in_order
from gridstride.workers.launches import INPUTS, Launches, Ref, ceil_div, type_name
from gridstride.workers.nodata import NoData
from gridstride.workers.operators.base import Grid, Meaning, Operator, Window
from gridstride.workers.region import Region


def instantiations() -> list[tuple[str, str]]:
    """Every (file, name expression) that can be asked for."""
    return [("elementwise.cu", f"clip<{t}>") for t in INPUTS]


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
