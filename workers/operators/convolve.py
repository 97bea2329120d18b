"""convolve: convolution with any kernel, over one channel or many, as scipy.ndimage.convolve."""

from __future__ import annotations

from dataclasses import replace
from typing import ClassVar, Literal

import numpy as np
from pydantic import Field

from gridstride.workers.array_files import names_file
from gridstride.workers.families.convolution import Correlation, in_order
from gridstride.workers.families.exact import exactly, is_exact
from gridstride.workers.families.weights import NAMED_KERNELS, named_kernel
from gridstride.workers.operators.base import Grid, Operator
from gridstride.workers.operators.fields import (
    FILE,
    ArrayOrFile,
    AxisName,
    Linear,
    find_axis,
    load_array,
    per_axis,
)
from gridstride.workers.operators.kinds import Offsets, Positive, Size


class Convolve(Linear):
    """Convolution with a kernel.

    Equal to scipy.ndimage.convolve. With channels, out_o = sum over c of in_c * K_o,c + bias_o, as a layer of a neural
    network does. NaN gives NaN where its weight is not 0; of a kernel that is made in passes along the axes, as far as
    it reaches. Example: gridstride filter convolve cells.zarr sharp.zarr --kernel sharpen
    """

    flip: ClassVar[bool] = True
    formula: ClassVar[str] = "out[i] = sum over k of kernel[k] * in[i + size // 2 + origin - k]"
    source: ClassVar[str] = "scipy.ndimage.convolve"

    kernel: ArrayOrFile = Field(description=f"{FILE}, or one of {', '.join(NAMED_KERNELS)}.")
    size: Size = Field(3, description="Of kernel box, in elements.")
    sigma: Positive = Field(1.0, description="Of kernel gaussian, in elements.")
    origin: Offsets = Field(0, description="Shift of the kernel, one or one per filtered axis.")
    channels: AxisName | None = Field(None, description="Sum over this axis; the kernel is (outputs, channels, ...).")
    bias: ArrayOrFile | None = Field(None, description="A number for each output channel, in a file.")
    algorithm: Literal["auto", "direct", "separable", "fft"] = Field("auto", description="How the sums are made.")

    def bind(self, grid: Grid) -> Operator:
        self.check_given()
        channel_axis = None if self.channels is None else find_axis(grid, self.channels)
        kernel, axes = self.kernel_and_axes(grid, channel_axis)
        stacked = kernel if channel_axis is not None else kernel[None, None]
        if channel_axis is not None and stacked.shape[1] != grid.shape[channel_axis]:
            raise ValueError(f"the kernel has {stacked.shape[1]} input channels, the array {grid.shape[channel_axis]}")
        ordered = in_order(stacked, axes, self.modes(axes), per_axis(self.origin, axes, "origin"), self.flip)
        out, precision, bias = self.out_dtype(grid), self.sums(grid), self.loaded_bias(len(stacked))
        asked = Correlation(*ordered, self.outside(grid), out, precision, self.cast, channel_axis, bias)
        asked = replace(asked, whole=is_exact(grid, self.precision, self.cast))
        return exactly(asked.operator(grid.shape, self.algorithm), grid, self.precision)

    def filtered(self, grid: Grid, last: int | None = None, without: int | None = None) -> list[int]:
        if last is None and not self.is_named:
            return self.kernel_and_axes(grid, None if self.channels is None else find_axis(grid, self.channels))[1]
        return super().filtered(grid, last, without)

    @property
    def is_named(self) -> bool:
        return isinstance(self.kernel, str) and self.kernel in NAMED_KERNELS

    def check_given(self) -> None:
        """Refuse what only another kernel would use."""
        for field, kernel in (("size", "box"), ("sigma", "gaussian")):
            if field in self.model_fields_set and not (isinstance(self.kernel, str) and self.kernel == kernel):
                raise ValueError(f"{field} is {getattr(self, field)}, which only kernel {kernel} has: leave it out")

    def kernel_and_axes(self, grid: Grid, channel_axis: int | None) -> tuple[np.ndarray, list[int]]:
        """The kernel as an array, and the axes that its last dimensions are of."""
        if self.is_named:
            if channel_axis is not None:
                raise ValueError("channels needs a kernel file with (outputs, channels, ...) dimensions")
            axes = self.filtered(grid)
            return named_kernel(str(self.kernel), len(axes), self.size, self.sigma), axes
        kernel = self.loaded_kernel()
        dimensions = kernel.ndim - (0 if channel_axis is None else 2)
        if dimensions < 1:
            also = "(outputs, channels, then one for each filtered axis)"
            raise ValueError(f"the kernel has {kernel.ndim} dimensions: expected {also}")
        axes = self.filtered(grid, dimensions, channel_axis)
        if channel_axis in axes:
            raise ValueError(f"axis {self.channels!r} is the channel axis: it is summed over, not filtered")
        expected = len(axes) + (0 if channel_axis is None else 2)
        if kernel.ndim != expected:
            also = "" if channel_axis is None else " (outputs, channels, then one for each filtered axis)"
            raise ValueError(f"the kernel has {kernel.ndim} dimensions: expected {expected}{also}")
        return kernel, axes

    def loaded_kernel(self) -> np.ndarray:
        name = self.kernel
        if isinstance(name, str) and not names_file(name):
            known = ", ".join(NAMED_KERNELS)
            raise ValueError(f"unknown kernel {name[:80]!r}: expected a file, such as k.npy, or one of {known}")
        return load_array(self.kernel, "kernel")

    def loaded_bias(self, outputs: int) -> np.ndarray | None:
        if self.bias is None:
            return None
        bias = load_array(self.bias, "bias").astype(np.float64)
        if self.channels is None:
            raise ValueError("bias needs channels")
        if bias.shape != (outputs,):
            raise ValueError(f"bias has shape {bias.shape}: expected ({outputs},), one for each output channel")
        return bias
