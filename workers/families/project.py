"""Projection: one number from each line of elements along an axis, which the result lacks."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, ClassVar, Literal

import numpy as np

from gridstride.workers.families.nodata import Masked, Run, as_bytes, chosen, filled
from gridstride.workers.families.parts import nothing
from gridstride.workers.families.whole import apart, as_number, divided, half_to_even, halves
from gridstride.workers.launches import Launches
from gridstride.workers.nodata import NoData
from gridstride.workers.operators.base import Grid, Meaning, Operator, Window, rounding
from gridstride.workers.region import Region

Method = Literal["max", "min", "mean", "sum", "std"]
NAMES = {"max": "maximum", "min": "minimum", "mean": "mean", "sum": "sum", "std": "standard deviation"}


def whole(dtype: np.dtype) -> bool:
    return dtype.kind != "f"


def wide(dtype: np.dtype) -> np.dtype:
    """The type of sums of a dtype."""
    return np.dtype({"f": np.float64, "u": np.uint64}.get(dtype.kind, np.int64))


@dataclass(frozen=True)
class Project(Operator):
    """A number from each line along `axis`, which is of `size` elements.

    Sums of integers are exact (those beyond 64 bits saturate), and so are means of them: rounded once, to float64, or
    half to even to integers. Those of floating-point numbers are made in float64, in order. A standard deviation is
    made from the squares of the distances from the mean, in order. NaN gives NaN.
    out_dtype: the array's own, or of sums that of `wide`; float64 of means (that of `wide` too) and deviations
    """

    axis: int
    size: int
    method: Method
    out_dtype: np.dtype

    def out_grid(self, grid: Grid) -> Grid:
        axes = self.axes_from(grid)
        return Grid(tuple(grid.shape[i] for i in axes), self.out_dtype, tuple(grid.axes[i] for i in axes))

    def axes_from(self, grid: Grid) -> tuple[int, ...]:
        return tuple(i for i in range(grid.ndim) if i != self.axis)

    def needed(self, want: Region, grid: Grid) -> Region:
        """Whole lines."""
        n = grid.shape[self.axis] if want.size else 0
        return Region((*want.spans[: self.axis], (0, n), *want.spans[self.axis :]))

    def describe(self) -> str:
        return f"{NAMES[self.method]} of whole lines"

    def remarks(self, grid: Grid) -> tuple[str, ...]:
        if self.method != "mean" or whole(self.out_dtype) or not rounding(grid, "double"):
            return ()
        return ("means beyond 2^53 are rounded to the nearest that float64 has",)

    def meaning(self) -> Meaning:
        if self.method == "std":
            return Meaning(0.0)
        if self.method == "sum":
            return Meaning(float(self.size))
        return Meaning(1.0, between=True, chosen=self.method != "mean")

    def without(self, nodata: NoData, grid: Grid) -> tuple[Operator, NoData]:
        """Each line is of the elements that have a value."""
        left = nodata.stored_as(self.out_dtype)
        return ProjectOfValid(self, nodata, left.value), left

    def scratch(self, want: Region, grid: Grid, device: str) -> int:
        if device == "gpu":
            halves = 4 * (want.size + self.needed(want, grid).size) if grid.dtype == np.float16 else 0
            return halves + 2048
        return 48 * want.size + 2**21  # sums, means and what they are rounded from; pieces of lines

    def cpu(self, window: Window, out: np.ndarray) -> None:
        from gridstride.workers.families.project_cpu import project  # Numba takes time to import

        project(self, window, out)

    def gpu(self, window: Window, launches: Launches) -> None:
        from gridstride.workers.families.project_gpu import launch_project

        launch_project(self, window, launches)


@dataclass(frozen=True)
class ProjectOfValid(Masked):
    """A number from the elements of each line that have a value; `missing` where none has."""

    version: ClassVar[int] = 2  # 1 divided sums that had saturated, and took 64-bit integers to float64 for deviations
    operator: Project

    def scratch(self, want: Region, grid: Grid, device: str) -> int:
        need = self.needed(want, grid).size
        halves = 32 if grid.dtype.kind != "f" and grid.dtype.itemsize == 8 else 0
        each = {"mean": halves, "std": 36}.get(self.operator.method, 0)
        return super().scratch(want, grid, device) + 128 * want.size + each * need

    def made(self, window: Window, valid: Any, xp: Any, run: Run) -> Any:
        project, dtype = self.operator, window.data.dtype
        count = self.sums(as_bytes(window, valid), run).astype(np.int64)
        some = count > 0
        count = chosen(some, count, 1, xp)
        if project.method in ("max", "min"):
            largest, smallest = nothing(dtype)
            result = run(project, filled(window, valid, xp, largest if project.method == "min" else smallest))
        elif project.method == "sum":
            result = self.sums(filled(window, valid, xp), run)
        elif whole(dtype):
            result = self.of_whole(window, valid, count, xp, run)
        else:
            result = self.sums(filled(window, valid, xp), run) / count
            if project.method == "std":
                result = self.deviation(
                    window, valid, window.data - xp.expand_dims(result, project.axis), count, xp, run
                )
        return chosen(some, result, self.missing, xp)

    def of_whole(self, window: Window, valid: Any, count: Any, xp: Any, run: Run) -> Any:
        """Means or deviations of integers, from exact sums; those of 64 bits are summed in two halves."""
        project, part = self.operator, filled(window, valid, xp)
        if part.data.dtype.itemsize == 8:
            grid = window.grid.having(np.int64)
            high, low = (self.sums(replace(part, data=half, grid=grid), run) for half in halves(part.data))
        else:
            low = self.sums(part, run).astype(np.int64)
            high = xp.zeros_like(low)
        mean, rest = divided(high, low, count, wide(window.data.dtype))
        if project.method == "mean":
            return half_to_even(mean, rest, count) if whole(project.out_dtype) else as_number(mean, rest, count, xp)
        far = apart(window.data, xp.expand_dims(mean, project.axis), xp)
        return self.deviation(window, valid, far - xp.expand_dims(rest / count, project.axis), count, xp, run)

    def deviation(self, window: Window, valid: Any, far: Any, count: Any, xp: Any, run: Run) -> Any:
        """far: the distances from the mean"""
        far = xp.where(valid, far, 0)
        far *= far
        squares = Window(far, window.have, window.want, window.grid.having(np.float64))
        return xp.sqrt(self.sums(squares, run) / count)

    def sums(self, window: Window, run: Run) -> Any:
        return run(self.operator.but(method="sum", out_dtype=wide(window.grid.dtype)), window)
