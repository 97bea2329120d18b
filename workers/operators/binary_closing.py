"""binary-closing: dilation, then erosion, as scipy.ndimage.binary_closing."""

from __future__ import annotations

from typing import ClassVar

from gridstride.workers.operators.base import Grid, Operator
from gridstride.workers.operators.morphology import Binary


class BinaryClosing(Binary):
    """Dilation, then erosion: gaps smaller than the structure close.

    Equal to scipy.ndimage.binary_closing; elements that are not 0 are true, NaN too.
    Example: gridstride filter binary-closing mask.zarr whole.zarr --iterations 2 --border-value 0
    """

    formula: ClassVar[str] = "erosion(dilation(in)), each repeated"
    source: ClassVar[str] = "scipy.ndimage.binary_closing"

    def bind(self, grid: Grid) -> Operator:
        return self.stored(grid, *self.dilation(grid), *self.erosion(grid))
