"""Sweeps that only report: the extremes of an array, and its histogram. Both are exact, whatever the blocks and their
order: reports are joined by smaller and larger, and by sums of integers."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from gridstride.workers.families.nodata import OfValid
from gridstride.workers.families.parts import MOST_ROWS, nothing
from gridstride.workers.families.rows import in_order
from gridstride.workers.launches import Launches
from gridstride.workers.nodata import NoData
from gridstride.workers.operators.base import Grid, Operator, Report, Window
from gridstride.workers.region import Region


def counted_as(dtype: np.dtype) -> np.dtype:
    """What elements of a dtype are counted as: float16 as float32, which kernels read, and bool as bytes."""
    return np.dtype({"float16": np.float32, "bool": np.uint8}.get(dtype.name, dtype))


@dataclass(frozen=True)
class Extremes(Operator):
    """Reports the smallest and the largest element, (rows, 2) of the array's dtype; NaN is left out."""

    def without(self, nodata: NoData, grid: Grid) -> tuple[Operator, None]:
        return OfValid(self, nodata), None

    def writes(self) -> bool:
        return False

    def scratch(self, want: Region, grid: Grid, device: str) -> int:
        return want.size * (4 if grid.dtype == np.float16 else 0) + 2 * 8 * MOST_ROWS

    def cpu(self, window: Window, out: np.ndarray) -> Report:
        data = window.part(window.want).data
        dtype = counted_as(data.dtype)
        low, high = nothing(dtype)
        found = np.fmin.reduce(data, axis=None, initial=low), np.fmax.reduce(data, axis=None, initial=high)
        return np.array([found], dtype)

    def gpu(self, window: Window, launches: Launches) -> None:
        from gridstride.workers.families.histogram_gpu import launch_extremes

        launch_extremes(window, launches)


def extremes(reports: Iterable[Report]) -> tuple[float | int, float | int] | None:
    """The extremes of the array from the reports of `Extremes`, or None where there is no number."""
    every = [(report[:, 0].min().item(), report[:, 1].max().item()) for report in reports]
    if not every:
        return None
    low, high = min(low for low, _ in every), max(high for _, high in every)
    return (low, high) if low <= high else None


@dataclass(frozen=True)
class Histogram(Operator):
    """Reports how many elements each of `bins` holds, int64 (bins,).

    low:   of integers, the value of the first bin; each bin holds one value
    edges: of floating-point numbers, (bins + 1,) ascending, of the dtype they are counted as. A bin holds its lower
           edge, the last its upper edge too, as np.histogram counts. NaN is left out.

    No element may lie outside of the bins.
    """

    bins: int
    low: int = 0
    edges: np.ndarray | None = None

    def without(self, nodata: NoData, grid: Grid) -> tuple[Operator, None]:
        return OfValid(self, nodata), None

    def writes(self) -> bool:
        return False

    def scratch(self, want: Region, grid: Grid, device: str) -> int:
        return want.size * counted_as(grid.dtype).itemsize + 8 * (2 * self.bins + 1)

    @property
    def scale(self) -> float:
        """Bins a unit: it finds the bin of a number, or the one beside it."""
        return 0.0 if self.edges is None else self.bins / (float(self.edges[-1]) - float(self.edges[0]))

    def cpu(self, window: Window, out: np.ndarray) -> Report:
        from gridstride.workers.families import histogram_cpu  # Numba takes time to import

        data = window.part(window.want).data
        flat = in_order(np.asarray(data, counted_as(data.dtype))).reshape(-1)
        counts = np.zeros(self.bins, np.int64)
        if self.edges is None:
            histogram_cpu.count_integers(flat, flat.dtype.type(self.low), counts)
        else:
            histogram_cpu.count_numbers(flat, self.edges, self.scale, counts)
        return counts

    def gpu(self, window: Window, launches: Launches) -> None:
        from gridstride.workers.families.histogram_gpu import launch_histogram

        launch_histogram(self, window, launches)
