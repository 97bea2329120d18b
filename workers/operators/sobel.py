"""sobel: the derivative along an axis, smoothed along the others, as scipy.ndimage.sobel."""

from __future__ import annotations

import numpy as np
from pydantic import Field

from gridstride.workers.families.exact import exactly
from gridstride.workers.families.separable import Pass, Separable
from gridstride.workers.operators.base import Grid, Operator
from gridstride.workers.operators.fields import AxisName, Linear, find_axis


class Sobel(Linear):
    """Derivative along an axis by Sobel's kernel.

    Equal to scipy.ndimage.sobel. Example: gridstride filter sobel cells.zarr edges.zarr --axis y --dtype float32
    """

    axis: AxisName | None = Field(None, description="Axis along which differences are taken (default: the last).")

    def bind(self, grid: Grid) -> Operator:
        axes = self.filtered(grid)
        along = max(axes) if self.axis is None else find_axis(grid, self.axis)
        if along not in axes:
            raise ValueError(f"axis {self.axis} is not among the filtered axes: name it in axes too")
        modes = dict(zip(axes, self.modes(axes), strict=True))
        outside = self.outside(grid)
        passes = [Pass(along, np.array([-1.0, 0.0, 1.0]), 1, modes[along], outside)]
        passes += [Pass(axis, np.array([1.0, 2.0, 1.0]), 1, modes[axis], outside) for axis in axes if axis != along]
        operator = Separable.of(passes, self.out_dtype(grid), self.sums(grid), self.cast)
        return exactly(operator, grid, self.precision)
