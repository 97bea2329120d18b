"""Correlation with any kernel, over one channel or many: directly, or by FFT where the kernel is large."""

from __future__ import annotations

from dataclasses import dataclass
from math import prod
from typing import TYPE_CHECKING, Any

import numpy as np

from gridstride.workers.families.local import WHOLE, Local
from gridstride.workers.families.march import DENSE_SHAPES, MARCH_TYPES
from gridstride.workers.families.nodata import Normalised, Touched
from gridstride.workers.families.separable import GPU_BYTES, Separable
from gridstride.workers.families.stencil_ring import Ring
from gridstride.workers.launches import Launches, type_name
from gridstride.workers.nodata import NoData
from gridstride.workers.operators.base import Cast, Grid, Meaning, Operator, Window, accumulator, rounding, signs
from gridstride.workers.operators.boundary import Taps
from gridstride.workers.region import Region

if TYPE_CHECKING:
    from gridstride.workers.gpu import Machine

# Nanoseconds an element on one core, float32, the first as (base, slope a tap): `python -m benchmarks crossover` fits
# them. The FFT's hardly depend on the kernel's size.
DIRECT_NS = (0.7, 0.024)
FFT_NS = 50.0


@dataclass(frozen=True)
class Stencil(Local):
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

    version = 2  # sums in float32 round once for each tap

    weights: np.ndarray
    before: tuple[int, ...]
    modes: tuple[str, ...]
    cval: float | int
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
    def exact(self) -> bool:  # type: ignore[override]
        return self.algorithm != "fft"

    @property
    def channels(self) -> tuple[int, int]:
        """Numbers of output and input channels."""
        return self.weights.shape[0], self.weights.shape[1]

    def reads(self, grid: Grid) -> tuple[Taps | None, ...]:
        taps = zip(self.taps, self.before, self.modes, strict=True)
        return tuple(WHOLE if a == self.channel_axis else Taps(n, -b, mode=m) for a, (n, b, m) in enumerate(taps))

    def out_grid(self, grid: Grid) -> Grid:
        if self.channel_axis is None:
            return grid.having(self.out_dtype)
        shape = (*grid.shape[: self.channel_axis], self.channels[0], *grid.shape[self.channel_axis + 1 :])
        return grid.having(self.out_dtype, shape)

    def uncut(self, grid: Grid) -> frozenset[int]:
        return frozenset() if self.channel_axis is None else frozenset([self.channel_axis])

    def element_time(self, grid: Grid) -> float:
        taps = prod(self.taps) * self.channels[1]
        return FFT_NS if self.algorithm == "fft" else DIRECT_NS[0] + DIRECT_NS[1] * taps

    def marches(self, dtype: np.dtype) -> bool:
        """Whether cuda/march.cu has a kernel for these taps, which adds up those of a plane by columns: so does the
        CPU then. It must not depend on the block, so that the bits do not."""
        if self.precision != "single" or self.cast != "round" or self.channel_axis is not None:
            return False
        taps = (1, 1, *self.taps)
        if prod(taps[:-3]) > 1 or taps[-3:] not in DENSE_SHAPES or type_name(dtype) not in MARCH_TYPES:
            return False
        return dtype.kind == "f" or "constant" not in self.modes or _holds(dtype, self.cval)

    def describe(self) -> str:
        return f"{self.algorithm}, sums in {self._summed} precision"

    def remarks(self, grid: Grid) -> tuple[str, ...]:
        return rounding(grid, self._summed) + (signs(self.out_dtype, self.cast) if self.meaning().gain == 0 else ())

    @property
    def _summed(self) -> str:
        return "double" if self.algorithm == "fft" else self.precision

    def meaning(self) -> Meaning:
        if self.channel_axis is not None:
            return Meaning()
        return Meaning.of_sum(float(self.weights.sum()), bool((self.weights >= 0).all()))

    def without(self, nodata: NoData, grid: Grid) -> tuple[Operator, NoData]:
        """As of separable sums; those over channels are no data where a missing element has a weight."""
        left, outside = nodata.stored_as(self.out_dtype), float(nodata.counts(self.cval, grid.dtype))
        gain = self.meaning().gain
        if gain is not None and gain > 0 and (self.weights >= 0).all():
            # Tap by tap: an FFT's rounding would be large beside a small sum of weights. The largest weight is 1.
            one = self.but(weights=self.weights / self.weights.max(), precision="double", cast="round")
            sums, weights = (
                one.but(cval=value, out_dtype=np.dtype(np.float64), algorithm="direct")
                for value in (self.cval if outside else 0.0, outside)
            )
            stored = Separable((), self.out_dtype, "double", self.cast)
            return Normalised(sums, nodata, left.value, weights, stored, gain), left
        used = (self.weights != 0).astype(float)
        reach = self.but(
            weights=used, cval=1 - outside, out_dtype=np.dtype(np.float32), precision="single", cast="round", bias=None
        )
        return Touched(self, nodata, left.value, reach), left

    def scratch(self, want: Region, grid: Grid, device: str) -> int:
        padded = prod(self.padded_shape(want, grid))
        if self.algorithm == "fft":
            # padded input, its spectrum, the kernel's, their product and its inverse, 8 bytes each for a real
            # element; next_fast_len adds some percent an axis
            outputs = 1 if self.channel_axis is None else 2
            return int(8 * 6 * outputs * padded * 1.15)
        if device == "cpu":
            halves = 4 * self.needed(want, grid).size if grid.dtype == np.float16 else 0
            return Ring.of(self, want).nbytes + halves
        item = accumulator(self.precision).itemsize
        # sums, where the kernel does not write the result's type, or in place of a result of float16; a copy of a block
        # of float16 as float32; and tables and weights
        constants = 4 * sum(self.padded_shape(want, grid)) + 8 * self.weights.size
        return item * want.size + 4 * padded + constants + GPU_BYTES

    def cpu(self, window: Window, out: np.ndarray) -> None:
        from gridstride.workers.families import stencil_cpu  # Numba takes time to import

        if self.algorithm == "fft":
            stencil_cpu.fft(self, window, out)
        else:
            stencil_cpu.correlate(self, window, out)

    def gpu(self, window: Window, launches: Launches) -> None:
        from gridstride.workers.families.stencil_gpu import launch_stencil

        launch_stencil(self, window, launches)

    def on_gpu(self, window: Window, machine: Machine) -> Any:
        if self.algorithm != "fft":
            return super().on_gpu(window, machine)
        from gridstride.workers.families.stencil_gpu import fft

        return fft(self, window, machine)


def _holds(dtype: np.dtype, value: float) -> bool:
    """Whether an integer type has the value."""
    limits = np.iinfo(dtype)
    return limits.min <= value <= limits.max and value == int(value)
