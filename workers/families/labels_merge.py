"""Pieces of objects joined to objects: within a block by its task, and over the faces of blocks by the client.

A report is one array of int64: how long each of its parts is, and then these parts, one after another.

    cells    cell * slices + slice, for each cell and slice of it that was labelled
    pieces   how many each of these has
    parts    of each piece the number of its part of an object, within the block
    firsts, counts, touches    of each part: smallest global index, elements, whether it touches a border
    low, high                  for each axis, runs on the block's low and high faces: row, start, stop, part, value
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from gridstride.workers.families import labels_seams_cpu
from gridstride.workers.families.labels_cells import neighbours

COLUMNS = 5


@dataclass(frozen=True)
class Seams:
    """Where cells meet. lengths: of the filtered axes; slices: of the array"""

    lengths: np.ndarray
    slices: int
    connectivity: int

    def of(self, rows: np.ndarray, axis: int) -> np.ndarray:
        """The seam that rows of faces lie at: cells along the axis before it."""
        return rows // (self.slices * self.numbering(axis).prod(dtype=np.int64))

    def numbering(self, axis: int) -> np.ndarray:
        """The lengths of the axes that number a face's rows, seams and slices aside."""
        left = np.delete(self.lengths, axis)
        return left[:-1]

    def join(self, low: list[np.ndarray], high: list[np.ndarray], several: bool, parent: np.ndarray) -> None:
        """Unite what meets, of faces along each axis."""
        for axis in range(len(self.lengths)):
            lengths = self.numbering(axis)
            near, reaches = neighbours(len(lengths), self.connectivity, before=False)
            labels_seams_cpu.join_seams(
                _sorted(low[axis]), _sorted(high[axis]), lengths, near, reaches, several, parent
            )


def _sorted(runs: np.ndarray) -> np.ndarray:
    """Runs in the order of their rows and starts, a row of the result for each column."""
    return np.ascontiguousarray(runs[np.lexsort((runs[:, 1], runs[:, 0]))].T)


class Found:
    """What the task of a block finds, cell by cell."""

    def __init__(self, seams: Seams) -> None:
        self.seams, self.count = seams, 0
        self.cells: list[np.ndarray] = []
        self.pieces: list[np.ndarray] = []
        self.known: list[list[np.ndarray]] = [[], [], []]
        self.low: list[list[np.ndarray]] = [[] for _ in seams.lengths]
        self.high: list[list[np.ndarray]] = [[] for _ in seams.lengths]

    def add(self, cells: np.ndarray, begins: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Count a stack's pieces. Returns arrays to fill with what is known of them."""
        count = int(begins[-1])
        self.count += count
        self.cells.append(cells)
        self.pieces.append(np.diff(begins))
        known = np.full(count, np.iinfo(np.int64).max), np.zeros(count, np.int64), np.zeros(count, np.int64)
        for column, array in zip(self.known, known, strict=True):
            column.append(array)
        return known

    def meet(self, faces: np.ndarray, ends: np.ndarray) -> None:
        """Keep a stack's runs on faces. ends: of each face's, axis by axis, low and high"""
        begin = 0
        for number, end in enumerate(ends[: 2 * len(self.low)].tolist()):
            if end > begin:
                (self.high if number % 2 else self.low)[number // 2].append(faces[begin:end].copy())
            begin = end

    def report(self, cells: Sequence[range], several: bool) -> np.ndarray:
        """The report, with what meets within the block joined. cells: of the block, along each axis"""
        low, high = ([_joined(side.pop(0), (0, COLUMNS)) for _ in cells] for side in (self.low, self.high))
        parts = np.arange(self.count)
        self.seams.join(low, high, several, parts)
        firsts, counts, touches = (_joined(self.known.pop(0), (0,)) for _ in range(3))
        roots = labels_seams_cpu.gather(parts, firsts, counts, touches)
        outer = []
        for axis, span in enumerate(cells):
            for faces, seam in ((low[axis], span.start), (high[axis], span.stop)):
                runs = faces[self.seams.of(faces[:, 0], axis) == seam]
                runs[:, 3] = parts[runs[:, 3]]
                outer.append(runs.reshape(-1))
        ids, pieces = _joined(self.cells, (0,)), _joined(self.pieces, (0,))
        every = [ids, pieces, parts, firsts[:roots], counts[:roots], touches[:roots], *outer]
        return np.concatenate([[len(part) for part in every], *every])


def _joined(arrays: list[np.ndarray], empty: tuple[int, ...]) -> np.ndarray:
    return np.concatenate(arrays) if arrays else np.empty(empty, np.int64)


@dataclass(frozen=True)
class Known:
    """What the client knows of all objects. objects: of each piece, in the order of cells and slices; offsets: of the
    first piece of each cell and slice; firsts, counts, touches: of each object"""

    objects: np.ndarray
    offsets: np.ndarray
    firsts: np.ndarray
    counts: np.ndarray
    touches: np.ndarray

    def numbers(self, dtype: np.dtype) -> np.ndarray:
        """The number of each piece's object: from 1 on, by the objects' first elements. Raises ValueError if there are
        more than the dtype has numbers."""
        count = len(self.firsts)
        if count > np.iinfo(dtype).max:
            raise ValueError(f"there are {count} objects, more than {dtype} has numbers: give a larger dtype")
        narrow = np.dtype(np.uint32 if count < 2**32 else np.uint64)
        numbers = np.empty(count, narrow)
        numbers[np.argsort(self.firsts, kind="stable")] = np.arange(1, count + 1, dtype=narrow)
        return numbers[self.objects]


def merged(reports: Iterable[np.ndarray], seams: Seams, cells: int, several: bool) -> Known:
    """All objects, from the reports of any partition in any order. cells: cells and slices that there are"""
    axes, base = len(seams.lengths), 0
    lists: list[list[np.ndarray]] = [[] for _ in range(6 + 2 * axes)]
    for report in reports:
        ends = np.cumsum(report[: len(lists)]) + len(lists)
        parts = np.split(report[: ends[-1]], [len(lists), *ends[:-1]])[1:]
        for number, part in enumerate(parts):
            if number == 2:
                part += base
            if number >= 6:
                part[3::COLUMNS] += base
            lists[number].append(part.reshape(-1, COLUMNS) if number >= 6 else part)
        base += len(parts[3])
    faces = [_joined(some, (0, COLUMNS)) for some in lists[6:]]
    ids, pieces, parts_, firsts, counts, touches = (_joined(some, (0,)) for some in lists[:6])
    del lists
    parent = np.arange(base)
    seams.join(faces[::2], faces[1::2], several, parent)
    del faces
    roots = labels_seams_cpu.gather(parent, firsts, counts, touches)
    offsets = np.zeros(cells + 1, np.int64)
    offsets[ids + 1] = pieces
    np.cumsum(offsets, out=offsets)
    before = np.cumsum(pieces) - pieces
    objects = np.empty(len(parts_), np.int64)
    objects[np.repeat(offsets[ids] - before, pieces) + np.arange(len(parts_))] = parent[parts_]
    return Known(objects, offsets, firsts[:roots], counts[:roots], touches[:roots])
