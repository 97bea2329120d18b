"""From a kernel to the fastest operator that applies it: separable, tap by tap, or by FFT."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod

import numpy as np

from gridstride.workers.families.exact import whole_factors
from gridstride.workers.families.separable import Pass, Separable
from gridstride.workers.families.stencil import DIRECT_NS, FFT_NS, Stencil
from gridstride.workers.families.weights import rank_one, taps_before
from gridstride.workers.operators.base import Cast

# Nanoseconds an element, as those of `stencil`. A separable filter has as many taps as all its passes together.
SEPARABLE_NS = (0.8, 0.018)


@dataclass(frozen=True)
class Correlation:
    """A correlation that is asked for, its axes ascending.

    weights: float64 (outputs, channels, *taps of `axes`), in the order of correlation; (1, 1, ...) without channels
    befores, modes: for each of `axes`
    whole: whether factors of whole weights are to be whole
    """

    weights: np.ndarray
    axes: tuple[int, ...]
    befores: tuple[int, ...]
    modes: tuple[str, ...]
    cval: float | int
    out_dtype: np.dtype
    precision: str
    cast: Cast
    channel_axis: int | None = None
    bias: np.ndarray | None = None
    whole: bool = False

    def operator(self, shape: Sequence[int], algorithm: str) -> Separable | Stencil:
        """The operator for a grid of `shape` by an algorithm: "direct", "separable", "fft", or "auto" for the one
        measured to be fastest. With cast "scipy", auto is direct, in scipy's order."""
        find = whole_factors if self.whole else rank_one
        factors = find(self.weights[0, 0]) if self.channel_axis is None else None
        if algorithm == "separable" and factors is None:
            raise ValueError("the kernel is not separable: use direct or fft")
        if algorithm == "auto":
            algorithm = "direct" if self.cast == "scipy" else self.fastest(shape, factors is not None)
        if algorithm == "separable":
            return self.separable(factors or [])
        if max(self.weights.shape[2:]) == 1:
            algorithm = "direct"  # there is nothing to transform
        return self.stencil(len(shape), algorithm)

    def fastest(self, shape: Sequence[int], separable: bool) -> str:
        taps = int(np.count_nonzero(self.weights)) // self.weights.shape[0]
        filtered = [max(1, shape[axis]) for axis in self.axes]
        return choose(filtered, self.weights.shape[2:], taps, separable, self.precision)

    def separable(self, factors: Sequence[np.ndarray]) -> Separable:
        passes, value = [], self.cval
        for axis, factor, before, mode in zip(self.axes, factors, self.befores, self.modes, strict=True):
            passes.append(Pass(axis, factor, before, mode, value))
            total = float(factor.sum())
            # What the passes so far have made of the constant outside; a whole number is not rounded.
            whole = self.whole and value == int(value) and total == int(total)
            value = int(value) * int(total) if whole else value * total
        return Separable(tuple(passes), self.out_dtype, self.precision, self.cast)

    def stencil(self, ndim: int, algorithm: str) -> Stencil:
        taps, before, modes = [1] * ndim, [0] * ndim, ["nearest"] * ndim
        parts = zip(self.axes, self.weights.shape[2:], self.befores, self.modes, strict=True)
        for axis, n, b, mode in parts:
            taps[axis], before[axis], modes[axis] = n, b, mode
        weights = np.ascontiguousarray(self.weights, dtype=np.float64).reshape(*self.weights.shape[:2], *taps)
        return Stencil(
            weights, tuple(before), tuple(modes), self.cval, self.out_dtype, self.precision, self.cast, algorithm,
            self.channel_axis, self.bias,
        )  # fmt: skip


def in_order(
    kernel: np.ndarray, axes: Sequence[int], modes: Sequence[str], origins: Sequence[int], flip: bool
) -> tuple[np.ndarray, tuple[int, ...], tuple[int, ...], tuple[str, ...]]:
    """(weights, axes, befores, modes) in the order of correlation, axes ascending.

    kernel: (outputs, channels, *taps of `axes`); flip: it is meant for a convolution
    """
    befores = [taps_before(n, origin, flip) for n, origin in zip(kernel.shape[2:], origins, strict=True)]
    if flip:
        kernel = np.flip(kernel, axis=tuple(range(2, kernel.ndim)))
    order = [int(i) for i in np.argsort(axes, kind="stable")]
    weights = kernel.transpose(0, 1, *(2 + i for i in order))

    def ascending(values: Sequence) -> tuple:
        return tuple(values[i] for i in order)

    return weights, ascending(axes), ascending(befores), ascending(modes)


def choose(shape: Sequence[int], sizes: Sequence[int], taps: int, separable: bool, precision: str) -> str:
    """The algorithm with the least estimated time an element: "direct", "separable" or "fft".

    shape: of the filtered axes; sizes: of the kernel; taps: its entries that are not 0. float64 sums take twice the
    time tap by tap; the FFT is always made in float64.
    """
    slower = 2 if precision == "double" else 1
    padded = prod(min(n, 256) + k - 1 for n, k in zip(shape, sizes, strict=True)) / prod(min(n, 256) for n in shape)
    times = {"direct": slower * (DIRECT_NS[0] + DIRECT_NS[1] * taps), "fft": FFT_NS * padded}
    if separable:
        times["separable"] = slower * (SEPARABLE_NS[0] + SEPARABLE_NS[1] * sum(sizes))
    return min(times, key=lambda name: times[name])
