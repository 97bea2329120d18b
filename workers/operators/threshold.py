"""threshold: which elements are greater than a value, given or found from the histogram of the whole array."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from math import isfinite, isnan, nan
from typing import Literal

import numpy as np
from pydantic import Field

from gridstride.workers.families.cross_entropy import CrossEntropy
from gridstride.workers.families.elementwise import above
from gridstride.workers.families.histogram import Extremes, Histogram, counted_as, extremes
from gridstride.workers.families.nodata import Awaiting
from gridstride.workers.families.thresholds import METHODS
from gridstride.workers.nodata import NoData
from gridstride.workers.operators.base import Grid, Operator, Report
from gridstride.workers.operators.kinds import Value
from gridstride.workers.operators.recipe import Recipe

FLOAT_BINS = 256
MOST_BINS = 2**24  # a report of 128 MB for each block


class Threshold(Recipe):
    """Whether elements are greater than a value.

    The value of a method is that of skimage.filters.threshold_otsu, threshold_triangle or threshold_li, for the whole
    array; NaN is left out, and never greater. Otsu's suits two classes of about the same size, the triangle one with a
    long tail, Li's few bright objects. Li's steps are exact in floating-point numbers too, and go on till no element
    changes sides.
    Example: gridstride filter threshold cells.zarr mask.zarr --method otsu
    """

    formula = "out[i] = in[i] > value; otsu: the value t that makes w0(t) w1(t) (mean0(t) - mean1(t))^2 largest"
    source = (
        "skimage.filters.threshold_otsu (N. Otsu, 1979), threshold_triangle (G. W. Zack et al., 1977), threshold_li "
    )
    source += "(C. H. Li, P. K. S. Tam, 1998)"

    value: Value | None = Field(None, description="The value to compare with.")
    method: Literal["otsu", "triangle", "li"] | None = Field(None, description="How to find the value, instead.")

    def bind(self, grid: Grid) -> Operator:
        if self.value is None and self.method is not None:
            of_numbers = self.method == "li" and grid.dtype.kind == "f"
            return CrossEntropy(grid.dtype) if of_numbers else Found(grid.dtype, self.method)
        if self.value is None or self.method is not None:
            raise ValueError("give threshold a value or a method, one of them")
        if isnan(self.value):
            raise ValueError("value is NaN, which nothing is greater than: expected a number")
        return above(grid.dtype, self.value)


@dataclass(frozen=True)
class Found(Operator):
    """A comparison with a value that must be found first: from the histogram; for types of many values, from the
    extremes before that, which say what the bins are.

    method: of `thresholds.METHODS`
    histogram: of the elements, as soon as it is known
    """

    dtype: np.dtype
    method: str
    histogram: Histogram | None = None

    def describe(self) -> str:
        return self.method

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
            return above(self.dtype, METHODS[self.method](counts, sweep))
        found = extremes(reports)
        if found is None:
            return above(self.dtype, nan)
        low, high = found
        return above(self.dtype, low) if low == high else self.but(histogram=self._bins(low, high))

    def _bins(self, low: float, high: float) -> Histogram:
        if self.dtype.kind != "f":
            if high - low >= MOST_BINS:
                raise ValueError(
                    f"{self.method}: the array's integers go from {low} to {high}, a histogram of more than 2^24 bins: "
                    "store it as floating-point numbers, which have 256 bins"
                )
            return Histogram(int(high - low) + 1, int(low))
        if not isfinite(high - low):
            raise ValueError(f"{self.method}: the array's values go from {low} to {high}: expected a finite range")
        try:
            edges = np.histogram_bin_edges(np.array([low, high], counted_as(self.dtype)), FLOAT_BINS)
        except ValueError:
            raise ValueError(
                f"{self.method}: the array's values, {low} to {high}, are too close for 256 bins"
            ) from None
        return Histogram(FLOAT_BINS, edges=edges)
