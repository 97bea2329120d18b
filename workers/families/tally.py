"""Tally: a sweep that reports what an array's numbers are, as whole numbers that may be added in any order."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product
from math import prod
from typing import TYPE_CHECKING, Any

import numpy as np

from gridstride.workers.families.histogram import counted_as
from gridstride.workers.families.keys import BINS, PIECE, counted
from gridstride.workers.nodata import NoData
from gridstride.workers.operators.base import Grid, Operator, Report, Window
from gridstride.workers.region import Region

if TYPE_CHECKING:
    from gridstride.workers.gpu import Machine

FEW = 2**12  # elements of a group that are tallied by functions of arrays


@dataclass(frozen=True)
class Tally(Operator):
    """per: axes, each index of which is a group of its own; none: all elements are one group
    extremes, sums: whether they are reported
    level: of the digits that are counted; -1: none
    rests: whether sums of the rests after these digits are reported
    prefixes: of a level above 0: int64 rows (group, prefix) in order; elements of other prefixes are not counted
    edges: float64 (groups, bins + 1) of a histogram's bins, counted as numpy.histogram does; NaN: not counted
    nodata: elements that are left out
    """

    per: tuple[int, ...] = ()
    extremes: bool = False
    sums: bool = False
    level: int = -1
    rests: bool = False
    prefixes: np.ndarray | None = None
    edges: np.ndarray | None = None
    nodata: NoData | None = None

    def writes(self) -> bool:
        return False

    def element_time(self, grid: Grid) -> float:
        return 0.5 + 2 * self.sums + (self.level >= 0)

    def scratch(self, want: Region, grid: Grid, device: str) -> int:
        """Of a group's part: a copy, or what nodata leaves of it; tables and rows; on a GPU, a piece in int64 often."""
        size = prod(n for axis, n in enumerate(want.shape) if axis not in self.per)
        groups = prod(want.shape[axis] for axis in self.per)
        width = 1 if self.level < 0 else max(1, 0 if self.prefixes is None else len(self.prefixes))
        bins = (0 if self.level < 0 else BINS * width * (3 if self.rests else 1)) + (
            0 if self.edges is None else self.edges.shape[1]
        )
        rows = 24 * groups * min(size + 256, 256 + bins)
        copies = size * (grid.dtype.itemsize * (1 if self.nodata is None else 2) + 4) + min(size, PIECE) * 8
        tables = 2**18 + 32 * bins
        return 3 * rows + copies + tables + (160 * min(size, PIECE) if device == "gpu" else 0)

    def cpu(self, window: Window, out: np.ndarray) -> Report:
        from gridstride.workers.families import tally_arrays, tally_cpu  # Numba takes time to import

        rows: list[Any] = []
        for group, data in self.parts(window):
            kept, missing = self.valid(data, np)
            if kept.size < FEW:
                piece = next(counted(kept), np.zeros(0, counted_as(kept.dtype)))
                rows += tally_arrays.rows_of(self, group, piece, missing, np)
            else:
                rows.append(tally_cpu.rows_of(self, group, kept, missing))
        return np.concatenate(rows) if rows else np.zeros((0, 3), np.int64)

    def on_gpu(self, window: Window, machine: Machine) -> Any:
        from gridstride.workers.families import tally_arrays

        xp, rows = machine.xp, []
        for group, data in self.parts(window):
            kept, missing = self.valid(data, xp)
            rows += tally_arrays.rows_of(self, group, xp.ascontiguousarray(kept).reshape(-1), missing, xp)
        return xp.concatenate(rows) if rows else xp.zeros((0, 3), np.int64)

    def parts(self, window: Window) -> Iterator[tuple[int, Any]]:
        """The number of each group in a block, and its elements."""
        data = window.part(window.want).data
        for place, group in groups_in(window.want, window.grid, self.per):
            yield group, data[place]

    def valid(self, data: Any, xp: Any) -> tuple[Any, int]:
        """The elements that have a value, and how many have none."""
        if self.nodata is None:
            return data, 0
        kept = data[self.nodata.valid(data, xp)]
        return kept, data.size - kept.size

    def edges_of(self, group: int) -> np.ndarray | None:
        """The edges of a group's bins, if they are counted."""
        return None if self.edges is None or np.isnan(self.edges[group, 0]) else self.edges[group]

    def prefixes_of(self, group: int) -> tuple[int, np.ndarray]:
        """Where a group's prefixes begin among all, and these, int64."""
        if self.prefixes is None:
            return 0, np.zeros(1, np.int64)
        first, last = np.searchsorted(self.prefixes[:, 0], [group, group + 1])
        return int(first), np.ascontiguousarray(self.prefixes[first:last, 1])


def groups_in(want: Region, grid: Grid, per: tuple[int, ...]) -> Iterator[tuple[tuple[slice, ...], int]]:
    """Where each group of a region is in it, and the group's number: in C order of the indices along `per`."""
    for index in product(*(range(*want.spans[axis]) for axis in per)):
        place = [slice(None)] * len(want.spans)
        group = 0
        for axis, i in zip(per, index, strict=True):
            first = i - want.start[axis]
            place[axis], group = slice(first, first + 1), group * grid.shape[axis] + i
        yield tuple(place), group
