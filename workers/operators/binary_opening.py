"""binary-opening: erosion, then dilation, as scipy.ndimage.binary_opening."""

from __future__ import annotations

from typing import ClassVar

from gridstride.workers.operators.base import Grid, Operator
from gridstride.workers.operators.morphology import Binary


class BinaryOpening(Binary):
    """Erosion, then dilation: objects smaller than the structure vanish.

    Equal to scipy.ndimage.binary_opening; elements that are not 0 are true, NaN too.
    Example: gridstride filter binary-opening mask.zarr clean.zarr --iterations 2
    """

    formula: ClassVar[str] = "dilation(erosion(in)), each repeated"
    source: ClassVar[str] = "scipy.ndimage.binary_opening"

    def bind(self, grid: Grid) -> Operator:
        return self.stored(grid, *self.erosion(grid), *self.dilation(grid))
