"""relu: max(x, 0), as torch.nn.ReLU."""

from __future__ import annotations

from typing import ClassVar

from gridstride.workers.families.elementwise import stored_as
from gridstride.workers.families.rectified import Rectified
from gridstride.workers.operators.base import Grid, Operator
from gridstride.workers.operators.fields import DType
from gridstride.workers.operators.layers import FLOATING, Floats


class Relu(Floats):
    """A layer of a neural network: 0 in place of what is below it.

    Equal to torch.nn.functional.relu. NaN stays NaN.
    Example: gridstride filter relu cells.zarr positive.zarr
    """

    formula: ClassVar[str] = "max(in, 0)"
    source: ClassVar[str] = "torch.nn.functional.relu"

    dtype: DType = FLOATING

    def bind(self, grid: Grid) -> Operator:
        return stored_as(Rectified(self.made(grid)), grid, self.out_dtype(grid))
