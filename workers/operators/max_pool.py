"""max-pool: the largest element of each window, as torch.nn.MaxPool1d, MaxPool2d and MaxPool3d."""

from __future__ import annotations

from typing import ClassVar

from pydantic import Field

from gridstride.workers.families.windows import Windows
from gridstride.workers.operators.base import Grid, Operator
from gridstride.workers.operators.kinds import Sizes
from gridstride.workers.operators.layers import Pooling


class MaxPool(Pooling):
    """A layer of a neural network: the largest element of each window.

    Equal to torch.nn.functional.max_pool1d, max_pool2d and max_pool3d: windows lie side by side unless stride says
    otherwise, and those that do not fit at the end are left out (--ceil-mode has them too). Padding is never the
    largest. NaN gives NaN. To halve images and keep what is at their ends, see downsample.
    Example: gridstride filter max-pool cells.zarr half.zarr --kernel-size 2
    """

    formula: ClassVar[str] = "out[i] = max over k of in[stride * i + dilation * k - padding]"
    source: ClassVar[str] = "torch.nn.functional.max_pool1d, max_pool2d, max_pool3d"

    dilation: Sizes = Field(1, description="Elements from one of a window to the next, one or one per filtered axis.")

    def bind(self, grid: Grid) -> Operator:
        return self.floating(grid, Windows(self.steps(grid, self.dilation), "max"))
