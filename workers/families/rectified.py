"""Rectified numbers: 0 in place of those below it."""

from __future__ import annotations

from dataclasses import dataclass
from math import prod

import numpy as np

from gridstride.workers.families.nodata import Touched
from gridstride.workers.launches import Launches, Ref, ceil_div, type_name
from gridstride.workers.nodata import NoData
from gridstride.workers.operators.base import Grid, Operator, Window
from gridstride.workers.region import Region

THREADS = 256


def instantiations() -> list[tuple[str, str]]:
    """Every (file, name expression) that can be asked for."""
    return [("layers.cu", f"of_each<{t}, positive>") for t in ("f32", "f64")]


@dataclass(frozen=True)
class Rectified(Operator):
    """max(x, 0) of an array of float32 or float64; NaN stays, and zeros have no sign."""

    def describe(self) -> str:
        return "max(x, 0)"

    def without(self, nodata: NoData, grid: Grid) -> tuple[Operator, NoData]:
        left = nodata.stored_as(grid.dtype)
        return Touched(self, nodata, left.value), left

    def scratch(self, want: Region, grid: Grid, device: str) -> int:
        return 2 * want.size * grid.dtype.itemsize

    def cpu(self, window: Window, out: np.ndarray) -> None:
        from gridstride.workers.families.rectified_cpu import rectify  # Numba takes time to import

        data = np.ascontiguousarray(window.part(window.want).data)
        into = out if out.flags.c_contiguous else np.empty(out.shape, out.dtype)
        rectify(data.reshape(-1), into.reshape(-1))
        if into is not out:
            out[...] = into

    def gpu(self, window: Window, launches: Launches) -> None:
        dtype, count = np.dtype(window.data.dtype), prod(window.want.shape)
        launches.out_dtype = dtype
        if count:
            args = Ref("data"), Ref("out"), np.int64(count)
            expression = f"of_each<{type_name(dtype)}, positive>"
            launches.launch("layers.cu", expression, ceil_div(count, THREADS), (THREADS, 1), 0, args)
