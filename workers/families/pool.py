"""Pooling: one output for each box of elements, the boxes side by side; those at the end are of what exists."""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import prod
from typing import Literal

import numpy as np

from gridstride.workers.families.elementwise import Elementwise
from gridstride.workers.families.local import Local
from gridstride.workers.families.pool_valid import ExtremeOfValid, MeanOfValid
from gridstride.workers.launches import Launches
from gridstride.workers.nodata import NoData
from gridstride.workers.operators.base import Axis, Grid, Meaning, Operator, Window, rounding
from gridstride.workers.operators.boundary import Taps
from gridstride.workers.region import Region

Method = Literal["mean", "max", "min", "median", "mode"]


@dataclass(frozen=True)
class Pool(Local):
    """The mean, the largest or the smallest element of each box of `factors` elements.

    Means of integers are exact sums, divided and rounded half to even. Those of floating-point numbers are sums in
    float64, in order of the elements in C order. NaN gives NaN.
    out_dtype: the array's own, but for means, which are of any (fractions are kept in floating-point ones)
    """

    factors: tuple[int, ...]
    method: Method
    out_dtype: np.dtype

    def reads(self, grid: Grid) -> tuple[Taps, ...]:
        return tuple(Taps(n, stride=n, mode="constant") for n in self.factors)

    def out_grid(self, grid: Grid) -> Grid:
        shape = tuple(-(-n // factor) for n, factor in zip(grid.shape, self.factors, strict=True))
        axes = zip(grid.axes, self.factors, grid.shape, strict=True)
        return Grid(shape, self.out_dtype, tuple(_pooled(axis, factor, n) for axis, factor, n in axes))

    def describe(self) -> str:
        return f"{self.method} of boxes of {' x '.join(map(str, self.factors))}"

    def remarks(self, grid: Grid) -> tuple[str, ...]:
        return rounding(grid, "double") if self.method == "mean" and self.out_dtype.kind == "f" else ()

    def meaning(self) -> Meaning:
        return Meaning(1.0, between=True, chosen=self.method != "mean")

    def without(self, nodata: NoData, grid: Grid) -> tuple[Operator, NoData]:
        """Each box is of the elements that have a value."""
        left = nodata.stored_as(self.out_dtype)
        if self.method != "mean":
            some = Pool(self.factors, "max", np.dtype(np.uint8))
            return ExtremeOfValid(self, nodata, left.value, some, self.method == "max"), left
        whole = grid.dtype.kind != "f" and self.out_dtype.kind != "f"
        means = np.dtype(("uint64" if grid.dtype == np.uint64 else "int64") if whole else "float64")
        stored = None if means == self.out_dtype else Elementwise("cast", self.out_dtype)
        return MeanOfValid(self, nodata, left.value, stored, self.factors), left

    def scratch(self, want: Region, grid: Grid, device: str) -> int:
        if device == "gpu":
            copies = 4 * (want.size + prod(self.padded_shape(want, grid))) if np.float16 in self._types(grid) else 0
            return copies + 2048
        # a copy of what is not contiguous, and of float16, of sums, and the rows that are summed
        item = max(4, grid.dtype.itemsize)
        return prod(self.padded_shape(want, grid)) * item + 8 * want.size + 64 * want.shape[-1] + 2048

    def _types(self, grid: Grid) -> tuple[np.dtype, np.dtype]:
        return grid.dtype, self.out_dtype

    def cpu(self, window: Window, out: np.ndarray) -> None:
        from gridstride.workers.families.pool_cpu import pool  # Numba takes time to import

        pool(self, window, out)

    def gpu(self, window: Window, launches: Launches) -> None:
        from gridstride.workers.families.pool_gpu import launch_pool

        launch_pool(self, window, launches)


def _pooled(axis: Axis, factor: int, n: int) -> Axis:
    """An axis of boxes: the first is where the middle of its elements is."""
    return replace(axis.moved((max(1, min(factor, n)) - 1) / 2), spacing=axis.spacing * factor)
