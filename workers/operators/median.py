"""median: the median of a box or footprint, as scipy.ndimage.median_filter."""

from __future__ import annotations

from typing import ClassVar

from pydantic import Field

from gridstride.workers.families.rank import ranked
from gridstride.workers.operators.base import Grid, Operator
from gridstride.workers.operators.fields import Boxed
from gridstride.workers.operators.kinds import Sizes


class Median(Boxed):
    """Median of a box or footprint.

    Equal to scipy.ndimage.median_filter, and exact for 64-bit integers too; NaN counts as larger than infinity. Of an
    even number of elements it is the upper of the middle two. Example: gridstride filter median cells.zarr out.zarr
    """

    formula: ClassVar[str] = "element n // 2 of the n elements of the box, in order"
    source: ClassVar[str] = "scipy.ndimage.median_filter"

    size: Sizes | None = Field(3, description="Of the box in elements, one or one per filtered axis.")

    def bind(self, grid: Grid) -> Operator:
        box = self.box(grid)
        return ranked(box, box.count // 2, grid, self.outside(grid), self.out_dtype(grid))
