"""white-tophat: the array less its opening, as scipy.ndimage.white_tophat."""

from __future__ import annotations

from typing import ClassVar

from gridstride.workers.operators.base import Grid, Operator
from gridstride.workers.operators.graph import INPUT, Step
from gridstride.workers.operators.morphology import Flat


class WhiteTophat(Flat):
    """The array less its opening: bright objects smaller than the box, without background.

    Equal to scipy.ndimage.white_tophat with a flat structure, but differences of integers saturate where scipy's wrap
    around; of truth values it is what is true in the array and false in the opening, where scipy takes all that
    differs (more only where a constant border counts as true). NaN in a box gives NaN.
    Example: gridstride filter white-tophat cells.zarr spots.zarr --size 1,9,9
    """

    formula: ClassVar[str] = "in - dilation(erosion(in))"
    source: ClassVar[str] = "scipy.ndimage.white_tophat"

    def bind(self, grid: Grid) -> Operator:
        steps = (
            Step("eroded", self.erosion(grid)),
            Step("opened", self.dilation(grid), ("eroded",)),
        )
        return self.difference(grid, steps, INPUT, "opened")
