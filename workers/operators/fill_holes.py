"""fill-holes: objects without holes, as scipy.ndimage.binary_fill_holes."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
from pydantic import Field

from gridstride.workers.operators.base import Grid, Operator
from gridstride.workers.operators.kinds import Size
from gridstride.workers.operators.objects import Objects


class FillHoles(Objects):
    """Fill the holes of objects: background that is not connected to an end of a filtered axis.

    Equal to scipy.ndimage.binary_fill_holes; elements that are not 0 are objects, NaN too. The result is bool.
    Example: gridstride filter fill-holes mask.zarr whole.zarr --spatial 2
    """

    formula: ClassVar[str] = "in[i] != 0, or the background that i is in touches no end of a filtered axis"
    source: ClassVar[str] = "scipy.ndimage.binary_fill_holes"

    connectivity: Size = Field(
        1,
        description="What connects elements of the background: 1 a common face, 2 an edge too, 3 a corner.",
    )

    def bind(self, grid: Grid) -> Operator:
        labels = self.labels(grid).but(of="background", gives="holes", border=1, dtype=np.dtype(bool))
        return self.stored(labels, grid)

    def out_dtype(self, grid: Grid) -> np.dtype:
        return np.dtype(bool) if self.dtype is None else np.dtype(self.dtype)
