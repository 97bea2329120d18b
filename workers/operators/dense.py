"""dense: a linear layer over the channels of each element, as torch.nn.Linear."""

from __future__ import annotations

from typing import ClassVar

from pydantic import Field

from gridstride.workers.operators.base import Grid, Operator
from gridstride.workers.operators.fields import FILE, ArrayOrFile, DType, load_array
from gridstride.workers.operators.layers import FLOATING, Channels


class Dense(Channels):
    """A layer of a neural network: weighted sums of the channels of each element.

    Equal to torch.nn.functional.linear over the axis of channels, wherever that is, and so to a convolution by a kernel
    of one element, to float32's rounding. The output channels are on the axis of channels; an array without one is
    one channel, and of several outputs the result has a new axis before those of space. Weights of 0 are left out, so
    that NaN and infinity do not spread by them.
    Example: gridstride filter dense cells.zarr both.zarr --weights signs.npy
    """

    formula: ClassVar[str] = "out[o] = bias[o] + sum over c of weights[o, c] * in[c]"
    source: ClassVar[str] = "torch.nn.functional.linear"

    weights: ArrayOrFile = Field(description=f"(outputs, channels): {FILE}.")
    bias: ArrayOrFile | None = Field(None, description="A number for each output channel, in such a file.")
    dtype: DType = FLOATING

    def bind(self, grid: Grid) -> Operator:
        weights = load_array(self.weights, "weights")
        if weights.ndim != 2:
            raise ValueError(f"weights have shape {weights.shape}: expected (outputs, channels)")
        bias = None if self.bias is None else load_array(self.bias, "bias")
        return self.summed(grid, weights, bias, {})
