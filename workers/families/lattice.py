"""Lattice: tiles of equal size from the array's origin on, for histograms of each of them, and where elements lie
between their centres.

      tile         0               1               2          (of 4 elements; the array has 10)
      element  0   1   2   3 | 4   5   6   7 | 8   9   8   7  <- the last tile is filled by reflection
      between    -1,0  0,1   .   0,1 .  1,2  .               <- the tiles whose centres lie on both sides
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product
from math import prod

import numpy as np

from gridstride.workers.operators.boundary import mapped
from gridstride.workers.region import Region, Span


@dataclass(frozen=True)
class Lattice:
    """shape: of the array; axes: those that have tiles, ascending; kernel: elements of a tile along each of them. Each
    slice along the other axes has tiles of its own."""

    shape: tuple[int, ...]
    axes: tuple[int, ...]
    kernel: tuple[int, ...]

    @property
    def others(self) -> tuple[int, ...]:
        return tuple(axis for axis in range(len(self.shape)) if axis not in self.axes)

    @property
    def slices(self) -> int:
        return prod(self.shape[axis] for axis in self.others)

    @property
    def counts(self) -> tuple[int, ...]:
        """Of tiles along each of the axes."""
        return tuple(-(-self.shape[axis] // k) for axis, k in zip(self.axes, self.kernel, strict=True))

    @property
    def tiles(self) -> int:
        """In a slice."""
        return prod(self.counts)

    def spans(self, want: Region) -> list[Span]:
        return [want.spans[axis] for axis in self.axes]

    def cut(self, want: Region) -> Iterator[tuple[int, tuple[int | slice, ...]]]:
        """The slices of a region: the number of each, and where it is in the region's array."""
        sizes = [self.shape[axis] for axis in self.others]
        for index in product(*(range(*want.spans[axis]) for axis in self.others)):
            place: list[int | slice] = [slice(None)] * len(self.shape)
            number = 0
            for axis, at, size in zip(self.others, index, sizes, strict=True):
                place[axis], number = at - want.spans[axis][0], number * size + at
            yield number, tuple(place)

    def members(self, want: Region) -> list[tuple[np.ndarray, np.ndarray]]:
        """Along each axis what a region gives to tiles, reflected elements too: the tiles, and the elements, counted
        from the region's first one."""
        found = []
        for (start, stop), axis, k, count in zip(self.spans(want), self.axes, self.kernel, self.counts, strict=True):
            n = self.shape[axis]
            beyond = np.arange(n, count * k)
            source = mapped(beyond, n, "mirror")
            own = (source >= start) & (source < stop)
            places = np.concatenate([np.arange(start, stop), beyond[own]])
            found.append((places // k, np.concatenate([np.arange(start, stop), source[own]]) - start))
        return found

    def between(self, want: Region) -> list[tuple[np.ndarray, np.ndarray, np.ndarray]]:
        """Along each axis, for the elements of a region: the tiles on both sides, the same one at the array's ends, and
        how far an element is on the way from the first centre to the second, float64."""
        found = []
        for (start, stop), k, count in zip(self.spans(want), self.kernel, self.counts, strict=True):
            place = np.arange(start, stop) + k // 2
            after = place // k
            found.append(((after - 1).clip(0, count - 1), after.clip(0, count - 1), (place % k) / k))
        return found
