"""avg-pool: the mean of each window, as torch.nn.AvgPool1d, AvgPool2d and AvgPool3d."""

from __future__ import annotations

from typing import ClassVar

from pydantic import Field

from gridstride.workers.families.windows import Windows
from gridstride.workers.operators.base import Grid, Operator
from gridstride.workers.operators.layers import Pooling


class AvgPool(Pooling):
    """A layer of a neural network: the mean of each window.

    Equal to torch.nn.functional.avg_pool1d, avg_pool2d and avg_pool3d to float32's rounding, of sums in float64:
    windows lie side by side unless stride says otherwise, and those that do not fit at the end are left out
    (--ceil-mode has them too). Padding counts as zeros, unless --no-count-include-pad leaves it out of the mean. NaN
    gives NaN.
    Example: gridstride filter avg-pool cells.zarr half.zarr --kernel-size 2
    """

    formula: ClassVar[str] = "out[i] = mean over k of in[stride * i + k - padding]"
    source: ClassVar[str] = "torch.nn.functional.avg_pool1d, avg_pool2d, avg_pool3d"

    count_include_pad: bool = Field(True, description="Count the padding as zeros.")

    def bind(self, grid: Grid) -> Operator:
        steps = self.steps(grid, 1)
        axes = dict(zip(self.filtered(grid), self.pads(grid), strict=True))
        padded = tuple(n + 2 * axes.get(axis, 0) for axis, n in enumerate(grid.shape))
        return self.floating(grid, Windows(steps, "mean", padded if self.count_include_pad else None))
