"""black-tophat: the closing of the array less itself, as scipy.ndimage.black_tophat."""

from __future__ import annotations

from typing import ClassVar

from gridstride.workers.operators.base import Grid, Operator
from gridstride.workers.operators.graph import INPUT, Step
from gridstride.workers.operators.morphology import Flat


class BlackTophat(Flat):
    """The closing of the array less itself: dark objects smaller than the box.

    Equal to scipy.ndimage.black_tophat with a flat structure, but differences of integers saturate where scipy's wrap
    around; of truth values it is what is true in the closing and false in the array, where scipy takes all that
    differs (more only where a constant border counts as false). NaN in a box gives NaN.
    Example: gridstride filter black-tophat cells.zarr holes.zarr --size 1,9,9
    """

    formula: ClassVar[str] = "erosion(dilation(in)) - in"
    source: ClassVar[str] = "scipy.ndimage.black_tophat"

    def bind(self, grid: Grid) -> Operator:
        steps = (
            Step("dilated", self.dilation(grid)),
            Step("closed", self.erosion(grid), ("dilated",)),
        )
        return self.difference(grid, steps, "closed", INPUT)
