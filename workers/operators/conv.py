"""conv: a convolution over channels, as torch.nn.Conv1d, Conv2d and Conv3d."""

from __future__ import annotations

from typing import ClassVar, Literal

import numpy as np
from pydantic import Field

from gridstride.workers.families.weights import MOST_WEIGHTS
from gridstride.workers.operators.base import Grid, Operator
from gridstride.workers.operators.fields import FILE, ArrayOrFile, load_array
from gridstride.workers.operators.kinds import Size, Sizes
from gridstride.workers.operators.layers import Layer, Padding, windows

MODES = {"zeros": "constant", "reflect": "mirror", "replicate": "nearest", "circular": "wrap"}


class Conv(Layer):
    """A layer of a neural network: convolution over channels.

    Equal to torch.nn.functional.conv1d, conv2d and conv3d (which do not turn the kernel round) to float32's rounding:
    the weights are (outputs, channels / groups, then one for each filtered axis), those of PyTorch's modules. The
    output channels are on the axis of channels; an array without one is one channel, and of several outputs the result
    has a new axis before those of space. Weights of 0 are left out, so that NaN and infinity do not spread by them.
    Example: gridstride filter conv cells.zarr edges.zarr --weights edges.safetensors:conv1.weight --padding same
    """

    formula: ClassVar[str] = (
        "out[o, i] = bias[o] + sum over c, k of weights[o, c, k] * in[c, stride * i + dilation * k - padding]"
    )
    source: ClassVar[str] = "torch.nn.functional.conv1d, conv2d, conv3d"

    weights: ArrayOrFile = Field(description=f"(outputs, channels / groups, *kernel): {FILE}.")
    bias: ArrayOrFile | None = Field(None, description="A number for each output channel, in such a file.")
    stride: Sizes = Field(1, description="Elements from one result to the next, one or one per filtered axis.")
    padding: Padding = Field(
        0,
        description="Elements around the array, one or one per filtered axis; same: so that the result has its shape.",
    )
    dilation: Sizes = Field(1, description="Elements from a tap to the next, one or one per filtered axis.")
    groups: Size = Field(1, description="Parts of the channels, each of which makes its part of the outputs.")
    padding_mode: Literal["zeros", "reflect", "replicate", "circular"] = Field(
        "zeros", description="What is around the array."
    )

    def bind(self, grid: Grid) -> Operator:
        weights = self.loaded_weights()
        axes = self.filtered(grid)
        if weights.ndim - 2 != len(axes):
            raise ValueError(
                f"weights have shape {weights.shape}: expected (outputs, channels, then one for each of the "
                f"{len(axes)} filtered axes)"
            )
        steps = windows(
            grid, axes, weights.shape[2:], self.stride, self.dilation, self.padding, MODES[self.padding_mode]
        )
        bias = None if self.bias is None else load_array(self.bias, "bias").astype(np.float64)
        order = [2 + int(number) for number in np.argsort(axes)]
        return self.summed(grid, self.grouped(weights).transpose(0, 1, *order), bias, steps)

    def filtered(self, grid: Grid, last: int | None = None, without: int | None = None) -> list[int]:
        given = self.axes is not None or self.spatial is not None
        return super().filtered(grid, None if given else self.loaded_weights().ndim - 2)

    def loaded_weights(self) -> np.ndarray:
        weights = load_array(self.weights, "weights")
        if weights.ndim < 3:
            raise ValueError(f"weights have shape {weights.shape}: expected (outputs, channels, then the kernel's)")
        return weights

    def grouped(self, weights: np.ndarray) -> np.ndarray:
        """The weights of all channels: 0 for those of other groups."""
        outputs, inputs = weights.shape[:2]
        if outputs % self.groups:
            raise ValueError(
                f"groups is {self.groups} and weights are of {outputs} outputs: expected a divisor of these"
            )
        if weights.size * self.groups > MOST_WEIGHTS:
            raise ValueError(f"groups makes {weights.size * self.groups} weights: expected {MOST_WEIGHTS} at most")
        whole = np.zeros((outputs, inputs * self.groups, *weights.shape[2:]))
        each = outputs // self.groups
        for group in range(self.groups):
            of = slice(group * each, (group + 1) * each)
            whole[of, group * inputs : (group + 1) * inputs] = weights[of]
        return whole
