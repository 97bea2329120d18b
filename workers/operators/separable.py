"""Filters made of one-dimensional passes, one axis after another: gaussian, uniform, and every kernel of rank one."""

from __future__ import annotations

from dataclasses import dataclass
from math import prod
from typing import Any, ClassVar

import numpy as np

from gridstride.workers.operators.base import Block, Cast, Halo, accumulator

GPU_BYTES = 8192  # CuPy's pool rounds each of a handful of pieces of memory up to 512 bytes


@dataclass(frozen=True)
class Pass:
    """One correlation along one axis: out[i] = sum over k of weights[k] * in[i + k - before] / divisor.

    weights: float64, in the order of correlation
    before:  elements needed before i: size // 2 + scipy's origin
    cval:    the value outside the grid in mode "constant", as this pass sees it
    divisor: the sum is divided by it (a uniform filter is the sum, divided, as in scipy)
    """

    axis: int
    weights: np.ndarray
    before: int
    mode: str
    cval: float = 0.0
    divisor: float = 1.0

    @property
    def after(self) -> int:
        return len(self.weights) - 1 - self.before

    @property
    def symmetry(self) -> int:
        """1 if the weights are even about their middle, -1 if odd, else 0 (of odd length only).

        Opposite taps are then added before they are multiplied. scipy does so, with this tolerance, and to give its
        bytes the sum must be made in its order: the middle first, then the pairs from the outside in.
        """
        w = self.weights
        if len(w) % 2 == 0:
            return 0
        eps = np.finfo(np.float64).eps
        if (np.abs(w - w[::-1]) <= eps).all():
            return 1
        return -1 if (np.abs(w + w[::-1]) <= eps).all() else 0


@dataclass(frozen=True)
class Separable:
    """Passes along different axes, in order; the boundary is applied by each pass, as scipy does.

    between: round each pass's result to `out_dtype` before the next, as scipy does; else sums stay in the accumulator
    """

    kind: ClassVar[str] = "separable"
    exact: ClassVar[bool] = True

    ndim: int
    passes: tuple[Pass, ...]
    out_dtype: np.dtype
    precision: str = "single"
    cast: Cast = "round"
    between: bool = False

    @property
    def halo(self) -> Halo:
        reach = {p.axis: (p.before, p.after) for p in self.passes}
        return tuple(reach.get(axis, (0, 0)) for axis in range(self.ndim))

    @property
    def modes(self) -> tuple[str, ...]:
        modes = {p.axis: p.mode for p in self.passes}
        return tuple(modes.get(axis, "nearest") for axis in range(self.ndim))

    def out_shape(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        return shape

    def scratch_bytes(self, extent: tuple[int, ...], device: str) -> int:
        item = accumulator(self.precision).itemsize
        padded = [n + before + after for n, (before, after) in zip(extent, self.halo, strict=True)]
        if device == "gpu":
            # two arrays of sums between passes (fewer where passes are fused), sums in place of a result of float16,
            # a copy of a block of float16 as float32, and tables and weights
            sums = 2 + (self.out_dtype == np.float16)
            constants = 4 * sum(padded) + 8 * sum(len(p.weights) for p in self.passes)
            return (sums * item + 4) * prod(padded) + constants + GPU_BYTES
        plane = 3 * item * prod(padded[-2:])
        leading = [p for p in self.passes if p.axis < self.ndim - 3]
        return plane + (2 * item * prod(padded) if leading else 0)

    def compute(self, block: Block, device: Any) -> Any:
        return device.separable(self, block)
