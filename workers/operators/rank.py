"""rank: the element of a given rank in a box or footprint, as scipy.ndimage.rank_filter."""

from __future__ import annotations

from typing import ClassVar

from pydantic import Field

from gridstride.workers.families.rank import ranked
from gridstride.workers.operators.base import Grid, Operator
from gridstride.workers.operators.fields import Boxed
from gridstride.workers.operators.kinds import Whole


class Rank(Boxed):
    """Element of a given rank among those of a box or footprint.

    Equal to scipy.ndimage.rank_filter, and exact for 64-bit integers too; NaN counts as larger than infinity. Of m
    elements that have a value among n it is the one of rank m (2 rank + 1) // (2 n). Example: gridstride filter rank
    cells.zarr out.zarr --rank -2 --size 3
    """

    formula: ClassVar[str] = (
        "element number rank, from 0, of the n elements of the box in order; of a rank below 0, number n + rank"
    )
    source: ClassVar[str] = "scipy.ndimage.rank_filter"

    rank: Whole = Field(description="0 is the smallest element, 1 the next; -1 is the largest, -2 the next.")

    def bind(self, grid: Grid) -> Operator:
        box = self.box(grid)
        if not -box.count <= self.rank < box.count:
            what = f"{box.count} element{'' if box.count == 1 else 's'}"
            raise ValueError(f"rank is {self.rank}: expected {-box.count} to {box.count - 1}, of {what}")
        return ranked(box, self.rank % box.count, grid, self.outside(grid), self.out_dtype(grid))
