"""Cells, the boxes that arrays are labelled in: their shape, their rows, and the memory that labelling them takes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import lru_cache
from itertools import product
from math import prod
from typing import NamedTuple

import numpy as np

from gridstride.workers.operators.base import Grid
from gridstride.workers.region import Region, Span

# The shape of cells by how many axes are filtered: long rows are labelled faster, and small cells waste less of a block
# whose edges are not theirs.
SHAPES = {1: (2**16,), 2: (256, 1024), 3: (32, 64, 128), 4: (16, 16, 32, 64), 5: (8, 8, 8, 16, 32)}
FEWEST = 4  # elements of a cell along each of more axes
TOGETHER = 2**18  # elements of cells of several slices that are labelled at a time


def cell_of(grid: Grid, axes: Sequence[int]) -> tuple[int, ...]:
    """The shape of cells along the filtered axes."""
    shape = SHAPES.get(len(axes), (FEWEST,) * len(axes))
    return tuple(max(1, min(n, grid.shape[axis])) for n, axis in zip(shape, axes, strict=True))


class Runs(NamedTuple):
    """Runs of a stack: those of row r are first[r] to first[r + 1]. number: of the piece that each is of"""

    first: np.ndarray
    start: np.ndarray
    stop: np.ndarray
    number: np.ndarray


class Rows(NamedTuple):
    """How the rows of a cell touch, as `labels_cpu.label` takes it."""

    steps: np.ndarray
    touch: np.ndarray
    reaches: np.ndarray


class Stack(NamedTuple):
    """A cell, in some slices, labelled.

    cell: its number; inner: its region along the filtered axes; outer: where the slices lie among those of the window;
    slices: their numbers; part: the elements, with the filtered axes last; begins: pieces before each slice
    """

    cell: int
    inner: Region
    outer: tuple[slice, ...]
    slices: np.ndarray
    part: np.ndarray
    runs: Runs
    begins: np.ndarray


class Room:
    """Memory for cells of so many elements."""

    def __init__(self, size: int, several: bool) -> None:
        self.size = size
        self.inside = np.empty(size, np.uint8)
        self.changes = np.empty(size if several else 1, np.uint8)
        self.values, self.value = (np.empty(size if several else 1, np.uint64) for _ in range(2))
        self.start, self.stop, self.number = (np.empty(size, np.int32) for _ in range(3))
        self.faces = np.empty((0, 5), np.int64)
        self._rows: dict[tuple[int, ...], Rows] = {}

    def rows_of(self, shape: tuple[int, ...], connectivity: int) -> Rows:
        """How the rows of cells of a shape touch."""
        if shape not in self._rows:
            near, reaches = neighbours(len(shape) - 1, connectivity, before=True)
            steps = near @ np.array([prod(shape[axis + 1 : -1]) for axis in range(len(shape) - 1)], np.int64)
            places = np.moveaxis(np.indices(shape[:-1]), 0, -1).reshape(prod(shape[:-1]), 1, len(shape) - 1) + near
            touch = ((places >= 0) & (places < np.array(shape[:-1], np.int64))).all(axis=-1)
            self._rows[shape] = Rows(steps, np.ascontiguousarray(touch).view(np.uint8), reaches)
        return self._rows[shape]


@lru_cache(maxsize=64)
def line_places(shape: tuple[int, ...], steps: tuple[int, ...], within: tuple[Span, ...] = ()) -> np.ndarray:
    """Of each row (or slice) of some, where it lies for steps along the axes that number them; -1: it does not lie
    `within`, from where places count then."""
    found, outside = np.zeros((), np.int64), np.zeros((), bool)
    for n, step, (start, stop) in zip(shape, steps, within or [(0, n) for n in shape], strict=True):
        at = np.arange(n) - start
        found = found[..., None] + at * step
        outside = outside[..., None] | (at < 0) | (at >= stop - start)
    return np.where(outside, -1, found).reshape(-1)


def place_of(part: np.ndarray, flat: np.ndarray) -> int:
    """Where a view of bytes begins in the array that it is of."""
    return int(part.__array_interface__["data"][0] - flat.__array_interface__["data"][0])


def indices(spans: Sequence[Span], shape: Sequence[int]) -> np.ndarray:
    """The global numbers of the elements in spans of axes; of no axes, the one of 0."""
    found = np.zeros((), np.int64)
    for (a, b), n in zip(spans, shape, strict=True):
        found = found[..., None] * n + np.arange(a, b)
    return found


def boxes(shape: Sequence[int], most: int) -> Iterator[tuple[slice, ...]]:
    """Boxes of elements that follow each other, `most` at a time at most."""
    axis = 0
    while axis < len(shape) - 1 and prod(shape[axis + 1 :]) > most:
        axis += 1
    if not shape:
        yield ()
        return
    step, rest = max(1, most // max(1, prod(shape[axis + 1 :]))), tuple(slice(0, n) for n in shape[axis + 1 :])
    for lead in product(*map(range, shape[:axis])):
        for i in range(0, shape[axis], step):
            yield (*(slice(n, n + 1) for n in lead), slice(i, min(i + step, shape[axis])), *rest)


def neighbours(lead: int, connectivity: int, before: bool) -> tuple[np.ndarray, np.ndarray]:
    """Rows that touch a row: steps along the `lead` axes that number rows, and how far along the row it reaches over a
    corner, 0 or 1. before: of one half of them, those before it; else all, and itself, at one step along another axis
    """
    steps, reaches = [], []
    for step in product((-1, 0, 1), repeat=lead):
        apart = sum(map(abs, step)) + (not before)
        if apart <= connectivity and (not before or step < (0,) * lead):
            steps.append(step)
            reaches.append(apart < connectivity)
    return np.array(steps, np.int64).reshape(len(steps), lead), np.array(reaches, np.int64)


def whole_cells(span: Span, cell: int, n: int) -> Span:
    """A span of whole cells of an axis of n, the last of which may be smaller. It may pass the ends of the axis."""
    a, b = span
    if b - a >= n:
        return 0, n
    lap = a // n * n
    start = lap + (a - lap) // cell * cell
    lap = (b - 1) // n * n
    stop = lap + min(n, -(-(b - lap) // cell) * cell)
    return (start, stop) if stop - start < n else (0, n)
