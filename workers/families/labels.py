"""Labels: connected components of a whole array, exact at every cut, and what operators make of them.

The array is divided into *cells*, boxes of a fixed shape counted from its first element. A component of a cell, a
*piece*, is known by the cell and by its number there, whatever block the cell is computed in:

    sweep 1  reports, of the cells that begin in a block: their pieces, joined within the block, and what lies on the
             block's faces (`Pieces`; `labels_merge` joins the blocks' pieces over faces, edges and corners)
    sweep 2  finds the pieces of each cell again, and gives what the table says of them (`Labels`)

Labelling twice takes less time than to store provisional numbers, of four or eight bytes an element, and read them
again. The table has an entry for each piece, in every worker process: of 1 byte, or of 4 or 8 for numbers.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from math import prod
from typing import Literal

import numpy as np

from gridstride.workers.families.labelling import Labelling, Pieces
from gridstride.workers.families.labels_cells import indices, line_places
from gridstride.workers.nodata import NoData
from gridstride.workers.operators.base import Grid, Meaning, Operator, Report, Window
from gridstride.workers.region import Region

NUMBERS = np.dtype(np.uint32)
Gives = Literal["numbers", "small", "border", "holes"]


@dataclass(frozen=True)
class Labels(Labelling):
    """What is made of objects.

    gives: numbers of objects from 1 on, in the order of their first elements; or the elements but for those of objects
           of fewer than `size`, or of objects that touch a border; or objects without holes
    table: of each piece its object's number, or whether it is kept (or filled); offsets: in it, of the first piece of
           each cell and slice. None before the first sweep.
    """

    dtype: np.dtype = NUMBERS
    gives: Gives = "numbers"
    size: int = 0
    table: np.ndarray | None = None
    offsets: np.ndarray | None = None

    def out_grid(self, grid: Grid) -> Grid:
        return grid.having(self.dtype)

    def describe(self) -> str:
        what = {
            "numbers": "objects numbered",
            "small": f"objects of {self.size} elements or more",
            "border": "objects away from the border",
            "holes": "holes filled",
        }[self.gives]
        return f"{what}, connectivity {self.connectivity}"

    def meaning(self) -> Meaning:
        return (
            Meaning(1.0, chosen=True)
            if self.gives in ("small", "border")
            else Meaning(truths=self.gives == "holes", labels=self.gives == "numbers")
        )

    def without(self, nodata: NoData, grid: Grid) -> tuple[Operator, NoData | None]:
        """Elements without data are of no object; where elements are kept or cleared, they stay as they are."""
        left = nodata.stored_as(self.dtype) if self.gives in ("small", "border") else None
        return self.but(nodata=nodata), left

    def remarks(self, grid: Grid) -> tuple[str, ...]:
        found = []
        if self.gives in ("numbers", "holes") and grid.dtype.kind != "b":
            found.append(f"objects are of all elements of {grid.dtype} that are not 0: make a mask by threshold first")
        if self.gives == "numbers" and self.slices(grid) > 1:
            found.append("slices are labelled apart, and no two objects of the array have the same number")
        return tuple(found)

    def noted(self, want: Region, grid: Grid) -> int:
        """What is painted, where it is not the result itself, and which elements have a value."""
        return want.size * (8 + 4)

    def first_sweep(self) -> Operator | None:
        if self.table is not None:
            return None
        return Pieces(self.axes, self.connectivity, self.cell, self.of, self.border, self.nodata)

    def resolve(self, reports: Iterable[Report], grid: Grid) -> Operator:
        from gridstride.workers.families.labels_merge import Seams, merged

        whole = np.array([grid.shape[axis] for axis in self.axes])
        seams = Seams(whole, self.slices(grid), self.connectivity)
        known = merged(reports, seams, prod(self.lattice(grid)) * self.slices(grid), self.of == "values")
        if self.gives == "numbers":
            table = known.numbers(self.dtype)
        else:
            kept = known.counts >= self.size if self.gives == "small" else known.touches == 0
            table = kept[known.objects].view(np.uint8)
        return self.but(table=table, offsets=known.offsets)

    def cpu(self, window: Window, out: np.ndarray) -> None:
        assert self.table is not None
        whole = out.transpose(*self.others(window.grid), *self.axes)
        stays = self.gives in ("small", "border") and (self.of == "values" or self.nodata is not None)
        fits = whole.flags.c_contiguous and whole.dtype.itemsize == self.table.itemsize and not stays
        made = whole.view(self.table.dtype) if fits else np.empty(whole.shape, self.table.dtype)
        self.paint(window, made)
        if stays:
            part = window.part(window.want).data.transpose(*self.others(window.grid), *self.axes)
            kept = made.view(bool)
            if self.nodata is not None:
                kept |= ~self.nodata.valid(part, np)
            whole[...] = part
            np.copyto(whole, 0, where=~kept)
        elif not fits:
            whole[...] = made

    def paint(self, window: Window, made: np.ndarray) -> None:
        """What the table has for every element of the want, the filtered axes last."""
        from gridstride.workers.families import labels_cpu

        assert self.table is not None
        assert self.offsets is not None
        grid, room = window.grid, self.room(window)
        want = Region(tuple(window.want.spans[axis] for axis in self.axes))
        cells = [range(a // n, -(-b // n)) for (a, b), n in zip(want.spans, self.cell, strict=True)]
        steps = [n // made.itemsize for n in made.strides]
        lead = made.ndim - len(self.axes)
        places = indices([(0, n) for n in made.shape[:lead]], made.shape[:lead]) * want.size
        background = self.table.dtype.type(self.gives == "holes")
        for stack in self.stacks(window, cells, room):
            pairs = zip(stack.inner.spans, want.spans, strict=True)
            both = Region(tuple((max(a, c), min(b, d)) for (a, b), (c, d) in pairs))
            part = [(c - a, d - a) for (c, d), (a, _) in zip(both.spans, stack.inner.spans, strict=True)]
            lines = line_places(stack.inner.shape[:-1], tuple(steps[lead:-1]), tuple(part[:-1]))
            bases = places[stack.outer].reshape(-1)
            bases = bases + sum(
                (c - a) * n for (a, _), (c, _), n in zip(want.spans, both.spans, steps[lead:], strict=True)
            )
            low, high = (end - stack.inner.start[-1] for end in both.spans[-1])
            entries = self.offsets[stack.cell * self.slices(grid) + stack.slices]
            labels_cpu.paint(
                *stack.runs, len(lines), stack.begins, entries, self.table, background, low, high, bases, lines,
                made.reshape(-1),
            )  # fmt: skip
