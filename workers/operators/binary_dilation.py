"""binary-dilation: true where any of the structure is, as scipy.ndimage.binary_dilation."""

from __future__ import annotations

from typing import ClassVar

from gridstride.workers.operators.base import Grid, Operator
from gridstride.workers.operators.morphology import Binary


class BinaryDilation(Binary):
    """True where any element of the structure, turned round, is: objects grow.

    Equal to scipy.ndimage.binary_dilation; elements that are not 0 are true, NaN too.
    Example: gridstride filter binary-dilation mask.zarr outer.zarr --iterations 2 --connectivity 3
    """

    formula: ClassVar[str] = "any element of the structure turned round is true"
    source: ClassVar[str] = "scipy.ndimage.binary_dilation"

    def bind(self, grid: Grid) -> Operator:
        return self.stored(grid, *self.dilation(grid))
