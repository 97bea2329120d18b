"""maximum: the largest element of a box or footprint, as scipy.ndimage.maximum_filter."""

from __future__ import annotations

from typing import ClassVar

from gridstride.workers.families.minmax import extreme
from gridstride.workers.operators.base import Grid, Operator
from gridstride.workers.operators.morphology import Flat


class Maximum(Flat):
    """Largest element of a box or footprint.

    Equal to scipy.ndimage.maximum_filter, and exact for 64-bit integers too. NaN in a box gives NaN, as in
    numpy.maximum.
    Example: gridstride filter maximum cells.zarr out.zarr --size 1,5,5
    """

    formula: ClassVar[str] = "the largest element of the box"
    source: ClassVar[str] = "scipy.ndimage.maximum_filter"

    def bind(self, grid: Grid) -> Operator:
        return self.stored(grid, extreme(self.checked(grid), True, grid, self.outside(grid)))
