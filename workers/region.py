"""Region: a half-open box of global indices, the only kind of box there is. Pure index arithmetic.

Every axis of n elements is a ring where it is *addressed*: a span may pass the ends of the axis and then means its
indices modulo n. The value of a position outside the grid is another matter: the boundary mode decides it.

        index    -3 -2 -1 |  0  1  2  3  4 |  5  6  7          the span (-2, 3) of an axis of 5 is 3 4 0 1 2
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import product
from math import prod

Span = tuple[int, int]


@dataclass(frozen=True)
class Region:
    """(start, stop) of each axis, stop not counted."""

    spans: tuple[Span, ...]

    @classmethod
    def of(cls, start: Sequence[int], stop: Sequence[int]) -> Region:
        return cls(tuple(zip(start, stop, strict=True)))

    @classmethod
    def whole(cls, shape: Sequence[int]) -> Region:
        return cls(tuple((0, n) for n in shape))

    @property
    def start(self) -> tuple[int, ...]:
        return tuple(a for a, _ in self.spans)

    @property
    def stop(self) -> tuple[int, ...]:
        return tuple(b for _, b in self.spans)

    @property
    def shape(self) -> tuple[int, ...]:
        return tuple(b - a for a, b in self.spans)

    @property
    def size(self) -> int:
        return prod(self.shape)

    def having(self, axis: int, span: Span) -> Region:
        """The region with another span on one axis."""
        return Region((*self.spans[:axis], span, *self.spans[axis + 1 :]))

    def within(self, outer: Region) -> tuple[slice, ...]:
        """Where this region lies in an array that holds `outer`."""
        return tuple(slice(a - o, b - o) for (a, b), (o, _) in zip(self.spans, outer.spans, strict=True))

    def holds(self, other: Region) -> bool:
        return all(a <= c and d <= b for (a, b), (c, d) in zip(self.spans, other.spans, strict=True))

    def halves(self, axis: int) -> tuple[Region, Region]:
        """The region cut in two along an axis; the first half is the larger."""
        start, stop = self.spans[axis]
        middle = start + (stop - start + 1) // 2
        return self.having(axis, (start, middle)), self.having(axis, (middle, stop))

    def meets(self, other: Region, shape: Sequence[int]) -> bool:
        """Whether the two have an element in common on a grid of `shape`, whose axes are rings."""
        return all(
            any(a + turn < d and c < b + turn for turn in (-n, 0, n))
            for (a, b), (c, d), n in zip(self.spans, other.spans, shape, strict=True)
        )

    def pieces(self, shape: Sequence[int]) -> Iterator[tuple[Region, tuple[slice, ...]]]:
        """The parts of a region that passes the ends of axes: (part inside the grid, its place in the region)."""
        columns = []
        for (start, stop), n in zip(self.spans, shape, strict=True):
            columns.append(
                [(s, slice(s[0] + lap * n - start, s[1] + lap * n - start)) for lap, s in laps((start, stop), n)]
            )
        for parts in product(*columns):
            yield Region(tuple(span for span, _ in parts)), tuple(place for _, place in parts)


def laps(span: Span, n: int) -> Iterator[tuple[int, Span]]:
    """(lap, piece inside the axis) of a span that may pass the ends of an axis of n; lap 0 is the axis itself."""
    start, stop = span
    if start >= stop or n == 0:
        yield 0, (0, 0)
        return
    for lap in range(start // n, (stop - 1) // n + 1):
        yield lap, (max(start - lap * n, 0), min(stop - lap * n, n))


def hull(spans: Sequence[Span], n: int) -> Span:
    """The smallest span that holds all of them; the whole axis where that is n or more. Empty spans do not count."""
    full = [span for span in spans if span[1] > span[0]]
    if not full:
        return 0, 0
    start, stop = min(a for a, _ in full), max(b for _, b in full)
    return (start, stop) if stop - start < n or (start, stop) == (0, n) else (0, n)


def hull_of(regions: Sequence[Region], shape: Sequence[int]) -> Region:
    """The smallest region that holds all of them; a region that is empty on one axis is empty."""
    if not all(region.size for region in regions):
        regions = [region for region in regions if region.size] or regions[:1]
    columns = zip(*(region.spans for region in regions), strict=True)
    return Region(tuple(hull(spans, n) for spans, n in zip(columns, shape, strict=True)))
