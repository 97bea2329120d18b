"""laplace: the sum of second differences, as scipy.ndimage.laplace."""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from gridstride.workers.families.derivatives import added
from gridstride.workers.families.exact import exactly
from gridstride.workers.families.separable import Pass, Separable
from gridstride.workers.families.stencil import Stencil
from gridstride.workers.operators.base import Grid, Operator, accumulator, signs
from gridstride.workers.operators.fields import Linear

SECOND = np.array([1.0, -2.0, 1.0])


class Laplace(Linear):
    """Sum of the second differences along all filtered axes.

    Equal to scipy.ndimage.laplace. Results below 0 are 0 in unsigned integers: give a dtype. NaN gives NaN there
    and in its neighbours along the axes.
    Example: gridstride filter laplace cells.zarr out.zarr --dtype float32
    """

    formula: ClassVar[str] = "sum over axes of x[i - 1] - 2 x[i] + x[i + 1]"
    source: ClassVar[str] = "scipy.ndimage.laplace"

    def bind(self, grid: Grid) -> Operator:
        axes = self.filtered(grid)
        modes, outside, sums, out = self.modes(axes), self.outside(grid), self.sums(grid), self.out_dtype(grid)
        if self.cast == "scipy":
            passes = [Pass(axis, SECOND, 1, mode, outside) for axis, mode in zip(axes, modes, strict=True)]
            parts = [Separable.of([one], out, sums, "scipy") for one in passes]
            return added(parts, out, accumulator(sums), "scipy", signs(out, "scipy"))
        weights, every = np.zeros([3 if axis in axes else 1 for axis in range(grid.ndim)]), ["nearest"] * grid.ndim
        for axis, mode in zip(axes, modes, strict=True):
            line = [slice(None) if other == axis else n // 2 for other, n in enumerate(weights.shape)]
            weights[tuple(line)] += SECOND
            every[axis] = mode
        before = tuple(n // 2 for n in weights.shape)
        return exactly(Stencil(weights[None, None], before, tuple(every), outside, out, sums), grid, self.precision)
