"""Reindexing: the elements of the array at other places: a part of it, its mirror image, or more around it."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product
from typing import Any

import numpy as np

from gridstride.workers.families.local import Local, segments
from gridstride.workers.families.nodata import Unified
from gridstride.workers.launches import AXES, Launches, Ref, ceil_div, six, strides
from gridstride.workers.nodata import NoData
from gridstride.workers.operators.base import Grid, Meaning, Operator, Window
from gridstride.workers.operators.boundary import Taps
from gridstride.workers.operators.graph import Graph, Step
from gridstride.workers.region import Region

THREADS, EACH = 256, 4  # threads of a block, and elements of a row that each copies
PLACES = np.dtype([(key, np.int64, AXES) for key in ("size", "stride", "table")])


def instantiations() -> list[tuple[str, str]]:
    """Every (file, name expression) that can be asked for."""
    return [("reindex.cu", f"reindex<u{bits}>") for bits in (8, 16, 32, 64)]


@dataclass(frozen=True)
class Reindex(Local):
    """Element i of the result is element first + step * i of the array, on each axis; outside of it by a boundary mode.

    shape: of the result; steps: 1, or -1 on axes that are turned round
    cval: the value outside in mode "constant", one that the array's dtype has
    """

    shape: tuple[int, ...]
    first: tuple[int, ...]
    steps: tuple[int, ...]
    modes: tuple[str, ...]
    cval: float | int = 0

    def reads(self, grid: Grid) -> tuple[Taps, ...]:
        axes = zip(self.first, self.steps, self.modes, strict=True)
        return tuple(Taps(offset=first, stride=step, mode=mode) for first, step, mode in axes)

    def out_grid(self, grid: Grid) -> Grid:
        """A mirror image covers the space that the array covered."""
        axes = [
            axis if step < 0 else axis.moved(first)
            for axis, first, step in zip(grid.axes, self.first, self.steps, strict=True)
        ]
        return Grid(self.shape, grid.dtype, tuple(axes))

    def describe(self) -> str:
        return "copy of elements"

    def meaning(self) -> Meaning:
        """What is around the array is made of its elements, or is a constant, which of labels is no object."""
        return Meaning(1.0, between="constant" not in self.modes, chosen=True)

    def without(self, nodata: NoData, grid: Grid) -> tuple[Operator, NoData]:
        """No data stay no data."""
        left = NoData((nodata.value,))
        if len(nodata.values) == 1:
            return self, left
        one = Unified(Operator(), nodata, nodata.value)
        return Graph((Step("unified", one), Step("moved", self, ("unified",)))), left

    def scratch(self, want: Region, grid: Grid, device: str) -> int:
        halves = 8 * (want.size + self.needed(want, grid).size) if grid.dtype == np.float16 and device == "gpu" else 0
        return halves + 64 * sum(want.shape) + 2048

    def lines(self, window: Window) -> list[np.ndarray]:
        """Where to find each element of the want on each axis; -1 is the constant value."""
        return [table[::step] for table, step in zip(self.tables(window), self.steps, strict=True)]

    def cpu(self, window: Window, out: np.ndarray) -> None:
        for pieces in product(*(segments(line) for line in self.lines(window))):
            source: Any = tuple(s for _, s in pieces)
            out[tuple(t for t, _ in pieces)] = self.cval if None in source else window.data[source]

    def gpu(self, window: Window, launches: Launches) -> None:
        dtype, shape = np.dtype(window.data.dtype), six(window.want.shape, 1)
        launches.out_dtype = np.dtype(bool) if window.grid.dtype.kind == "b" else dtype
        if 0 in shape:
            return
        lines = [*[np.zeros(1, np.int64)] * (AXES - window.grid.ndim), *self.lines(window)]
        places = np.zeros((), PLACES)
        places["size"], places["stride"] = shape, six(strides(window.data.shape), 0)
        places["table"] = np.cumsum([0, *(len(line) for line in lines[:-1])])
        constants = launches.constant(places), launches.constant(np.concatenate(lines).astype(np.int32))
        tiles = int(np.prod(shape[:-1])) * ceil_div(shape[-1], THREADS * EACH)
        bits = f"u{8 * dtype.itemsize}"
        cval = np.array(self.cval, dtype).view(f"u{dtype.itemsize}")[()]
        args = Ref("data"), Ref("out"), *constants, np.int64(tiles), cval
        launches.launch("reindex.cu", f"reindex<{bits}>", tiles, (THREADS, 1), 0, args)
