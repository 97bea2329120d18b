"""sobel: the derivative along an axis, smoothed along the others, as scipy.ndimage.sobel; or their norm."""

from __future__ import annotations

from typing import ClassVar

from pydantic import Field

from gridstride.workers.families.derivatives import gradient_passes, joined, stored
from gridstride.workers.families.exact import exactly
from gridstride.workers.families.joined import Joined
from gridstride.workers.families.separable import Separable
from gridstride.workers.operators.base import Grid, Operator, accumulator, rounding
from gridstride.workers.operators.fields import AxisName, Linear, find_axis


class Sobel(Linear):
    """Derivative along an axis by Sobel's kernel.

    Equal to scipy.ndimage.sobel, of no unit: a ramp of 1 gives 2 x 4^(axes - 1). --magnitude: the square root of the
    sum of the squares of these derivatives along all filtered axes, in floating-point numbers until it is stored.
    Results below 0 are 0 in unsigned integers: give a dtype. NaN gives NaN there and in all neighbours.
    Example: gridstride filter sobel cells.zarr edges.zarr --axis y --dtype float32
    """

    formula: ClassVar[str] = "(-1, 0, 1) along the axis, (1, 2, 1) along each other; magnitude: sqrt(sum of squares)"
    source: ClassVar[str] = "scipy.ndimage.sobel"
    smoothing: ClassVar[tuple[float, float, float]] = (1.0, 2.0, 1.0)

    axis: AxisName | None = Field(None, description="Axis along which differences are taken (default: the last).")
    magnitude: bool = Field(False, description="The Euclidean norm of the derivatives along all filtered axes.")

    def bind(self, grid: Grid) -> Operator:
        axes = self.filtered(grid)
        if self.magnitude and self.axis is not None:
            raise ValueError(f"axis is {self.axis} and magnitude is given, which is of all filtered axes: give one")
        along = max(axes) if self.axis is None else find_axis(grid, self.axis)
        if along not in axes:
            raise ValueError(f"axis {self.axis} is not among the filtered axes: name it in axes too")
        modes, outside, sums, out = self.modes(axes), self.outside(grid), self.sums(grid), self.out_dtype(grid)
        passes = {axis: gradient_passes(axes, axis, self.smoothing, modes, outside) for axis in axes}
        if not self.magnitude:
            return exactly(Separable.of(passes[along], out, sums, self.cast), grid, self.precision)
        number = accumulator(sums)
        parts = [exactly(Separable.of(passes[axis], number, sums, "round"), grid, self.precision) for axis in axes]
        return stored(joined(parts, Joined("euclidean")), number, out, self.cast, rounding(grid, sums))
