"""median: the median of a box, as scipy.ndimage.median_filter."""

from __future__ import annotations

from math import prod

from pydantic import Field

from gridstride.workers.families.elementwise import stored_as
from gridstride.workers.families.rank import Rank, constant
from gridstride.workers.families.weights import box_taps, taps_before
from gridstride.workers.operators.base import Grid, Operator
from gridstride.workers.operators.fields import Neighbourhood, per_axis
from gridstride.workers.operators.kinds import Offsets, Sizes

MOST_ELEMENTS = 2**21  # of a box: 128 along each of three axes


class Median(Neighbourhood):
    """Median of a box.

    Equal to scipy.ndimage.median_filter, and exact for 64-bit integers too; NaN counts as larger than infinity. Of an
    even number of elements it is the upper of the middle two. Example: gridstride filter median cells.zarr out.zarr
    """

    size: Sizes = Field(3, description="Of the box in elements, one or one per filtered axis.")
    origin: Offsets = Field(0, description="Shift, one or one per filtered axis.")

    def bind(self, grid: Grid) -> Operator:
        axes = self.filtered(grid)
        size, before, modes = [1] * grid.ndim, [0] * grid.ndim, ["nearest"] * grid.ndim
        sizes, origins = per_axis(self.size, axes, "size"), per_axis(self.origin, axes, "origin")
        for axis, n, mode, origin in zip(axes, sizes, self.modes(axes), origins, strict=True):
            size[axis], before[axis], modes[axis] = box_taps(n), taps_before(n, origin), mode
        if prod(size) > MOST_ELEMENTS:
            raise ValueError(
                f"size is {self.size}: a box of {prod(size):.3g} elements, expected {MOST_ELEMENTS} at most"
            )
        cval = constant(self.outside(grid), grid.dtype) if "constant" in modes else 0
        operator = Rank(tuple(size), tuple(before), tuple(modes), prod(size) // 2, cval)
        return stored_as(operator, grid, self.out_dtype(grid))
