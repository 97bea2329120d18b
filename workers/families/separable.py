"""Filters made of one-dimensional passes, one axis after another: gaussian, uniform, and every kernel of rank one."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from math import prod
from typing import ClassVar

import numpy as np

from gridstride.workers.families.local import Local
from gridstride.workers.families.nodata import Normalised, Touched
from gridstride.workers.families.separable_view import SLAB, TOGETHER, count_alone, loops_bytes, writes
from gridstride.workers.launches import Launches
from gridstride.workers.nodata import NoData
from gridstride.workers.operators.base import Cast, Grid, Meaning, Operator, Window, accumulator, rounding, signs
from gridstride.workers.operators.boundary import Taps
from gridstride.workers.region import Region

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
    cval: float | int = 0.0
    divisor: float = 1.0

    @property
    def taps(self) -> Taps:
        return Taps(len(self.weights), -self.before, mode=self.mode)

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
class Separable(Local):
    """Passes along different axes, in order; the boundary is applied by each pass, as scipy does.

    between: round each pass's result to `out_dtype` before the next, as scipy does; else sums stay in the accumulator
    """

    version: ClassVar[int] = 2  # float32 sums on the CPU: taps in order, each rounded once with its product

    passes: tuple[Pass, ...]
    out_dtype: np.dtype
    precision: str = "single"
    cast: Cast = "round"
    between: bool = False

    @classmethod
    def of(cls, passes: Iterable[Pass], out_dtype: np.dtype, precision: str, cast: Cast) -> Separable:
        """The passes in the axes' order, which can be fused, or in the one they are given in, which is scipy's: for its
        bytes, or where each pass takes what is outside to be a number that the others would change."""
        passes, scipys = tuple(passes), cast == "scipy"
        if not scipys and not any(p.mode == "constant" and p.cval != 0 for p in passes):
            passes = tuple(sorted(passes, key=lambda p: p.axis))
        return cls(passes, out_dtype, precision, cast, between=scipys)

    @staticmethod
    def identity(ndim: int) -> tuple[Pass, ...]:
        """A pass that changes nothing, for a filter of none: what casts must still be done."""
        return (Pass(ndim - 1, np.ones(1), 0, "nearest"),)

    def reads(self, grid: Grid) -> tuple[Taps, ...]:
        taps = {p.axis: p.taps for p in self.passes}
        return tuple(taps.get(axis, Taps()) for axis in range(grid.ndim))

    def out_grid(self, grid: Grid) -> Grid:
        return grid.having(self.out_dtype)

    def describe(self) -> str:
        return f"separable, sums in {self.precision} precision"

    def remarks(self, grid: Grid) -> tuple[str, ...]:
        return rounding(grid, self.precision) + (signs(self.out_dtype, self.cast) if self.meaning().gain == 0 else ())

    def meaning(self) -> Meaning:
        return Meaning.of_sum(self.gain, self.is_positive)

    def without(self, nodata: NoData, grid: Grid) -> tuple[Operator, NoData]:
        """Means of the elements that have a value; other sums are no data where a missing one has a weight."""
        left, cval = nodata.stored_as(self.out_dtype), self.passes[0].cval if self.passes else 0.0
        # What lies outside counts, unless it is given as no data.
        outside = float(nodata.counts(cval, grid.dtype))
        if self.gain > 0 and self.is_positive:
            # The largest weight is 1: of equal weights both sums are whole numbers, and their quotient is exact.
            equal = [replace(p, weights=p.weights / p.weights.max()) for p in self.passes]
            sums, weights = (
                Separable(undivided(equal, value), np.dtype(np.float64), "double")
                for value in (cval if outside else 0.0, outside)
            )
            stored = Separable((), self.out_dtype, "double", self.cast)
            return Normalised(sums, nodata, left.value, weights, stored, self.meaning().gain or 0.0), left
        used = [replace(p, weights=(p.weights != 0).astype(float)) for p in self.passes]
        reach = Separable(undivided(used, 1 - outside), np.dtype(np.float32))
        return Touched(self, nodata, left.value, reach), left

    @property
    def gain(self) -> float:
        return prod(float(p.weights.sum()) / p.divisor for p in self.passes)

    @property
    def is_positive(self) -> bool:
        return all((p.weights >= 0).all() for p in self.passes)

    def scratch(self, want: Region, grid: Grid, device: str) -> int:
        item, shape = accumulator(self.precision).itemsize, self.padded_shape(want, grid)
        if device == "gpu":
            # two arrays of sums between passes (fewer where passes are fused), sums in place of a result of float16,
            # a copy of a block of float16 as float32, and tables and weights
            sums = 2 + (self.out_dtype == np.float16)
            constants = 4 * sum(shape) + 8 * sum(len(p.weights) for p in self.passes)
            return (sums * item + 4) * prod(shape) + constants + GPU_BYTES
        passes = self.passes or self.identity(grid.ndim)
        alone = count_alone(shape, [p.axis for p in passes])
        # sums before and after a pass that is made alone, or of slabs; a block of float16 as float32
        work = 2 * item * prod(shape) if alone else 4 * prod(shape) if grid.dtype == np.float16 else 0
        taps = [{p.axis: len(p.weights)} for p in passes[:alone]] + [{p.axis: len(p.weights) for p in passes[alone:]}]
        work += max(loops_bytes(shape, found, item, max(item, grid.dtype.itemsize)) for found in taps)
        if self.between or not writes(accumulator(self.precision), self.out_dtype, self.cast):
            plane = min(p.axis for p in passes[alone:])
            work += 32 * min(prod(shape), SLAB // item + TOGETHER * prod(shape[plane + 1 :]))
        return work

    def cpu(self, window: Window, out: np.ndarray) -> None:
        from gridstride.workers.families.separable_cpu import separable  # Numba takes time to import

        separable(self, window, out)

    def gpu(self, window: Window, launches: Launches) -> None:
        from gridstride.workers.families.separable_gpu import launch_separable

        launch_separable(self, window, launches)


def undivided(passes: Iterable[Pass], value: float) -> tuple[Pass, ...]:
    """The passes without their divisors; value: of the constant outside, of which each pass makes a multiple."""
    found = []
    for step in passes:
        found.append(replace(step, divisor=1.0, cval=value))
        value *= float(step.weights.sum())
    return tuple(found)
