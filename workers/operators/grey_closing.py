"""grey-closing: dilation, then erosion, as scipy.ndimage.grey_closing."""

from __future__ import annotations

from typing import ClassVar

from gridstride.workers.operators.base import Grid, Operator
from gridstride.workers.operators.morphology import Flat


class GreyClosing(Flat):
    """Dilation, then erosion: dark objects smaller than the box vanish.

    Equal to scipy.ndimage.grey_closing with a flat structure. NaN in a box gives NaN.
    Example: gridstride filter grey-closing cells.zarr out.zarr --size 5
    """

    formula: ClassVar[str] = "erosion(dilation(in))"
    source: ClassVar[str] = "scipy.ndimage.grey_closing"

    def bind(self, grid: Grid) -> Operator:
        return self.stored(grid, self.dilation(grid), self.erosion(grid))
