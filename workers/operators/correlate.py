"""Correlation with any kernel, over one channel or many: directly, or by FFT where the kernel is large."""

from __future__ import annotations

from dataclasses import dataclass
from math import prod
from typing import Any, ClassVar

import numpy as np

from gridstride.workers.operators.base import Block, Cast, Halo, accumulator
from gridstride.workers.operators.separable import GPU_BYTES


@dataclass(frozen=True)
class Correlate:
    """out_o[i] = bias_o + sum over channels c and taps t of weights[o, c, t] * in_c[i + t - before].

    weights: float64 (outputs, channels, *taps), in the order of correlation, with one entry of `taps` for each axis of
             the array (1 for axes that are not filtered); (1, 1, *taps) where there is no channel axis
    before:  elements needed before i on each axis: size // 2 + scipy's origin
    modes, cval: the boundary on each axis, and the value outside in mode "constant"
    algorithm: "direct" or "fft". By FFT sums are made in float64 whatever `precision` says: the error of an FFT is
             relative to the brightest element of the block, which in float32 would drown dim ones.
    channel_axis: the axis that is summed over, or None
    bias:    float64 (outputs,) or None
    """

    kind: ClassVar[str] = "correlate"

    weights: np.ndarray
    before: tuple[int, ...]
    modes: tuple[str, ...]
    cval: float
    out_dtype: np.dtype
    precision: str = "single"
    cast: Cast = "round"
    algorithm: str = "direct"
    channel_axis: int | None = None
    bias: np.ndarray | None = None

    @property
    def taps(self) -> tuple[int, ...]:
        return self.weights.shape[2:]

    @property
    def exact(self) -> bool:
        return self.algorithm != "fft"

    @property
    def halo(self) -> Halo:
        return tuple((b, n - 1 - b) for b, n in zip(self.before, self.taps, strict=True))

    def out_shape(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        if self.channel_axis is None:
            return shape
        return (*shape[: self.channel_axis], self.weights.shape[0], *shape[self.channel_axis + 1 :])

    def scratch_bytes(self, extent: tuple[int, ...], device: str) -> int:
        padded = prod(n + k - 1 for n, k in zip(extent, self.taps, strict=True))
        if self.algorithm == "fft":
            # padded input, its spectrum, the kernel's, their product and its inverse, 8 bytes each for a real
            # element; next_fast_len adds some percent an axis
            outputs = 1 if self.channel_axis is None else 2
            return int(8 * 6 * outputs * padded * 1.15)
        item = accumulator(self.precision).itemsize
        if device == "cpu":
            return item * padded
        # sums, where the kernel does not write the result's type, or in place of a result of float16; a copy of a block
        # of float16 as float32; and tables and weights
        constants = 4 * sum(n + k - 1 for n, k in zip(extent, self.taps, strict=True)) + 8 * self.weights.size
        return item * prod(self.out_shape(extent)) + 4 * padded + constants + GPU_BYTES

    def compute(self, block: Block, device: Any) -> Any:
        return device.fft(self, block) if self.algorithm == "fft" else device.correlate(self, block)
