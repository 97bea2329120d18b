"""What the layers of neural networks share, as PyTorch has it: an axis of channels, a dtype, and windows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from math import prod
from typing import Annotated, Any

import numpy as np
from pydantic import BeforeValidator, Field

from gridstride.workers.families.elementwise import Elementwise, stored_as
from gridstride.workers.families.lifted import Lifted
from gridstride.workers.families.strided import Steps, Strided, converted
from gridstride.workers.operators.base import Grid, Operator
from gridstride.workers.operators.fields import AxisName, DType, Filter, find_axis, per_axis
from gridstride.workers.operators.graph import Graph, Step
from gridstride.workers.operators.kinds import Counts, Sizes, plain, several, within
from gridstride.workers.operators.recipe import Recipe

MOST_PADDING = 2**16
MOST_AXES = 5
MOST_ELEMENTS = 2**30  # of a window


def padding(value: Any) -> int | tuple[int, ...] | str:
    """A number of elements, one for each axis, or same or valid."""
    found = plain(value)
    if isinstance(found, str) and found not in ("same", "valid"):
        try:
            numbers = tuple(int(part) for part in found.split(","))
        except ValueError:
            raise ValueError("expected a number, one for each axis, same or valid") from None
        found = numbers[0] if len(numbers) == 1 else numbers
    return found if isinstance(found, str) else several(within(0, MOST_PADDING))(found)


Padding = Annotated[int | tuple[int, ...] | str, BeforeValidator(padding)]


def channel_of(grid: Grid) -> int | None:
    """The axis of channels. Raises ValueError if there are several."""
    found = [number for number, axis in enumerate(grid.axes) if axis.type == "channel"]
    if len(found) > 1:
        raise ValueError(f"the array has {len(found)} axes of channels ({grid.axis_list()}): name one")
    return found[0] if found else None


FLOATING: Any = Field(None, description="Of the result (default: float32, but float64 for float64).")


class Floats(Recipe):
    """A layer whose results are floating-point numbers: float64 of float64, float32 of all else."""

    dtype: DType = FLOATING

    def out_dtype(self, grid: Grid) -> np.dtype:
        return np.dtype(self.dtype or ("float64" if grid.dtype == np.float64 else "float32"))

    def made(self, grid: Grid) -> np.dtype:
        """What numbers are while they are computed with."""
        return np.dtype(np.float64 if np.float64 in (grid.dtype, self.out_dtype(grid)) else np.float32)

    def resolved(self, grid: Grid) -> dict[str, Any]:
        return {"dtype": self.out_dtype(grid).name}

    def floating(self, grid: Grid, operator: Operator) -> Operator:
        """An operator that reads floating-point numbers, for any array, and its result as it is to be stored."""
        dtype, out = self.made(grid), self.out_dtype(grid)
        if grid.dtype == dtype:
            return stored_as(operator, grid, out)
        steps = [Step("floats", Elementwise("cast", dtype)), Step("layer", operator, ("floats",))]
        if out != dtype:
            steps.append(Step("stored", Elementwise("cast", out), ("layer",)))
        return Graph(tuple(steps), own=True, says=converted(grid, dtype))


class Channels(Floats):
    """A layer over the channels of each element."""

    channel_axis: AxisName | None = Field(
        None, description="By name or number (default: the axis of type channel; without one the array is one channel)."
    )

    def channel(self, grid: Grid) -> int | None:
        return channel_of(grid) if self.channel_axis is None else find_axis(grid, self.channel_axis)

    def resolved(self, grid: Grid) -> dict[str, Any]:
        return super().resolved(grid) | {"channel_axis": self.channel(grid)}

    def summed(self, grid: Grid, weights: np.ndarray, bias: np.ndarray | None, steps: dict[int, Steps]) -> Operator:
        """The sums over channels and the taps of some axes. weights: (outputs, channels, *taps of these, in order)"""
        outputs, inputs = weights.shape[:2]
        channel = self.channel(grid)
        lifted = channel is None
        have = 1 if channel is None else grid.shape[channel]
        if inputs != have:
            whose = f"axis {channel}" if channel is not None else "an array without an axis of channels"
            raise ValueError(
                f"weights are of {inputs} channel{'s' * (inputs > 1)}, and {whose} has {have}: "
                + ("name the axis with channel_axis" if lifted else "expected as many")
            )
        if bias is not None and bias.shape != (outputs,):
            raise ValueError(f"bias has shape {bias.shape}: expected ({outputs},), one for each output channel")
        spaces = [number for number, axis in enumerate(grid.axes) if axis.type == "space"]
        place = (spaces[0] if spaces else 0) if channel is None else channel
        if lifted and outputs > 1 and grid.ndim == MOST_AXES:
            raise ValueError(
                f"the result would have {grid.ndim + 1} axes, with that of channels: expected {MOST_AXES} at most"
            )
        every = [steps.get(number) or Steps(1, n) for number, n in enumerate(grid.shape)]
        alone = grid.ndim == 1 and not lifted  # channels of nothing: a second axis has one element
        if lifted or alone:
            every.insert(1 if alone else place, Steps(1, 1))
        taps = [step.taps for number, step in enumerate(every) if number != place]
        made = "double" if self.made(grid) == np.float64 else "single"
        whole = weights.reshape(outputs, inputs, *taps)
        operator = Strided.of(whole, bias, every, place, self.out_dtype(grid), made)
        if alone:
            return Lifted(operator, 1, True)
        return Lifted(operator, place, outputs == 1) if lifted else operator


class Layer(Channels, Filter):
    """A layer along the axes of space, whose channels are no such axis."""

    dtype: DType = FLOATING

    def filtered(self, grid: Grid, last: int | None = None, without: int | None = None) -> list[int]:
        channel = self.channel(grid)
        axes = super().filtered(grid, last, channel)
        if channel in axes:
            raise ValueError(f"axis {channel} is that of channels: it cannot be among axes")
        return axes

    def resolved(self, grid: Grid) -> dict[str, Any]:
        return {"axes": self.filtered(grid)} | super().resolved(grid)


def windows(
    grid: Grid,
    axes: Sequence[int],
    taps: Sequence[int],
    stride: Any,
    dilation: Any,
    pads: Any,
    mode: str = "constant",
    ceil: bool = False,
) -> dict[int, Steps]:
    """How a window of some taps moves along each axis. ceil: one that begins inside and reaches beyond the padding
    counts. Raises ValueError where it is longer than the padded axis."""
    strides, dilations = per_axis(stride, axes, "stride"), per_axis(dilation, axes, "dilation")
    if pads == "same" and max(strides) > 1:
        raise ValueError(f"padding is same and stride {stride}: same is for stride 1, give a number of elements")
    found = {}
    for number, axis in enumerate(axes):
        reach = dilations[number] * (taps[number] - 1)
        if pads == "same":
            around = reach // 2, reach - reach // 2
        else:
            around = (per_axis(0 if pads == "valid" else pads, axes, "padding")[number],) * 2
        step = Steps.of(grid.shape[axis], taps[number], strides[number], dilations[number], around, mode)
        if ceil and (step.extent * step.stride - around[0] < grid.shape[axis]):
            over = (grid.shape[axis] + 2 * around[0] - reach - 1) % step.stride > 0
            step = replace(step, extent=step.extent + over)
        if step.extent < 1:
            raise ValueError(
                f"the window reaches {reach + 1} elements along axis {axis}, and {grid.shape[axis]} with padding "
                f"{around[0]} and {around[1]} are {grid.shape[axis] + sum(around)}: give more padding"
            )
        found[axis] = step
    return found


class Pooling(Layer):
    """A layer that makes one element of each window."""

    kernel_size: Sizes = Field(description="Of the window in elements, one or one per filtered axis.")
    stride: Sizes | None = Field(None, description="From one window to the next (default: the kernel's size).")
    padding: Counts = Field(0, description="Elements around the array, at most half of the window.")
    ceil_mode: bool = Field(False, description="Have windows at the end that begin inside and reach beyond it.")

    def pads(self, grid: Grid) -> list[int]:
        return per_axis(self.padding, self.filtered(grid), "padding")

    def steps(self, grid: Grid, dilation: Any) -> tuple[Steps, ...]:
        """How the window moves along each axis of the array."""
        axes = self.filtered(grid)
        sizes, pads = per_axis(self.kernel_size, axes, "kernel_size"), self.pads(grid)
        for size, pad in zip(sizes, pads, strict=True):
            if pad > size // 2:
                raise ValueError(f"padding is {pad} and kernel_size {size}: expected half of the window at most")
        if prod(sizes) >= MOST_ELEMENTS:
            raise ValueError(f"kernel_size is {self.kernel_size}: expected windows of fewer than 2^30 elements")
        stride = self.kernel_size if self.stride is None else self.stride
        found = windows(grid, axes, sizes, stride, dilation, self.padding, ceil=self.ceil_mode)
        return tuple(found.get(axis) or Steps(1, n) for axis, n in enumerate(grid.shape))
