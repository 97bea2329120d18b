"""project: the largest, the smallest, the mean, the sum or the standard deviation along an axis."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
from pydantic import Field

from gridstride.workers.families.elementwise import stored_as
from gridstride.workers.families.project import Method, whole, wide
from gridstride.workers.families.project import Project as Line
from gridstride.workers.operators.base import Grid, Operator
from gridstride.workers.operators.fields import AxisName, DType, find_axis
from gridstride.workers.operators.recipe import Recipe

MOST_ELEMENTS = 2**30  # of a line, whose sums are then exact


class Project(Recipe):
    """One number for each line along an axis, which the result lacks: its maximum, mean, sum, ...

    Equal to numpy.max, min, mean, sum and std along the axis, and of their dtypes, but exact: sums and means of
    integers are rounded once, at the end, and saturate, and deviations are from the exact mean; sums of floating-point
    numbers are made in float64, in order. NaN gives NaN. A block reads whole lines.
    Example: gridstride filter project cells.zarr flat.zarr --axis z
    """

    formula: ClassVar[str] = "out[y, x] = max over z of in[z, y, x]; std: sqrt(mean((in - mean(in))^2))"
    source: ClassVar[str] = "numpy.max, numpy.min, numpy.mean, numpy.sum, numpy.std"

    axis: AxisName = Field(description="Axis to project along, by name or number, such as z.")
    method: Method = Field("max", description="What is made of a line.")
    dtype: DType = Field(None, description="Of the result (default: as NumPy: of integers int64, uint64 or float64).")

    def resolved(self, grid: Grid) -> dict[str, Any]:
        return {"axis": find_axis(grid, self.axis), "dtype": self.out_dtype(grid).name}

    def out_dtype(self, grid: Grid) -> np.dtype:
        if self.dtype is not None:
            return np.dtype(self.dtype)
        if self.method in ("max", "min") or not whole(grid.dtype):
            return grid.dtype
        return wide(grid.dtype) if self.method == "sum" else np.dtype(np.float64)

    def bind(self, grid: Grid) -> Operator:
        axis = find_axis(grid, self.axis)
        n, out = grid.shape[axis], self.out_dtype(grid)
        if grid.ndim == 1:
            raise ValueError("the array has one axis: a projection along it would leave none")
        if n == 0:
            raise ValueError(f"axis {self.axis} has no elements: there is nothing to project")
        if n >= MOST_ELEMENTS:
            raise ValueError(f"axis {self.axis} has {n} elements: expected fewer than 2^30")
        made = np.dtype(np.float64)
        if self.method in ("max", "min"):
            made = grid.dtype
        elif self.method == "sum" or (self.method == "mean" and whole(grid.dtype) and whole(out)):
            made = wide(grid.dtype)
        return stored_as(Line(axis, n, self.method, made), grid, out)
