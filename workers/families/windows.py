"""Windows that move in steps and may overlap: the largest element of each, or the mean. `pool` has boxes in a row."""

from __future__ import annotations

from dataclasses import dataclass
from math import prod
from typing import Any, Literal

import numpy as np

from gridstride.workers.families.local import Local
from gridstride.workers.families.nodata import Masked, Run, chosen, filled
from gridstride.workers.families.strided import Steps
from gridstride.workers.launches import AXES, Launches, Ref, ceil_div, six, strides, type_name
from gridstride.workers.nodata import NoData
from gridstride.workers.operators.base import Grid, Meaning, Operator, Window
from gridstride.workers.operators.boundary import Taps
from gridstride.workers.region import Region

THREADS = 256
FLOATS = ("f32", "f64")
GEOMETRY = np.dtype(
    [(key, np.int64, AXES) for key in ("size", "taps", "stride", "dilation", "in_stride", "table", "counts")]
)


def instantiations() -> list[tuple[str, str]]:
    """Every (file, name expression) that can be asked for."""
    return [("layers.cu", f"windows<{t}, {largest}>") for t in FLOATS for largest in ("true", "false")]


@dataclass(frozen=True)
class Windows(Local):
    """One element of each window of an array of float32 or float64.

    The largest is of the elements that exist; NaN gives NaN. Means are of sums in float64, in C order, divided by the
    number of elements: of those that exist, or of all `padded` ones.
    steps: of each axis; padded: how many elements the axes have with their padding
    """

    steps: tuple[Steps, ...]
    method: Literal["max", "mean"]
    padded: tuple[int, ...] | None = None

    def reads(self, grid: Grid) -> tuple[Taps, ...]:
        return tuple(step.reads for step in self.steps)

    def out_grid(self, grid: Grid) -> Grid:
        axes = tuple(step.axis(axis) for step, axis in zip(self.steps, grid.axes, strict=True))
        return Grid(tuple(step.extent for step in self.steps), grid.dtype, axes)

    def element_time(self, grid: Grid) -> float:
        return 1.0 + 0.5 * prod(step.taps for step in self.steps)

    def describe(self) -> str:
        return f"{self.method} of windows of {' x '.join(str(step.taps) for step in self.steps)}"

    def meaning(self) -> Meaning:
        largest = self.method == "max"
        whole = largest or self.padded is None or not any(step.before for step in self.steps)
        return Meaning(1.0, between=True, chosen=largest) if whole else Meaning()

    def without(self, nodata: NoData, grid: Grid) -> tuple[Operator, NoData]:
        """Each window is of the elements that have a value."""
        left = nodata.stored_as(grid.dtype)
        return OfValid(self, nodata, left.value), left

    def counts(self, want: Region, grid: Grid) -> list[np.ndarray]:
        """On each axis, how many elements of each window are in a mean."""
        found = []
        for axis, (step, (start, stop)) in enumerate(zip(self.steps, want.spans, strict=True)):
            low, high = (
                (0, grid.shape[axis]) if self.padded is None else (-step.before, self.padded[axis] - step.before)
            )
            first = np.arange(start, stop) * step.stride - step.before
            found.append((np.clip(first + step.taps, low, high) - np.clip(first, low, high)).astype(np.float64))
        return found

    def scratch(self, want: Region, grid: Grid, device: str) -> int:
        """A copy of what is not contiguous, and of a result that is not; a row of sums; tables."""
        item = grid.dtype.itemsize
        rows = 8 * sum(self.padded_shape(want, grid)) + sum(
            8 * (2 + s.taps) * n for s, n in zip(self.steps, want.shape, strict=True)
        )
        return item * (self.needed(want, grid).size + want.size) + 64 * want.shape[-1] + 2 * rows + 2048

    def cpu(self, window: Window, out: np.ndarray) -> None:
        from gridstride.workers.families.windows_cpu import windows  # Numba takes time to import

        if out.size:
            windows(self, window.part(self.needed(window.want, window.grid)), out)

    def gpu(self, window: Window, launches: Launches) -> None:
        dtype, count = np.dtype(window.data.dtype), prod(window.want.shape)
        launches.out_dtype = dtype
        if count == 0:
            return
        tables, counts = self.six_tables(window), self.six_counts(window)
        geometry = np.zeros((), GEOMETRY)
        for key in ("taps", "stride", "dilation"):
            geometry[key] = six([getattr(step, key) for step in self.steps], 1)
        geometry["size"], geometry["in_stride"] = six(window.want.shape, 1), six(strides(window.data.shape), 0)
        for key, parts in (("table", tables), ("counts", counts)):
            geometry[key] = np.cumsum([0, *(len(part) for part in parts[:-1])])
        constants = geometry, np.concatenate(tables).astype(np.int32), np.concatenate(counts)
        args = [Ref("data"), Ref("out"), *map(launches.constant, constants), np.int64(count)]
        expression = f"windows<{type_name(dtype)}, {'true' if self.method == 'max' else 'false'}>"
        launches.launch("layers.cu", expression, ceil_div(count, THREADS), (THREADS, 1), 0, args)

    def six_tables(self, window: Window) -> list[np.ndarray]:
        found = self.tables(window)
        return [*[np.zeros(1, np.int64)] * (AXES - len(found)), *found]

    def six_counts(self, window: Window) -> list[np.ndarray]:
        found = self.counts(window.want, window.grid)
        return [*[np.ones(1)] * (AXES - len(found)), *found]


@dataclass(frozen=True)
class OfValid(Masked):
    """Windows of the elements that have a value."""

    operator: Windows

    def describe(self) -> str:
        return f"{self.operator.describe()}, of elements that have a value"

    def scratch(self, want: Region, grid: Grid, device: str) -> int:
        return super().scratch(want, grid, device) + 8 * (self.needed(want, grid).size + 2 * want.size)

    def made(self, window: Window, valid: Any, xp: Any, run: Run) -> Any:
        mask = Window(valid.astype(window.data.dtype), window.have, window.want, window.grid)
        if self.operator.method == "max":
            result = run(self.operator, filled(window, valid, xp, -np.inf))
            return chosen(run(self.operator, mask) > 0, result, self.missing, xp)
        existing = self.operator.but(padded=None)  # both are divided by the same number, which goes
        sums, share = run(existing, filled(window, valid, xp)), run(existing, mask)
        some = share > 0
        return chosen(some, sums / chosen(some, share, 1, xp), self.missing, xp)
