"""threshold: which elements are greater than a value, given or found by Otsu's method."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from math import isfinite, isnan, nan
from typing import Literal

import numpy as np
from pydantic import Field

from gridstride.workers.families.elementwise import above
from gridstride.workers.families.histogram import Extremes, Histogram, counted_as, extremes
from gridstride.workers.families.nodata import Awaiting
from gridstride.workers.nodata import NoData
from gridstride.workers.operators.base import Grid, Operator, Report
from gridstride.workers.operators.kinds import Value
from gridstride.workers.operators.recipe import Recipe

FLOAT_BINS = 256
MOST_BINS = 2**24  # a report of 128 MB for each block


class Threshold(Recipe):
    """Whether elements are greater than a value.

    The value of method otsu is that of skimage.filters.threshold_otsu, for the whole array; NaN is left out, and never
    greater. Example: gridstride filter threshold cells.zarr mask.zarr --method otsu
    """

    formula = "out[i] = in[i] > value; otsu: the value t that makes w0(t) w1(t) (mean0(t) - mean1(t))^2 largest"
    source = "N. Otsu, A threshold selection method from gray-level histograms, 1979; skimage.filters.threshold_otsu"

    value: Value | None = Field(None, description="The value to compare with.")
    method: Literal["otsu"] | None = Field(None, description="How to find the value, instead.")

    def bind(self, grid: Grid) -> Operator:
        if (self.value is None) == (self.method is None):
            raise ValueError("give threshold a value or a method, one of them")
        if self.value is not None and isnan(self.value):
            raise ValueError("value is NaN, which nothing is greater than: expected a number")
        return Otsu(grid.dtype) if self.value is None else above(grid.dtype, self.value)


@dataclass(frozen=True)
class Otsu(Operator):
    """A comparison with a value that must be found first: from the histogram; for types of many values, from the
    extremes before that, which say what the bins are.

    histogram: of the elements, as soon as it is known
    """

    dtype: np.dtype
    histogram: Histogram | None = None

    def out_grid(self, grid: Grid) -> Grid:
        return grid.having(bool)

    def without(self, nodata: NoData, grid: Grid) -> tuple[Operator, None]:
        return Awaiting(self, nodata, 0), None

    def first_sweep(self) -> Operator:
        dtype = counted_as(self.dtype)
        if self.histogram is None and dtype.kind != "f" and dtype.itemsize <= 2:
            return Histogram(2 ** (8 * dtype.itemsize), int(np.iinfo(dtype).min))
        return self.histogram or Extremes()

    def sweeps(self) -> int:
        return 1 if isinstance(self.first_sweep(), Histogram) else 2

    def resolve(self, reports: Iterable[Report], grid: Grid) -> Operator:
        sweep = self.first_sweep()
        if isinstance(sweep, Histogram):
            counts = np.zeros(sweep.bins, np.int64)
            for report in reports:
                counts += report
            return above(self.dtype, otsu(counts, sweep))
        found = extremes(reports)
        if found is None:
            return above(self.dtype, nan)
        low, high = found
        return above(self.dtype, low) if low == high else self.but(histogram=self._bins(low, high))

    def _bins(self, low: float, high: float) -> Histogram:
        if self.dtype.kind != "f":
            if high - low >= MOST_BINS:
                raise ValueError(
                    f"otsu: the array's integers go from {low} to {high}, a histogram of more than 2^24 bins: store it "
                    "as floating-point numbers, which have 256 bins"
                )
            return Histogram(int(high - low) + 1, int(low))
        if not isfinite(high - low):
            raise ValueError(f"otsu: the array's values go from {low} to {high}: expected a finite range")
        try:
            edges = np.histogram_bin_edges(np.array([low, high], counted_as(self.dtype)), FLOAT_BINS)
        except ValueError:
            raise ValueError(f"otsu: the array's values, {low} to {high}, are too close for 256 bins") from None
        return Histogram(FLOAT_BINS, edges=edges)


def otsu(counts: np.ndarray, histogram: Histogram) -> float | int:
    """The value that divides a histogram in two classes of the largest variance between them; NaN if it is empty.

    N. Otsu, "A threshold selection method from gray-level histograms", 1979, eq. 18; in skimage's own steps, counts in
    float32, for its very value.
    """
    used = np.flatnonzero(counts)
    if len(used) == 0:
        return nan
    first, last = int(used[0]), int(used[-1])
    if histogram.edges is None:
        low, high = histogram.low + first, histogram.low + last
        centres = np.arange(low, high + 1, dtype=np.int64 if high < 2**63 else np.uint64)
    else:
        centres = ((histogram.edges[:-1] + histogram.edges[1:]) / 2.0)[first : last + 1]
    if first == last:
        return centres[0].item()
    weights = counts[first : last + 1].astype(np.float32)
    below, beyond = np.cumsum(weights), np.cumsum(weights[::-1])[::-1]
    # Scaled by a power of 2, which changes no bit but the exponent: squares of 1e200 would be infinite.
    numbers = centres.astype(np.float64)
    values = weights * np.ldexp(numbers, -np.frexp(np.abs(numbers).max())[1])
    mean_below = np.cumsum(values) / below
    mean_beyond = (np.cumsum(values[::-1]) / beyond[::-1])[::-1]
    between = below[:-1] * beyond[1:] * (mean_below[:-1] - mean_beyond[1:]) ** 2
    return centres[int(np.argmax(between))].item()
