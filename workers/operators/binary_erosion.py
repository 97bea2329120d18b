"""binary-erosion: true where the whole structure is, as scipy.ndimage.binary_erosion."""

from __future__ import annotations

from typing import ClassVar

from gridstride.workers.operators.base import Grid, Operator
from gridstride.workers.operators.morphology import Binary


class BinaryErosion(Binary):
    """True where the whole structure around an element is: objects shrink.

    Equal to scipy.ndimage.binary_erosion; elements that are not 0 are true, NaN too.
    Example: gridstride filter binary-erosion mask.zarr inner.zarr --iterations 2
    """

    formula: ClassVar[str] = "all elements of the structure are true"
    source: ClassVar[str] = "scipy.ndimage.binary_erosion"

    def bind(self, grid: Grid) -> Operator:
        return self.stored(grid, *self.erosion(grid))
