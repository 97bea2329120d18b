"""grey-dilation: the largest element of a box or footprint turned round, as scipy.ndimage.grey_dilation."""

from __future__ import annotations

from typing import ClassVar

from gridstride.workers.operators.base import Grid, Operator
from gridstride.workers.operators.morphology import Flat


class GreyDilation(Flat):
    """Largest element of a box or footprint, turned round: bright objects grow.

    Equal to scipy.ndimage.grey_dilation with a flat structure. NaN in a box gives NaN.
    Example: gridstride filter grey-dilation cells.zarr out.zarr --size 3
    """

    formula: ClassVar[str] = "the largest element of the box turned round its origin"
    source: ClassVar[str] = "scipy.ndimage.grey_dilation"

    def bind(self, grid: Grid) -> Operator:
        return self.stored(grid, self.dilation(grid))
