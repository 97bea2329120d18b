"""Boundary modes: which element of the grid stands for a position outside it, as scipy.ndimage maps them.

    reflect  d c b a | a b c d | d c b a      mirror   d c b | a b c d | c b a
    nearest  a a a a | a b c d | d d d d      wrap     a b c d | a b c d | a b c d

In mode constant every position outside has one given value. Positions are mapped by *global* index, so that no result
depends on how the grid was cut into blocks.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from gridstride.workers.region import Span, hull, laps

# scipy.ndimage gives the filters' modes a second name each.
MODES = {
    "reflect": "reflect",
    "grid-mirror": "reflect",
    "mirror": "mirror",
    "nearest": "nearest",
    "wrap": "wrap",
    "grid-wrap": "wrap",
    "constant": "constant",
    "grid-constant": "constant",
}


def mapped(index: np.ndarray, n: int, mode: str) -> np.ndarray:
    """The element of an axis of n whose value stands at each global index; -1 is the constant."""
    if mode == "constant":
        return np.where((index >= 0) & (index < n), index, -1)
    if mode == "nearest":
        return index.clip(0, n - 1)
    if mode == "wrap":
        return index % n
    if mode == "reflect":
        index = index % (2 * n)
        return np.minimum(index, 2 * n - 1 - index)
    if mode == "mirror":
        period = max(2 * n - 2, 1)
        index = index % period
        return np.minimum(index, period - index) if n > 1 else np.zeros_like(index)
    raise ValueError(f"unknown mode {mode!r}: expected one of {', '.join(MODES)}")


def mapped_hull(span: Span, n: int, mode: str) -> Span:
    """The span of elements that `mapped` names for the indices of a span. O(1): planners ask it for every block."""
    start, stop = span
    if start >= stop:
        return 0, 0
    if start >= 0 and stop <= n:
        return start, stop
    if mode == "wrap":
        return hull([span], n)
    if mode == "constant":
        start, stop = max(start, 0), min(stop, n)
        return (start, stop) if start < stop else (0, 0)
    ends = [int(i) for i in mapped(np.array([start, stop - 1]), n, mode)]
    if mode != "nearest":  # a fold inside the span turns the map round: at element 0 or at element n - 1
        period = 2 * n if mode == "reflect" else max(2 * n - 2, 1)
        ends += [fold for fold in (0, n - 1) if fold + -(-(start - fold) // period) * period < stop]
    return min(ends), max(ends) + 1


@dataclass(frozen=True)
class Taps:
    """The input indices that an output index reads on one axis: stride * out + offset + dilation * k, 0 <= k < count.

    stride 2, offset -1, count 3:     out   0     1     2
                                      in  -1 0 1 2 3 4 5
    """

    count: int = 1
    offset: int = 0
    stride: int = 1
    dilation: int = 1
    mode: str = "nearest"

    @property
    def before(self) -> int:
        return -self.offset

    @property
    def after(self) -> int:
        return self.offset + self.dilation * (self.count - 1)

    def raw(self, span: Span) -> Span:
        """The input indices of a span of outputs, before the boundary mode: they may lie outside the grid."""
        if span[0] >= span[1]:
            return 0, 0
        ends = [self.stride * out + self.offset for out in (span[0], span[1] - 1)]
        return min(ends), max(ends) + self.dilation * (self.count - 1) + 1

    def needed(self, span: Span, n_out: int, n_in: int) -> Span:
        """The input span of an output span. One that passes the ends (for a periodic step that follows) is mapped piece
        by piece; a piece of another lap is put a lap away, so that pieces meet and inner spans stay inner."""
        if n_in == 0:
            return 0, 0
        turn = n_in if self.stride > 0 else -n_in
        found = []
        for lap, piece in laps(span, n_out):
            start, stop = mapped_hull(self.raw(piece), n_in, self.mode)
            if start < stop:
                found.append((start + lap * turn, stop + lap * turn))
        return hull(found, n_in)


def boundary_table(span: Span, taps: Taps, have: Span, n: int) -> np.ndarray:
    """Where to find each element of one padded axis: entry p is the index, into data that hold the span `have` of an
    axis of n, of the p-th input index that the taps of the outputs `span` name; -1 means the constant value.

    Raises IndexError where the data lack an element.
    """
    index = np.arange(*taps.raw(span), dtype=np.int64)
    lo, available = have[0], have[1] - have[0]
    local = index - lo
    present = (local >= 0) & (local < available)
    if present.all():
        return local
    element = mapped(index[~present], n, taps.mode)
    outside = element < 0
    position = np.where(outside, -1, (element - lo) % max(n, 1))
    if (position >= available).any():
        raise IndexError(f"data of {have} lack elements {element[position >= available]} of an axis of {n}")
    local[~present] = position
    return local
