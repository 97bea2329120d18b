"""grey-erosion: the smallest element of a box or footprint, as scipy.ndimage.grey_erosion."""

from __future__ import annotations

from typing import ClassVar

from gridstride.workers.operators.base import Grid, Operator
from gridstride.workers.operators.morphology import Flat


class GreyErosion(Flat):
    """Smallest element of a box or footprint: bright objects shrink.

    Equal to scipy.ndimage.grey_erosion with a flat structure. NaN in a box gives NaN.
    Example: gridstride filter grey-erosion cells.zarr out.zarr --size 3
    """

    formula: ClassVar[str] = "the smallest element of the box"
    source: ClassVar[str] = "scipy.ndimage.grey_erosion"

    def bind(self, grid: Grid) -> Operator:
        return self.stored(grid, self.erosion(grid))
