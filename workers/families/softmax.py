"""Softmax along an axis, by an exponential function whose steps are the same on every processor."""

from __future__ import annotations

from dataclasses import dataclass
from math import factorial, log, prod
from typing import Any

import numpy as np

from gridstride.workers.families.nodata import Masked, Run, chosen, filled
from gridstride.workers.launches import Launches, Ref, ceil_div, type_name
from gridstride.workers.nodata import NoData
from gridstride.workers.operators.base import Grid, Operator, Window
from gridstride.workers.region import Region

THREADS = 256
# log 2 as a number of few bits, whose multiples are exact, and the rest; the lowest x, of which e^x is 0, and the power
# of two there; coefficients of e^x for |x| <= log(2) / 2, the highest power first: of float32 as in S. Moshier's Cephes
# library (expf), of float64 those of the series.
HIGH = {"float32": 0.693359375, "float64": 6.93145751953125e-1}
LOW = {"float32": -2.12194440e-4, "float64": 1.42860682030941723212e-6}
LOWEST = {"float32": (-88.0, -127.0), "float64": (-709.1, -1023.0)}
SERIES = {
    "float32": (
        1.9875691500e-4,
        1.3981999507e-3,
        8.3334519073e-3,
        4.1665795894e-2,
        1.6666665459e-1,
        5.0000001201e-1,
        1,
        1,
    ),
    "float64": tuple(1 / factorial(n) for n in range(13, -1, -1)),
}


def instantiations() -> list[tuple[str, str]]:
    """Every (file, name expression) that can be asked for."""
    return [("layers.cu", f"softmax<{t}>") for t in ("f32", "f64")]


def numbers(dtype: np.dtype) -> np.ndarray:
    """What the exponential function is made of, in a dtype, float32 or float64."""
    name = dtype.name
    return np.array([1 / log(2), HIGH[name], LOW[name], *LOWEST[name], *SERIES[name]], dtype)


@dataclass(frozen=True)
class Softmax(Operator):
    """exp(x - m) / sum of exp(x - m) along an axis of an array of float32 or float64; m is the largest element there.

    Sums are in order. Of a line with NaN or +infinity all is NaN.
    """

    axis: int

    def uncut(self, grid: Grid) -> frozenset[int]:
        return frozenset([self.axis])

    def describe(self) -> str:
        return f"softmax along axis {self.axis}"

    def element_time(self, grid: Grid) -> float:
        return 2.0

    def without(self, nodata: NoData, grid: Grid) -> tuple[Operator, NoData]:
        """Of the elements that have a value; the others stay without."""
        left = nodata.stored_as(grid.dtype)
        return OfValid(self, nodata, left.value), left

    def scratch(self, want: Region, grid: Grid, device: str) -> int:
        """Copies of an array and a result that are not contiguous, and a tile of lines."""
        return 2 * want.size * grid.dtype.itemsize + 256 * (want.shape[self.axis] + 8)

    def cpu(self, window: Window, out: np.ndarray) -> None:
        from gridstride.workers.families.softmax_cpu import softmax  # Numba takes time to import

        if out.size:
            softmax(window.part(window.want).data, self.axis, numbers(out.dtype), out)

    def gpu(self, window: Window, launches: Launches) -> None:
        shape, dtype = window.want.shape, np.dtype(window.data.dtype)
        launches.out_dtype, count = dtype, prod(shape)
        if count == 0:
            return
        lines, inner = count // shape[self.axis], prod(shape[self.axis + 1 :])
        made = numbers(dtype)
        sizes = np.int64(lines), np.int64(shape[self.axis]), np.int64(inner)
        args = [Ref("data"), Ref("out"), *sizes, launches.constant(made), np.int32(len(made))]
        launches.launch("layers.cu", f"softmax<{type_name(dtype)}>", ceil_div(lines, THREADS), (THREADS, 1), 0, args)


@dataclass(frozen=True)
class OfValid(Masked):
    """Softmax of the elements that have a value."""

    def made(self, window: Window, valid: Any, xp: Any, run: Run) -> Any:
        return chosen(valid, run(self.operator, filled(window, valid, xp, -np.inf)), self.missing, xp)
