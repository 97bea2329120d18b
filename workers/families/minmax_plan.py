"""What minima over boxes and footprints are made of: chords, tiles, and the memory that each tile works in."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from math import prod

import numpy as np

from gridstride.workers.families.rows import LINE
from gridstride.workers.launches import ceil_div

# Of a row worked on at a time: what is made of it stays in the first-level cache.
ROW_BYTES, CHORD_BYTES = 8192, 2048
SHORT_BYTES = 256  # of a row: with the shortest, a row's own costs are most of the time
PIECE = 2**16  # elements that a pass along a leading axis is made of at a time, for which there is a table
TABLES = 48  # bytes that tables of indices take while they are made, for each element of an axis
RING_BYTES = 3 * 2**20  # of the planes kept for the pass along z, so that they stay in the second-level cache


def runs_of(footprint: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The runs of elements along the last axis that count: their begins (runs, axes) and lengths."""
    edges = np.diff(np.pad(footprint, [(0, 0)] * (footprint.ndim - 1) + [(1, 1)]).astype(np.int8))
    begins, ends = np.argwhere(edges == 1), np.argwhere(edges == -1)
    return begins, ends[:, -1] - begins[:, -1]


@dataclass(frozen=True)
class Chords:
    """A footprint (z, y, x) as chords.

    lengths: (number, 5): length of a chord, the k of the largest 2^k that is not above it, and the first elements along
             x that it begins at: the usual, the smallest and the largest
    runs:    (chords, 3): row, number of its length, elements between its begin and the usual one
    discs:   (different planes, 4): spans of `runs` and of `planes`
    planes:  z of the planes that have each disc
    """

    lengths: np.ndarray
    runs: np.ndarray
    discs: np.ndarray
    planes: np.ndarray

    @property
    def levels(self) -> int:
        """The largest k."""
        return int(self.lengths[:, 1].max())

    @property
    def apart(self) -> tuple[np.ndarray, np.ndarray]:
        """How far before and after the usual begin the chords of each length begin."""
        return self.lengths[:, 2] - self.lengths[:, 3], self.lengths[:, 4] - self.lengths[:, 2]

    @classmethod
    def of(cls, footprint: np.ndarray) -> Chords:
        begins, size = runs_of(footprint)
        lengths = []
        for length in np.unique(size):
            first = begins[size == length, 2]
            k, usual = int(length).bit_length() - 1, np.bincount(first).argmax()
            lengths.append([length, k, usual, first.min(), first.max()])
        number = np.searchsorted([row[0] for row in lengths], size)
        away = begins[:, 2] - np.array([row[2] for row in lengths])[number]
        chords = np.stack([begins[:, 1], number, away], 1)
        different: dict[bytes, list[int]] = {}
        for z in np.unique(begins[:, 0]):
            different.setdefault(chords[begins[:, 0] == z].tobytes(), []).append(int(z))
        runs = [np.frombuffer(disc, np.int64).reshape(-1, 3) for disc in different]
        spans = [np.cumsum([0, *map(len, parts)]) for parts in (runs, different.values())]
        discs = np.stack([spans[0][:-1], spans[0][1:], spans[1][:-1], spans[1][1:]], 1)
        planes = np.concatenate([np.array(places) for places in different.values()])
        return cls(np.array(lengths, np.int64), np.concatenate(runs), discs, planes)


@dataclass(frozen=True)
class Tile:
    """How much is worked on at a time, and in what memory.

    shape: rows and columns of the result, and the pitches of rows that `minmax_box` or `minmax_chords` has
    lengths: elements of the arrays that are worked in
    """

    shape: tuple[int, ...]
    lengths: tuple[int, ...]

    @classmethod
    def of(cls, rows: int, columns: int, taps: Sequence[int], item: int, chords: Chords | None) -> Tile:
        """For a plane of the result; taps: (z, y, x, step) of the box, those along x `step` elements apart."""
        wz, wy, wx, step = taps
        lanes = LINE // item
        longest = max((ROW_BYTES if chords is None else CHORD_BYTES) // item, 8 * (wx - 1) * step)
        columns = ceil_div(columns, ceil_div(columns, longest))
        pitch = whole(columns, lanes) + lanes  # rows a power of two apart share places in the caches
        if wz > 1:
            most = min(rows, max(RING_BYTES // ((wz + 1) * pitch * item), 4 * wy, 8))
            rows = ceil_div(rows, ceil_div(rows, most))
        padded = pitch + whole(2 * wx * step, lanes) + 4 * lanes
        planes = (wz + 1) * rows * pitch if wz > 1 else 0
        if chords is None:
            return cls((rows, columns, pitch), (padded, (wy + 1) * pitch, planes, pitch, pitch, lanes))
        before, after = ((column * step).max() for column in chords.apart)
        pad = whole(int(before), lanes)
        lists = pad + pitch + whole(int(after), lanes) + lanes
        levels, ring = (chords.levels + 1) * padded, wy * len(chords.lengths) * lists + 2 * lanes
        return cls((rows, columns, pitch, padded, lists, pad), (levels, ring, planes, pitch, lanes))


def whole(count: int, lanes: int) -> int:
    """The elements of whole vectors that hold so many."""
    return ceil_div(count, lanes) * lanes


Shape = tuple[int, ...]


def merged(have: Sequence[int], want: Sequence[int], size: Sequence[int], item: int) -> int:
    """How many of the last axes are better taken as one with the axis before them: where no window reaches along them,
    and rows of theirs are shorter than some vectors (the colours of pixels)."""
    count, row = 0, item
    while (
        count < len(size) - 1 and size[-1 - count] == 1 and have[-1 - count] == want[-1 - count] and row < SHORT_BYTES
    ):
        row *= have[-1 - count]
        count += 1
    return count


def memory(size: Shape, footprint: np.ndarray | None, want: Shape, have: Shape, item: int) -> int:
    """Bytes that the CPU works in for a block of the shape `want`, which has the shape `have` with its boundary."""
    if count := merged(have, want, size, item):
        axis, step = len(size) - count - 1, prod(have[-count:])
        line, padded = ((*shape[:axis], shape[axis] * step) for shape in (want, have))
        apart = _memory(size, footprint, want, have, 1, item)
        return max(_memory(size[: axis + 1], footprint, line, padded, step, item), apart)
    return _memory(size, footprint, want, have, 1, item)


def _memory(size: Shape, footprint: np.ndarray | None, want: Shape, have: Shape, step: int, item: int) -> int:
    lead = (1,) * max(0, 3 - len(want))
    size, want, have = lead + size, lead + want, lead + have
    tables = TABLES * sum(have)
    leading, plane, taps = max(size[:-3], default=1) > 1, (want[-2], want[-1]), (*size[-3:], step)
    if footprint is None:
        tiles = [Tile.of(*plane, taps, item, None)]
        for i in range(len(want) - 3):
            tiles.append(Tile.of(want[i], min(prod(have[i + 1 :]), PIECE), (1, size[i], 1, 1), item, None))
        arrays = 2 * prod(have) if leading else 0  # two passes, of which neither gives more
        tables += 24 * PIECE + 8 * prod(have[:-4]) if leading else 0
    else:
        parts = footprint.reshape(size)
        tiles = [Tile.of(*plane, taps, item, chords_of(parts[i])) for i in np.ndindex(size[:-3]) if parts[i].any()]
        arrays = prod(want[-3:]) if leading else 0
    return tables + item * (arrays + max(sum(tile.lengths) + 8 * LINE for tile in tiles))


def chords_of(footprint: np.ndarray) -> Chords:
    """Of a footprint (z, y, x). They are kept: a plan asks for the memory of many blocks."""
    return _chords_of(footprint.tobytes(), footprint.shape)


@lru_cache(maxsize=256)
def _chords_of(footprint: bytes, shape: tuple[int, int, int]) -> Chords:
    return Chords.of(np.frombuffer(footprint, bool).reshape(shape))
