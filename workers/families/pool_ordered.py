"""Pooling by order: the median, or the most frequent element, of each box."""

from __future__ import annotations

from dataclasses import dataclass
from math import prod

import numpy as np

from gridstride.workers.families.pool import Pool
from gridstride.workers.families.pool_valid import OrderedOfValid
from gridstride.workers.launches import Launches
from gridstride.workers.nodata import NoData
from gridstride.workers.operators.base import Grid, Meaning, Operator, Window
from gridstride.workers.region import Region

MOST_ELEMENTS = 2**21  # of a box, which is sorted
KEYS = 2**15  # that are sorted together, in lists of at least LEAST boxes
LEAST = 16


@dataclass(frozen=True)
class Ordered(Pool):
    """The median of each box, or its most frequent element: of several that are as frequent, the least.

    A median is NaN where an element is; where two elements are in the middle it is their mean, of integers rounded half
    to even. All NaN are one element, larger than others, and all zeros are 0.0.
    out_dtype: the array's own; of medians of integers also float64, which has the halves
    """

    @property
    def tile(self) -> int:
        """Boxes that are sorted at a time on the CPU."""
        return max(LEAST, min(256, KEYS // prod(self.factors)))

    def meaning(self) -> Meaning:
        return Meaning(1.0, between=True, chosen=self.method == "mode")

    def remarks(self, grid: Grid) -> tuple[str, ...]:
        return ()

    def without(self, nodata: NoData, grid: Grid) -> tuple[Operator, NoData]:
        """Each box is of the elements that have a value."""
        left = nodata.stored_as(self.out_dtype)
        return OrderedOfValid(self, nodata, left.value, self.factors, self.method == "mode"), left

    def scratch(self, want: Region, grid: Grid, device: str) -> int:
        """Copies of data as `Pool` makes them, the two elements in the middle, their mean, and the lists."""
        lists = self.tile * (prod(self.factors) * 8 + 32) if device == "cpu" else 0
        return super().scratch(want, grid, device) + 6 * 8 * want.size + lists

    def cpu(self, window: Window, out: np.ndarray) -> None:
        from gridstride.workers.families.pool_ordered_cpu import pool  # Numba takes time to import

        pool(self, window, out)

    def gpu(self, window: Window, launches: Launches) -> None:
        from gridstride.workers.families.pool_gpu import launch_pool

        launch_pool(self, window, launches)
