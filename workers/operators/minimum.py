"""minimum: the smallest element of a box or footprint, as scipy.ndimage.minimum_filter."""

from __future__ import annotations

from typing import ClassVar

from gridstride.workers.operators.base import Grid, Operator
from gridstride.workers.operators.morphology import Flat


class Minimum(Flat):
    """Smallest element of a box or footprint.

    Equal to scipy.ndimage.minimum_filter, and exact for 64-bit integers too. NaN in a box gives NaN, as in
    numpy.minimum.
    Example: gridstride filter minimum cells.zarr out.zarr --size 1,5,5
    """

    formula: ClassVar[str] = "the smallest element of the box"
    source: ClassVar[str] = "scipy.ndimage.minimum_filter"

    def bind(self, grid: Grid) -> Operator:
        return self.stored(grid, self.erosion(grid))
