"""Projection: one number from each line of elements along an axis, which the result lacks."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from gridstride.workers.families.nodata import Masked, Run, as_bytes, chosen, filled
from gridstride.workers.families.parts import nothing
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
        if self.method == "std":
            return ()
        return rounding(grid, "double") if self.method == "mean" and not whole(self.out_dtype) else ()

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

    operator: Project

    def describe(self) -> str:
        return f"{self.operator.describe()}, of elements that have a value"

    def scratch(self, want: Region, grid: Grid, device: str) -> int:
        squares = 24 * self.needed(want, grid).size if self.operator.method == "std" else 0
        return super().scratch(want, grid, device) + 64 * want.size + squares

    def made(self, window: Window, valid: Any, xp: Any, run: Run) -> Any:
        project, dtype = self.operator, window.data.dtype
        if project.method in ("max", "min"):
            largest, smallest = nothing(dtype)
            result = run(project, filled(window, valid, xp, largest if project.method == "min" else smallest))
        count = self.sums(as_bytes(window, valid), run).astype(np.int64)
        some = count > 0
        count = chosen(some, count, 1, xp)
        if project.method in ("sum", "mean", "std"):
            result = self.sums(filled(window, valid, xp), run)
        if project.method == "mean" and whole(project.out_dtype):
            result = _half_to_even(result, count.astype(result.dtype))
        elif project.method in ("mean", "std"):
            result = result / count
        if project.method == "std":
            apart = xp.where(valid, window.data - xp.expand_dims(result, project.axis), 0)
            squares = Window(apart * apart, window.have, window.want, window.grid.having(np.float64))
            result = xp.sqrt(self.sums(squares, run) / count)
        return chosen(some, result, self.missing, xp)

    def sums(self, window: Window, run: Run) -> Any:
        return run(self.operator.but(method="sum", out_dtype=wide(window.grid.dtype)), window)


def _half_to_even(total: Any, count: Any) -> Any:
    """Quotients of integers, rounded. Divisions are towards -infinity."""
    mean = total // count
    twice = 2 * (total - mean * count)
    return mean + ((twice > count) | ((twice == count) & (mean % 2 == 1)))
