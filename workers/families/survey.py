"""Survey: what is asked of an array's numbers, and what sweeps have told of them: exact, and independent of the cut.

sweep 0          how many numbers there are, their sum and extremes, the top digits of their keys
sweep 1, 2, ...  the next digits of keys that begin as a wanted one, till it is known; and the bins of a histogram
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from fractions import Fraction
from functools import partial
from math import floor, isfinite, nan

import numpy as np

from gridstride.workers.families.histogram import counted_as
from gridstride.workers.families.keys import ABOVE, BELOW, BINS, DIGITS, FINITE, HISTOGRAM, element_of, key_bits, levels
from gridstride.workers.families.tally import Tally
from gridstride.workers.families.totals import Totals, root
from gridstride.workers.nodata import NoData
from gridstride.workers.operators.base import Report

UNKNOWN = partial(np.zeros, 0)


@dataclass(frozen=True)
class Survey:
    """What is asked, for each group of elements (`Tally.per`), of which there are `groups`.

    moments, extremes, percentiles (0 to 100), bins (of a histogram, 0 for none): whether, which and how many
    made: sweeps that were made; what they have told, an entry for each group:
    counts: int64 (groups, FINITE + 1), of each kind of element
    low, high: of the finite elements, of the dtype they are counted as; meaningless where there are none
    mean, std: of the finite elements, rounded once; NaN where there is none. mean = whole + rest too, whole a whole
                     number (0 for floats)
    ranks, keys: of each percentile the two elements it lies between: what is left of their ranks (-1 where there is no
                 element), the digits of their keys that are known
    edges, histogram: of the bins; NaN where the range is none that bins divide
    """

    dtype: np.dtype
    per: tuple[int, ...] = ()
    groups: int = 1
    moments: bool = False
    extremes: bool = False
    percentiles: tuple[float, ...] = ()
    bins: int = 0
    nodata: NoData | None = None
    made: int = 0
    counts: np.ndarray = field(default_factory=UNKNOWN)
    low: np.ndarray = field(default_factory=UNKNOWN)
    high: np.ndarray = field(default_factory=UNKNOWN)
    mean: np.ndarray = field(default_factory=UNKNOWN)
    whole: tuple[int, ...] = ()
    rest: np.ndarray = field(default_factory=UNKNOWN)
    std: np.ndarray = field(default_factory=UNKNOWN)
    ranks: np.ndarray = field(default_factory=UNKNOWN)
    keys: np.ndarray = field(default_factory=UNKNOWN)
    edges: np.ndarray | None = None
    histogram: np.ndarray = field(default_factory=UNKNOWN)

    @property
    def counted(self) -> bool:
        """Whether the first sweep counts all of each key, one digit, which tells everything."""
        return key_bits(self.dtype) <= 16 and bool(self.moments or self.percentiles or self.bins)

    def sweep(self) -> Tally | None:
        """The next sweep; None if everything is known."""
        if self.made == 0:
            ends = not self.counted and (self.extremes or self.bins > 0)
            level = 0 if self.percentiles or self.counted else -1
            return Tally(self.per, ends, self.moments and not self.counted, level, nodata=self.nodata)
        more = bool(self.percentiles) and self.made < levels(self.dtype)
        edges = self.edges if self.made == 1 and not self.counted else None
        if not more and edges is None:
            return None
        prefixes = self._prefixes() if more else None
        return Tally(self.per, level=self.made if more else -1, prefixes=prefixes, edges=edges, nodata=self.nodata)

    def sweeps(self) -> int:
        """The number of sweeps that are left."""
        of_bins = 2 if self.bins and not self.counted else 1
        return max(levels(self.dtype) if self.percentiles else 1, of_bins) - self.made

    def taken(self, reports: Iterable[Report]) -> Survey:
        """The survey after the sweep that made these reports."""
        totals = Totals(self.groups)
        for report in reports:
            totals.take(report)
        rows = totals.rows()
        digits, bins = rows[DIGITS], rows[HISTOGRAM]
        told = self if self.made else self._begun(totals, digits)
        if told.percentiles and told.made < levels(told.dtype):
            told = told._nearer(digits)
        if told.made == 1 and told.edges is not None and not told.counted:
            told = replace(told, histogram=_spread(bins, told.groups, told.bins))
        return replace(told, made=told.made + 1)

    # --- of the first sweep ---
    def _begun(self, totals: Totals, digits: np.ndarray) -> Survey:
        """With what the first sweep tells."""
        ends = [totals.keys.get(group) for group in range(self.groups)]
        sums = [totals.moments(group) for group in range(self.groups)]
        if self.counted:
            rows = np.split(digits, np.searchsorted(digits[:, 0], np.arange(1, self.groups)))
            ends = [(int(of[0, 1]), int(of[-1, 1])) if len(of) else None for of in rows]
            sums = [_moments(of, self.dtype) if self.moments else (Fraction(0), Fraction(0)) for of in rows]
        kind = counted_as(self.dtype)
        low, high = (np.array([element_of(e[i] if e else 0, kind) for e in ends], kind) for i in range(2))
        told = replace(self, counts=totals.counts, low=low, high=high)
        if self.moments:
            told = told._with_moments(sums)
        if self.percentiles:
            told = told._with_ranks()
        return told._with_edges(digits) if self.bins else told

    def _with_moments(self, sums: list[tuple[Fraction, Fraction]]) -> Survey:
        whole, (means, rest, std) = [], np.full((3, self.groups), nan)
        for group, (total, squares) in enumerate(sums):
            count = self.of(FINITE, group)
            mean = total / max(count, 1)
            whole.append(round(mean) if self.dtype.kind != "f" else 0)
            if count:
                means[group], rest[group] = float(mean), float(mean - whole[group])
                std[group] = root(squares / count - mean * mean)
        return replace(self, mean=means, whole=tuple(whole), rest=rest, std=std)

    def _with_ranks(self) -> Survey:
        """Of numbers in order, percentile p lies at place (count - 1) p / 100, between two of them."""
        ranks = np.full((self.groups, 2 * len(self.percentiles)), -1, np.int64)
        for group in range(self.groups):
            if count := self.numbers(group):
                before = [min(floor(self.place(p, count)), count - 1) for p in self.percentiles]
                ranks[group] = [min(rank + more, count - 1) for rank in before for more in (0, 1)]
        return replace(self, ranks=ranks, keys=np.zeros(ranks.shape, np.uint64))

    def _with_edges(self, digits: np.ndarray) -> Survey:
        """NumPy's bins between the extremes; of types of one digit, their counts too."""
        edges = np.full((self.groups, self.bins + 1), nan)
        for group in range(self.groups):
            if self.of(FINITE, group):
                try:
                    with np.errstate(all="ignore"):
                        ends = np.array([self.low[group], self.high[group]])
                        edges[group] = np.histogram_bin_edges(ends, self.bins)
                except ValueError:  # no finite range, or one of fewer numbers than bins
                    continue
        told = replace(self, edges=edges)
        if not self.counted:
            return told
        values = digits[:, 1] - (1 << (key_bits(self.dtype) - 1) if self.dtype.kind == "i" else 0)
        bins = [
            np.searchsorted(edges[group], of, side="right") - 1
            for group, of in enumerate(np.split(values, np.searchsorted(digits[:, 0], np.arange(1, self.groups))))
        ]
        places = np.minimum(np.concatenate(bins), self.bins - 1)
        rows = np.column_stack([digits[:, 0], places, digits[:, 2]])
        return replace(told, histogram=_spread(rows, self.groups, self.bins))

    # --- of all sweeps ---
    def _prefixes(self) -> np.ndarray:
        """int64 rows (group, prefix), in order, of the keys that are looked for."""
        there = self.ranks >= 0
        groups = np.broadcast_to(np.arange(self.groups)[:, None], there.shape)
        return np.unique(np.column_stack([groups[there], self.keys[there].astype(np.int64)]), axis=0)

    def _nearer(self, digits: np.ndarray) -> Survey:
        """With one digit more of each key."""
        ranks, keys = self.ranks.copy(), self.keys.copy()
        begun = (
            [(group, 0) for group in range(self.groups)] if self.made == 0 else map(tuple, self._prefixes().tolist())
        )
        order = {prefix: number for number, prefix in enumerate(begun)}
        numbers = digits[:, 0] if self.made == 0 else digits[:, 1] // BINS  # ascending: so are groups and prefixes
        for group, n in np.argwhere(ranks >= 0).tolist():
            number = order[group, int(keys[group, n])]
            own = digits[slice(*np.searchsorted(numbers, [number, number + 1]))]
            below = np.cumsum(own[:, 2])
            at = int(np.searchsorted(below, ranks[group, n], side="right"))
            ranks[group, n] -= int(below[at - 1]) if at else 0
            keys[group, n] = (int(keys[group, n]) << 16) + int(own[at, 1]) % BINS
        return replace(self, ranks=ranks, keys=keys)

    # --- what is known ---
    def of(self, kind: int, group: int) -> int:
        """How many elements of a kind there are."""
        return int(self.counts[group, kind])

    def numbers(self, group: int) -> int:
        """How many elements are no NaN and have a value."""
        return self.of(FINITE, group) + self.of(ABOVE, group) + self.of(BELOW, group)

    @staticmethod
    def place(percentile: float, count: int) -> float:
        """Where a percentile lies among so many numbers, as numpy.percentile has it."""
        return float((count - 1) * np.true_divide(percentile, 100))

    def percentile(self, number: int, group: int) -> float:
        """One of `percentiles` of a group, as numpy.percentile has it; NaN where there is no number."""
        a, b, part = self._beside(number, group)
        return _between(a, b, part, self.dtype)

    def exact_percentile(self, number: int, group: int) -> float | Fraction:
        """The same, not rounded if it is of integers that float64 has not."""
        a, b, part = self._beside(number, group)
        if self.dtype.kind == "f" or max(abs(a), abs(b)) < 2**53:
            return _between(a, b, part, self.dtype)
        return Fraction(a) + (Fraction(b) - Fraction(a)) * Fraction(part)

    def _beside(self, number: int, group: int) -> tuple[float | int, float | int, float]:
        """The elements that a percentile lies between, and at what part of the way."""
        count = self.numbers(group)
        if not count:
            return nan, nan, 0.0
        a, b = (element_of(int(key), self.dtype) for key in self.keys[group, 2 * number : 2 * number + 2])
        place = self.place(self.percentiles[number], count)
        return a, b, place - floor(place)


def _between(a: float, b: float, part: float, dtype: np.dtype) -> float:
    """The number at a part of the way from one element to the next, as numpy.percentile has it."""
    if a == b or part == 0:
        return float(a)
    with np.errstate(all="ignore"):
        apart = float(dtype.type(b) - dtype.type(a)) if dtype.kind == "f" else float(b - a)
    if not isfinite(apart):  # too far for the dtype, or an infinity
        return a * (1 - part) + b * part
    return a + apart * part if part < 0.5 else b - apart * (1 - part)


def _moments(rows: np.ndarray, dtype: np.dtype) -> tuple[Fraction, Fraction]:
    """The sums of numbers of 16 bits and of their squares, from rows (group, key, how many)."""
    values = rows[:, 1] - (1 << (key_bits(dtype) - 1) if dtype.kind == "i" else 0)
    squares, counts = values**2, rows[:, 2]
    high, low = (int((part * counts).sum()) for part in (squares >> 16, squares & 0xFFFF))  # 64 bits have these sums
    return Fraction(int((values * counts).sum())), Fraction((high << 16) + low)


def _spread(rows: np.ndarray, groups: int, bins: int) -> np.ndarray:
    """Rows (group, bin, number) as an array (groups, bins)."""
    found = np.zeros((groups, bins), np.int64)
    np.add.at(found, (rows[:, 0], rows[:, 1]), rows[:, 2])
    return found
