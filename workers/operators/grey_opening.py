"""grey-opening: erosion, then dilation, as scipy.ndimage.grey_opening."""

from __future__ import annotations

from typing import ClassVar

from gridstride.workers.operators.base import Grid, Operator
from gridstride.workers.operators.morphology import Flat


class GreyOpening(Flat):
    """Erosion, then dilation: bright objects smaller than the box vanish.

    Equal to scipy.ndimage.grey_opening with a flat structure. NaN in a box gives NaN.
    Example: gridstride filter grey-opening cells.zarr out.zarr --size 5
    """

    formula: ClassVar[str] = "dilation(erosion(in))"
    source: ClassVar[str] = "scipy.ndimage.grey_opening"

    def bind(self, grid: Grid) -> Operator:
        return self.stored(grid, self.erosion(grid), self.dilation(grid))
