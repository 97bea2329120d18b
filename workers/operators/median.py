"""median: the median of a box, as scipy.ndimage.median_filter."""

from __future__ import annotations

from math import prod

from pydantic import Field

from gridstride.workers.families.elementwise import stored_as
from gridstride.workers.families.rank import Rank, constant
from gridstride.workers.families.weights import taps_before
from gridstride.workers.operators.base import Grid, Operator
from gridstride.workers.operators.fields import Counts, Neighbourhood, per_axis


class Median(Neighbourhood):
    """Median of a box.

    Equal to scipy.ndimage.median_filter, and exact for 64-bit integers too; NaN counts as larger than infinity. Of an
    even number of elements it is the upper of the middle two. Example: gridstride filter median cells.zarr out.zarr
    """

    size: Counts = Field(3, description="Of the box in elements, one or one per filtered axis.")
    origin: Counts = Field(0, description="Shift, one or one per filtered axis.")

    def bind(self, grid: Grid) -> Operator:
        axes = self.filtered(grid)
        size, before, modes = [1] * grid.ndim, [0] * grid.ndim, ["nearest"] * grid.ndim
        sizes, origins = per_axis(self.size, axes, "size"), per_axis(self.origin, axes, "origin")
        for axis, n, mode, origin in zip(axes, sizes, self.modes(axes), origins, strict=True):
            if n < 1:
                raise ValueError(f"size is {n}: expected a whole number, 1 or more")
            size[axis], before[axis], modes[axis] = n, taps_before(n, origin), mode
        cval = constant(self.cval, grid.dtype) if "constant" in modes else 0
        operator = Rank(tuple(size), tuple(before), tuple(modes), prod(size) // 2, cval)
        return stored_as(operator, grid, self.out_dtype(grid))
