"""Rectified numbers: 0 in place of those below it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import prod
from typing import TYPE_CHECKING, Any

import numpy as np

from gridstride.workers.families.nodata import Touched
from gridstride.workers.families.rows import in_order
from gridstride.workers.families.strided import converted
from gridstride.workers.launches import Launches, Ref, ceil_div, type_name
from gridstride.workers.nodata import NoData
from gridstride.workers.operators.base import Grid, Operator, Window
from gridstride.workers.region import Region

if TYPE_CHECKING:
    from gridstride.workers.gpu import Machine

THREADS = 256


def instantiations() -> list[tuple[str, str]]:
    """Every (file, name expression) that can be asked for."""
    return [("layers.cu", f"of_each<{t}, positive>") for t in ("f32", "f64")]


@dataclass(frozen=True)
class Rectified(Operator):
    """max(x, 0) as float32 or float64; NaN stays, and zeros have no sign."""

    out_dtype: np.dtype

    def out_grid(self, grid: Grid) -> Grid:
        return grid.having(self.out_dtype)

    def describe(self) -> str:
        return "max(x, 0)"

    def remarks(self, grid: Grid) -> tuple[str, ...]:
        return converted(grid, self.out_dtype)

    def without(self, nodata: NoData, grid: Grid) -> tuple[Operator, NoData]:
        left = nodata.stored_as(self.out_dtype)
        return Touched(self, nodata, left.value), left

    def scratch(self, want: Region, grid: Grid, device: str) -> int:
        """A copy of what is not contiguous, or of another type than the kernel's, and of such a result."""
        return want.size * (max(4, grid.dtype.itemsize) + 2 * self.out_dtype.itemsize)

    def cpu(self, window: Window, out: np.ndarray) -> None:
        from gridstride.workers.families.rectified_cpu import rectify  # Numba takes time to import

        data = window.part(window.want).data
        data = data.astype(np.float32) if data.dtype == np.float16 else data
        data = in_order(data.view(np.uint8) if data.dtype == np.bool_ else data)
        into = out if out.flags.c_contiguous else np.empty(out.shape, out.dtype)
        rectify(data.reshape(-1), into.reshape(-1))
        if into is not out:
            out[...] = into

    def on_gpu(self, window: Window, machine: Machine) -> Any:
        data = window.data if window.data.dtype == self.out_dtype else window.data.astype(self.out_dtype)
        return super().on_gpu(replace(window, data=data), machine)

    def gpu(self, window: Window, launches: Launches) -> None:
        count = prod(window.want.shape)
        launches.out_dtype = self.out_dtype
        if count:
            args = Ref("data"), Ref("out"), np.int64(count)
            expression = f"of_each<{type_name(self.out_dtype)}, positive>"
            launches.launch("layers.cu", expression, ceil_div(count, THREADS), (THREADS, 1), 0, args)
