"""Local: operators that read a box around each output. They say so axis by axis, and their geometry follows."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product
from typing import Any

import numpy as np

from gridstride.workers.operators.base import Grid, Operator, Window
from gridstride.workers.operators.boundary import Taps, boundary_table
from gridstride.workers.region import Region

# In `reads`: the axis is read whole, whatever is wanted of it.
WHOLE = None


@dataclass(frozen=True)
class Local(Operator):
    """An operator whose input region follows from what each output reads on each axis."""

    def reads(self, grid: Grid) -> tuple[Taps | None, ...]:
        """The taps of each axis of the input, or WHOLE."""
        return (Taps(),) * grid.ndim

    def needed(self, want: Region, grid: Grid) -> Region:
        shape = self.out_grid(grid).shape
        axes = zip(self.reads(grid), want.spans, shape, grid.shape, strict=True)
        return Region(tuple((0, n) if taps is WHOLE else taps.needed(span, m, n) for taps, span, m, n in axes))

    def tables(self, window: Window) -> list[np.ndarray]:
        """Where to find each element of the padded window on each axis; -1 is the constant value."""
        axes = zip(self.reads(window.grid), window.want.spans, window.have.spans, window.grid.shape, strict=True)
        return [
            np.arange(n) - have[0] if taps is WHOLE else boundary_table(want, taps, have, n)
            for taps, want, have, n in axes
        ]

    def padded_shape(self, want: Region, grid: Grid) -> tuple[int, ...]:
        """Shape of the window's data with their whole boundary."""
        axes = zip(self.reads(grid), want.spans, grid.shape, strict=True)
        return tuple(n if taps is WHOLE else _length(taps.raw(span)) for taps, span, n in axes)


def _length(span: tuple[int, int]) -> int:
    return span[1] - span[0]


def segments(table: np.ndarray) -> list[tuple[slice, slice | None]]:
    """A boundary table as few slice copies: (target, source), or (target, None) for the constant value.

    Runs that step by 1 are the grid itself, by -1 its reflection; a repeated index is a source of length 1, which
    broadcasts.
    """
    index = np.where(table < 0, -10, table)
    steps = np.diff(index)
    changes = np.append(np.flatnonzero(np.diff(steps)) + 1, len(steps))
    runs: list[tuple[slice, slice | None]] = []
    first = 0
    while first < len(index):
        step = int(steps[first]) if first < len(steps) else 0
        last = (
            int(changes[np.searchsorted(changes, first, side="right")])
            if step in (-1, 0, 1) and first < len(steps)
            else first
        )
        value, end = int(index[first]), int(index[last])
        target = slice(first, last + 1)
        if value < 0:
            runs.append((target, None))
        elif step < 0:
            runs.append((target, slice(value, end - 1 if end > 0 else None, -1)))
        else:
            runs.append((target, slice(value, end + 1)))
        first = last + 1
    return runs


def longest_run(table: np.ndarray) -> tuple[int, int]:
    """Where a boundary table counts up longest, as (first, last + 1); (0, 0) if all is outside."""
    ends = np.flatnonzero((np.diff(table) != 1) | (table[:-1] < 0)) + 1
    edges = np.concatenate([[0], ends, [len(table)]])
    longest = int(np.argmax(np.diff(edges)))
    first, last = int(edges[longest]), int(edges[longest + 1])
    return (first, last) if last > first and table[first] >= 0 else (0, 0)


def padded(
    op: Local, window: Window, cval: Any, dtype: np.dtype | None = None, into: np.ndarray | None = None
) -> np.ndarray:
    """The window's data with their whole boundary, as `dtype` (their own by default) or `into` an array. On the CPU.

    Tap k of output o is then element stride * o + dilation * k on each axis, counted from the want's start.
    """
    tables = op.tables(window)
    if into is None:
        into = np.empty([len(table) for table in tables], window.data.dtype if dtype is None else dtype)
    for pieces in product(*(segments(table) for table in tables)):
        target = tuple(t for t, _ in pieces)
        source: Any = tuple(s for _, s in pieces)
        into[target] = cval if None in source else window.data[source]
    return into
