"""Li's threshold of floating-point numbers: found from counts and exact sums of cells of keys, without a sweep for each
of its steps.

    cells     | . . | . | : : : | . . . |       elements between two keys: how many there are, and their sum
                          ^
                          t: a cell that it divides is cut into 2^16 cells by the next sweep
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from fractions import Fraction
from itertools import accumulate
from math import inf, isfinite, log, nan

import numpy as np

from gridstride.workers.families.elementwise import above
from gridstride.workers.families.histogram import counted_as
from gridstride.workers.families.keys import (
    ABOVE,
    BELOW,
    DIGITS,
    FINITE,
    HIGH_RESTS,
    REST_BITS,
    RESTS,
    element_of,
    kept_bits,
    key_bits,
    key_of,
)
from gridstride.workers.families.nodata import Awaiting
from gridstride.workers.families.tally import Tally
from gridstride.workers.families.totals import Totals
from gridstride.workers.nodata import NoData
from gridstride.workers.operators.base import Grid, Operator, Report

MOST_STEPS = 20_000  # of Li's iteration, which takes some tens
MOST_CUT = 32  # cells that a sweep cuts at most


@dataclass(frozen=True)
class CrossEntropy(Operator):
    """Whether elements are greater than the value that makes the cross entropy least.

    C. H. Li, P. K. S. Tam, "An iterative algorithm for minimum cross entropy thresholding", 1998. From the mean on, as
    in scikit-image, till no element changes sides; NaN and infinities do not count.
    cells: int64 rows in order: first key, bits of keys that differ, elements, sums of their rests' low and high bits
    low: the key of the smallest element
    level, prefixes: of the next sweep: which digit it counts, of keys that begin how
    """

    dtype: np.dtype
    cells: np.ndarray = field(default_factory=lambda: np.zeros((0, 5), np.int64))
    low: int = 0
    level: int = 0
    prefixes: np.ndarray | None = None

    def out_grid(self, grid: Grid) -> Grid:
        return grid.having(bool)

    def describe(self) -> str:
        return "li"

    def without(self, nodata: NoData, grid: Grid) -> tuple[Operator, None]:
        return Awaiting(self, nodata, 0), None

    def first_sweep(self) -> Operator:
        return Tally(extremes=self.level == 0, level=self.level, rests=True, prefixes=self.prefixes)

    def sweeps(self) -> int:
        return key_bits(self.dtype) // 16 - self.level

    def resolve(self, reports: Iterable[Report], grid: Grid) -> Operator:
        totals = Totals(1)
        for report in reports:
            totals.take(report)
        known = replace(self, cells=self._with(totals.rows()))
        if self.level == 0:
            if not totals.counts[0, FINITE]:
                ends = totals.counts[0, [ABOVE, BELOW]] > 0
                return above(self.dtype, 0.0 if ends.all() else inf if ends[0] else -inf if ends[1] else nan)
            low, high = totals.keys[0]
            least, most = (float(element_of(key, self.dtype)) for key in (low, high))
            if least == most:
                return above(self.dtype, least)
            if not isfinite(most - least):
                raise ValueError(f"li: the array's values go from {least} to {most}: expected a finite range")
            known = replace(known, low=low)
        value, divided = _Cells(known.cells, known.low, self.dtype).found()
        if not divided:
            return above(self.dtype, value)
        return known._to_cut(divided)

    def _with(self, rows: dict[int, np.ndarray]) -> np.ndarray:
        """The cells, with those that a sweep has cut in place of whole ones."""
        bits = kept_bits(self.dtype, self.level)
        slots = rows[DIGITS][:, 1]
        prefix = np.zeros(1, np.int64) if self.prefixes is None else self.prefixes[:, 1]
        keys = ((prefix[slots >> 16].view(np.uint64) << np.uint64(16)) | (slots & 0xFFFF).view(np.uint64)) << np.uint64(
            bits
        )
        made = np.zeros((len(slots), 5), np.int64)
        made[:, 0], made[:, 1], made[:, 2] = keys.view(np.int64), bits, rows[DIGITS][:, 2]
        for column, first in ((3, RESTS), (4, HIGH_RESTS)):
            made[np.searchsorted(slots, rows[first][:, 1]), column] = rows[first][:, 2]
        if self.level == 0:  # no finite number has the digit of an infinity
            kind = counted_as(self.dtype)
            ends = [key_of(-inf, kind) >> bits, key_of(inf, kind) >> bits]
            return made[(slots > ends[0]) & (slots < ends[1])]
        whole = self.cells[:, 0].view(np.uint64) >> np.uint64(bits + 16)
        cut = (self.cells[:, 1] == bits + 16) & np.isin(whole.view(np.int64), prefix)
        every = np.concatenate([self.cells[~cut], made])
        return every[np.argsort(every[:, 0].view(np.uint64), kind="stable")]

    def _to_cut(self, divided: list[tuple[int, int]]) -> CrossEntropy:
        """With a sweep that cuts the largest of these cells, the first ones if there are many."""
        bits = max(size for _, size in divided)
        found = list(dict.fromkeys(key >> bits for key, size in divided if size == bits))[:MOST_CUT]
        level = key_bits(self.dtype) // 16 - bits // 16
        return replace(self, level=level, prefixes=np.array([(0, prefix) for prefix in sorted(found)], np.int64))


class _Cells:
    """Sums of the elements below any key, from cells, in whole numbers of the smallest number above 0."""

    def __init__(self, cells: np.ndarray, low: int, dtype: np.dtype) -> None:
        self.dtype, self.kind = dtype, counted_as(dtype)
        self.one = int(1 / Fraction(float(np.finfo(self.kind).smallest_subnormal)))
        self.least = Fraction(element_of(low, dtype))
        self.keys, self.bits, self.counts = cells[:, 0].view(np.uint64), cells[:, 1].tolist(), cells[:, 2].tolist()
        rests = [low + (high << REST_BITS) for low, high in cells[:, 3:].tolist()]
        numbers = zip(self.keys.tolist(), self.bits, self.counts, rests, strict=True)
        self.starts = [self.whole(key) for key in self.keys.tolist()]
        self.sums = [
            count * start + rest * self.unit(start, key, bits)
            for start, (key, bits, count, rest) in zip(self.starts, numbers, strict=True)
        ]
        self.below, self.sums_below = [0, *accumulate(self.counts)], [0, *accumulate(self.sums)]

    def whole(self, key: int) -> int:
        """The element of a key."""
        top, bottom = element_of(key, self.dtype).as_integer_ratio()
        return top * (self.one // bottom)

    def unit(self, start: int, key: int, bits: int) -> int:
        """How far elements are apart whose keys follow one another in a cell: all have one exponent."""
        return (self.whole(key + 2**bits - 1) - start) // (2**bits - 1) if bits else 0

    def rounded(self, value: Fraction) -> float:
        """The largest number of the dtype that is not above a value."""
        nearest = self.kind.type(float(value))
        if Fraction(float(nearest)) > value:
            nearest = np.nextafter(nearest, self.kind.type(-inf))
        return float(nearest) + 0.0  # no -0.0, which is below 0.0 in the order of keys

    def at(self, value: Fraction) -> tuple[Fraction, Fraction, tuple[int, int] | None]:
        """How many elements are not above a value, and their sum; about, where it divides a cell: which one."""
        key = key_of(self.rounded(value), self.kind)
        place = int(np.searchsorted(self.keys, np.uint64(key), side="right")) - 1
        if place < 0:
            return Fraction(0), Fraction(0), None
        start, bits, count = int(self.keys[place]), self.bits[place], self.counts[place]
        few, total, cell = Fraction(self.below[place]), Fraction(self.sums_below[place]), None
        if key >= start + 2**bits - 1:
            few, total = few + count, total + self.sums[place]
        elif count == 1:
            if self.sums[place] <= value * self.one:
                few, total = few + 1, total + self.sums[place]
        else:
            part = Fraction(key - start + 1, 2**bits) * count
            few, total, cell = few + part, total + part * (self.starts[place] + self.whole(key)) / 2, (start, bits)
        return few, total / self.one, cell

    def found(self) -> tuple[float, list[tuple[int, int]]]:
        """Li's value; and the cells that his steps divide, in order: if there are any it is known about, no more."""
        count, total = self.below[-1], Fraction(self.sums_below[-1], self.one)
        value = total / count
        few, lower, cell = self.at(value)
        divided = [cell]
        for _ in range(MOST_STEPS):
            back, fore = lower / few - self.least, (total - lower) / (count - few) - self.least
            if back <= 0:
                break
            value = Fraction(_between(float(back), float(fore))) + self.least
            before, (few, lower, cell) = few, self.at(value)
            divided.append(cell)
            if few == before:
                break
        return self.rounded(value), [cell for cell in divided if cell is not None]


def _between(back: float, fore: float) -> float:
    """The logarithmic mean of two means."""
    return (back - fore) / (log(back) - log(fore)) if back != fore else back
