"""uniform: the mean over a box, as scipy.ndimage.uniform_filter."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
from pydantic import Field

from gridstride.workers.families.exact import exactly
from gridstride.workers.families.separable import Pass, Separable
from gridstride.workers.families.weights import box_taps, taps_before
from gridstride.workers.operators.base import Grid, Operator
from gridstride.workers.operators.fields import Linear, per_axis
from gridstride.workers.operators.kinds import Offsets, Sizes


class Uniform(Linear):
    """Mean over a box.

    Equal to scipy.ndimage.uniform_filter, but NaN gives NaN in the boxes that it lies in, not on to the end of the
    line. Example: gridstride filter uniform cells.zarr mean.zarr --size 3,5,5
    """

    formula: ClassVar[str] = "sum of the n elements of the box / n"
    source: ClassVar[str] = "scipy.ndimage.uniform_filter"

    size: Sizes = Field(3, description="Of the box in elements, one or one per filtered axis.")
    origin: Offsets = Field(0, description="Shift, one or one per filtered axis.")

    def bind(self, grid: Grid) -> Operator:
        axes = self.filtered(grid)
        passes, outside = [], self.outside(grid)
        sizes, origins = per_axis(self.size, axes, "size"), per_axis(self.origin, axes, "origin")
        for axis, size, mode, origin in zip(axes, sizes, self.modes(axes), origins, strict=True):
            before = taps_before(box_taps(size), origin)
            if size > 1:
                passes.append(Pass(axis, np.ones(size), before, mode, outside, float(size)))
        operator = Separable.of(passes, self.out_dtype(grid), self.sums(grid), self.cast)
        return exactly(operator, grid, self.precision)
