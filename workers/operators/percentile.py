"""percentile: a percentile of a box or footprint, as scipy.ndimage.percentile_filter."""

from __future__ import annotations

from typing import ClassVar

from pydantic import Field

from gridstride.workers.families.rank import of_percentile, ranked
from gridstride.workers.operators.base import Grid, Operator
from gridstride.workers.operators.fields import Boxed
from gridstride.workers.operators.kinds import Real


class Percentile(Boxed):
    """Percentile of a box or footprint.

    Equal to scipy.ndimage.percentile_filter, and exact for 64-bit integers too: always one of the elements, nothing is
    interpolated. NaN counts as larger than infinity. Example: gridstride filter percentile cells.zarr out.zarr
    --percentile 10 --size 5
    """

    formula: ClassVar[str] = "element floor(n percentile / 100) of the n elements of the box, in order, or the last"
    source: ClassVar[str] = "scipy.ndimage.percentile_filter"

    percentile: Real = Field(description="0 is the smallest element, 100 the largest; -20 is 80.")

    def bind(self, grid: Grid) -> Operator:
        if not -100 <= self.percentile <= 100:
            raise ValueError(f"percentile is {self.percentile:g}: expected -100 to 100")
        percent = self.percentile + 100.0 if self.percentile < 0 else self.percentile
        box = self.box(grid)
        # (the box may be of more elements than 64 bits count: `ranked` refuses it)
        rank = int(of_percentile(percent, min(box.count, 2**62)))
        return ranked(box, rank, grid, self.outside(grid), self.out_dtype(grid), percent)
