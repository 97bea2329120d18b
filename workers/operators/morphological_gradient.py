"""morphological-gradient: dilation less erosion, as scipy.ndimage.morphological_gradient."""

from __future__ import annotations

from typing import ClassVar

from gridstride.workers.operators.base import Grid, Operator
from gridstride.workers.operators.graph import Step
from gridstride.workers.operators.morphology import Flat


class MorphologicalGradient(Flat):
    """Dilation less erosion: the height of edges.

    Equal to scipy.ndimage.morphological_gradient with a flat structure, but differences of integers saturate where
    scipy's wrap around; of truth values, which scipy refuses, it is what is true in the dilation and false in the
    erosion. NaN in a box gives NaN.
    Example: gridstride filter morphological-gradient cells.zarr edges.zarr --size 3
    """

    formula: ClassVar[str] = "dilation(in) - erosion(in)"
    source: ClassVar[str] = "scipy.ndimage.morphological_gradient"

    def bind(self, grid: Grid) -> Operator:
        steps = (
            Step("dilated", self.dilation(grid)),
            Step("eroded", self.erosion(grid)),
        )
        return self.difference(grid, steps, "dilated", "eroded")
