"""downsample: the mean, the largest, the smallest, the median or the most frequent of each box of elements, for
pyramids."""

from __future__ import annotations

from math import prod
from typing import ClassVar

import numpy as np
from pydantic import Field

from gridstride.workers.families.elementwise import stored_as
from gridstride.workers.families.pool import Method, Pool
from gridstride.workers.families.pool_ordered import MOST_ELEMENTS as MOST_SORTED
from gridstride.workers.families.pool_ordered import Ordered
from gridstride.workers.families.weights import MOST_TAPS
from gridstride.workers.launches import AXES
from gridstride.workers.operators.base import Grid, Operator
from gridstride.workers.operators.fields import Filter, per_axis
from gridstride.workers.operators.kinds import Sizes

MOST_ELEMENTS = 2**30  # of a box, whose sums are then exact


class Downsample(Filter):
    """Fewer elements: one for each box of factors elements.

    Boxes at the end of an axis are of the elements that exist; the spacing of the axes is multiplied by the factors,
    and their origin moves to the middle of the first box. Means of integers, and of the two elements in the middle of
    a median, are rounded half to even. The mode is the most frequent element, of several the least: of labels, which
    have no mean, it is the object that has most of a box. NaN gives NaN, but is an element like others to the mode.
    Example: gridstride filter downsample cells.zarr half.zarr --factors 2
    """

    formula: ClassVar[str] = "out[i] = method of in[factor i : factor (i + 1)]"
    source: ClassVar[str] = "skimage.transform.downscale_local_mean, but of the elements that exist at the ends"

    factors: Sizes = Field(2, description="Of the box in elements, one or one per filtered axis.")
    method: Method = Field("mean", description="What is made of a box.")

    def bind(self, grid: Grid) -> Operator:
        if grid.ndim > AXES:
            raise ValueError(f"the array has {grid.ndim} axes ({grid.axis_list()}): downsample takes {AXES} at most")
        axes, dtype = self.filtered(grid), self.out_dtype(grid)
        factors = [1] * grid.ndim
        for axis, factor in zip(axes, per_axis(self.factors, axes, "factors"), strict=True):
            if factor > max(grid.shape[axis], MOST_TAPS):
                raise ValueError(f"factors has {factor} for an axis of {grid.shape[axis]} elements: give less")
            factors[axis] = factor
        if prod(min(factor, n) for factor, n in zip(factors, grid.shape, strict=True)) >= MOST_ELEMENTS:
            raise ValueError(f"factors is {self.factors}: expected boxes of fewer than 2^30 elements")
        if self.method == "mean":
            return Pool(tuple(factors), "mean", dtype)
        if self.method in ("median", "mode"):
            if prod(factors) > MOST_SORTED:
                raise ValueError(f"factors is {self.factors}: expected boxes of {MOST_SORTED} elements at most")
            halves = self.method == "median" and grid.dtype.kind != "f" and dtype.kind == "f"
            made = np.dtype(np.float64) if halves else grid.dtype
            return stored_as(Ordered(tuple(factors), self.method, made), grid, dtype)
        return stored_as(Pool(tuple(factors), self.method, grid.dtype), grid, dtype)
