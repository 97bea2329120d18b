"""Labelling: the cells of an array and their pieces, and the sweep that reports how these meet. See `labels`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import product
from math import prod
from typing import Literal

import numpy as np

from gridstride.workers.families.labels_cells import (
    TOGETHER,
    Room,
    Runs,
    Stack,
    boxes,
    indices,
    line_places,
    place_of,
    whole_cells,
)
from gridstride.workers.nodata import NoData
from gridstride.workers.operators.base import Grid, Operator, Report, Window
from gridstride.workers.region import Region

PIECE_BYTES, RUN_BYTES = 68, 140
Of = Literal["objects", "background", "values"]


@dataclass(frozen=True)
class Labelling(Operator):
    """The geometry of cells, and their labelling.

    axes:   that are filtered, ascending; elements that differ along others are in different slices, and never joined
    of:     what components are of: elements that are not 0 (NaN too), those that are, or those of the same value
    border: elements from the ends of axes that count as touching them
    """

    axes: tuple[int, ...]
    connectivity: int
    cell: tuple[int, ...]
    of: Of = "objects"
    border: int = 0
    nodata: NoData | None = None

    cpu_only = True
    even = False

    # --- geometry ---
    def others(self, grid: Grid) -> tuple[int, ...]:
        return tuple(axis for axis in range(grid.ndim) if axis not in self.axes)

    def lattice(self, grid: Grid) -> tuple[int, ...]:
        """Number of cells along each filtered axis."""
        return tuple(-(-grid.shape[axis] // n) for axis, n in zip(self.axes, self.cell, strict=True))

    def slices(self, grid: Grid) -> int:
        return prod(grid.shape[axis] for axis in self.others(grid))

    def needed(self, want: Region, grid: Grid) -> Region:
        """Whole cells."""
        if not want.size:
            return want
        for axis, n in zip(self.axes, self.cell, strict=True):
            want = want.having(axis, whole_cells(want.spans[axis], n, grid.shape[axis]))
        return want

    def scratch(self, want: Region, grid: Grid, device: str) -> int:
        """Cells and their runs; what is noted of pieces, of which every other element may be one; and what a block
        whose edges lie otherwise reads more."""
        need, most = self.needed(want, grid).size, want.size
        for axis, n in zip(self.axes, self.cell, strict=True):
            a, b = want.spans[axis]
            most = most // max(1, b - a) * min(grid.shape[axis], (b - a + n - 2) // n * n + n)
        together = min(need, max(TOGETHER, prod(self.cell)))
        faces = 80 * together * sum(1 / n for n, cells in zip(self.cell, self.lattice(grid), strict=True) if cells > 1)
        words = together // self.cell[-1] * -(-self.cell[-1] // 64)
        cells = together * (39 if self.of == "values" else 22) + 16 * words + int(faces) + 2**16
        return cells + self.noted(want, grid) + max(0, most - need) * grid.dtype.itemsize

    def noted(self, want: Region, grid: Grid) -> int:
        """Bytes for the whole of a block."""
        return 0

    def element_time(self, grid: Grid) -> float:
        return 1.5 if self.of != "values" else 6.0

    # --- work ---
    def room(self, window: Window) -> Room:
        size = min(self.needed(window.want, window.grid).size, max(TOGETHER, prod(self.cell)))
        return Room(size, self.of == "values")

    def stacks(self, window: Window, cells: Sequence[range], room: Room) -> Iterator[Stack]:
        """The cells of some ranges along each axis, of all slices of the window's want, a few slices at a time."""
        from gridstride.workers.families import labels_cpu

        grid, others, several = window.grid, self.others(window.grid), self.of == "values"
        names = indices([window.want.spans[axis] for axis in others], [grid.shape[axis] for axis in others])
        need = self.needed(window.want, grid)
        data = window.part(need).data.transpose(*others, *self.axes)
        flat, lead = np.frombuffer(b"", np.uint8), len(others)
        direct = data.itemsize == 1 and data.strides[-1] == 1 and self.nodata is None and not several
        direct = direct and window.data.flags.c_contiguous and np.may_share_memory(data, window.data)
        if direct:  # bytes are read where they are
            flat = window.data.view(np.uint8).reshape(-1)
        for place in product(*cells):
            origin = [i * n for i, n in zip(place, self.cell, strict=True)]
            ends = [min(o + n, grid.shape[a]) for o, n, a in zip(origin, self.cell, self.axes, strict=True)]
            inner = Region.of(origin, ends)
            lies = inner.within(Region(tuple(need.spans[axis] for axis in self.axes)))
            rows = room.rows_of(inner.shape, self.connectivity)
            for outer in boxes(names.shape, max(1, room.size // prod(self.cell))):
                part, some = data[(*outer, *lies)], names[outer].reshape(-1)
                inside, start, strides = (
                    (flat, place_of(part, flat), part.strides) if direct else self.filled(part, room)
                )
                bases = start + line_places(part.shape[:lead], strides[:lead])
                lines = line_places(part.shape[lead:-1], strides[lead:-1])
                first = np.empty(len(bases) * len(lines) + 1, np.int32)
                bits = np.empty((2, (len(first) - 1) * -(-inner.shape[-1] // 64)), np.uint64)
                begins = np.empty(len(bases) + 1, np.int64)
                runs = Runs(first, room.start, room.stop, room.number)
                labels_cpu.label(
                    inside, direct and self.of == "background", room.changes, room.values, several, bases, lines,
                    inner.shape[-1], *rows, *bits, *runs[:3], room.value, runs.number, begins,
                )  # fmt: skip
                cell = int(np.ravel_multi_index(place, self.lattice(grid)))
                yield Stack(cell, inner, outer, some, part, runs, begins)

    def filled(self, part: np.ndarray, room: Room) -> tuple[np.ndarray, int, tuple[int, ...]]:
        """Note which elements of some cells belong to objects; if there are several values, which elements differ from
        the one before, and the values. Returns the bytes that say the first, where they begin, and their strides."""
        inside = room.inside[: part.size].view(bool).reshape(part.shape)
        (np.equal if self.of == "background" else np.not_equal)(part, 0, out=inside)
        if self.nodata is not None:
            valid = self.nodata.valid(part, np)
            inside[...] = inside | ~valid if self.of == "background" else inside & valid
        if self.of == "values":
            values = room.values[: part.size]
            values.reshape(part.shape)[...] = part
            np.not_equal(values[1:], values[:-1], out=room.changes[1 : part.size].view(bool))
        return room.inside, 0, inside.strides


@dataclass(frozen=True)
class Pieces(Labelling):
    """Reports the pieces of the cells that begin in a block: see `labels_merge`."""

    def writes(self) -> bool:
        return False

    def describe(self) -> str:
        return "pieces of objects and how they meet"

    def noted(self, want: Region, grid: Grid) -> int:
        """Of each piece what is known, and the report of that; and runs on the faces of cells, three times while they
        are joined. Every other element may be a piece, and a run."""
        shares = [1 / n for n, cells in zip(self.cell, self.lattice(grid), strict=True) if cells > 1]
        return int(self.needed(want, grid).size * (PIECE_BYTES / 2 + RUN_BYTES * sum(shares)))

    def cpu(self, window: Window, out: np.ndarray) -> Report:
        from gridstride.workers.families import labels_cpu, labels_seams_cpu
        from gridstride.workers.families.labels_merge import Found, Seams

        spans = [window.want.spans[axis] for axis in self.axes]
        cells = [range(-(-a // n), -(-b // n)) for (a, b), n in zip(spans, self.cell, strict=True)]
        grid, several = window.grid, self.of == "values"
        whole, cell = np.array([grid.shape[axis] for axis in self.axes]), np.array(self.cell)
        along, total = [prod(grid.shape[axis + 1 :]) for axis in self.axes], self.slices(grid)
        room, found = self.room(window), Found(Seams(whole, total, self.connectivity))
        for stack in self.stacks(window, cells, room):
            shape, origin = np.array(stack.inner.shape), np.array(stack.inner.start)
            known = found.add(stack.cell * total + stack.slices, stack.begins)
            runs, count = stack.runs, len(stack.slices)
            bases = self.bases(stack.slices, grid) + int(origin @ along)
            places = line_places(stack.inner.shape[:-1], tuple(along[:-1]))
            labels_cpu.measure(*runs, shape, origin, whole, along[-1], bases, places, self.border, *known)
            most = (
                2 * count * sum(int(shape.prod()) // int(n) for n, all_ in zip(shape, whole, strict=True) if n < all_)
            )
            if len(room.faces) < most:
                room.faces = np.empty((most, 5), np.int64)
            ends = np.zeros(2 * len(shape) + 1, np.int64)
            labels_seams_cpu.faces(
                *runs, room.value, several, shape, origin, whole, cell, stack.slices, total,
                found.count - int(stack.begins[-1]), room.faces, ends,
            )  # fmt: skip
            found.meet(room.faces, ends)
        return found.report(cells, several)

    def bases(self, slices: np.ndarray, grid: Grid) -> np.ndarray:
        """The global index of the first element of each slice."""
        others = self.others(grid)
        places = np.unravel_index(slices, [grid.shape[axis] for axis in others]) if others else ()
        found = np.zeros(len(slices), np.int64)
        for axis, place in zip(others, places, strict=True):
            found += place * prod(grid.shape[axis + 1 :])
        return found
