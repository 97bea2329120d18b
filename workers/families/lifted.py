"""Operators over channels, of arrays without an axis of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from gridstride.workers.families.nodata import Touched
from gridstride.workers.families.strided import Strided
from gridstride.workers.nodata import NoData
from gridstride.workers.operators.base import Axis, Grid, Meaning, Operator, Window
from gridstride.workers.region import Region

if TYPE_CHECKING:
    from gridstride.workers.gpu import Machine


@dataclass(frozen=True)
class Lifted(Operator):
    """An operator over channels, of an array without an axis of them, which is one channel.

    axis: where it would be; single: whether the result, of one element along it, has none either
    """

    operator: Strided | Touched
    axis: int
    single: bool

    def lifted(self, grid: Grid) -> Grid:
        """The input's grid with an axis of one channel."""
        axes = (*grid.axes[: self.axis], Axis("c", "channel"), *grid.axes[self.axis :])
        return Grid((*grid.shape[: self.axis], 1, *grid.shape[self.axis :]), grid.dtype, axes)

    def out_grid(self, grid: Grid) -> Grid:
        out = self.operator.out_grid(self.lifted(grid))
        return Grid(self._less(out.shape), out.dtype, self._less(out.axes)) if self.single else out

    def axes_from(self, grid: Grid) -> tuple[int | None, ...]:
        found = tuple(range(grid.ndim))
        return found if self.single else (*found[: self.axis], None, *found[self.axis :])

    def needed(self, want: Region, grid: Grid) -> Region:
        return Region(self._less(self.operator.needed(self._more(want), self.lifted(grid)).spans))

    def uncut(self, grid: Grid) -> frozenset[int]:
        inner = self.operator.uncut(self.lifted(grid))
        return frozenset(n - (n > self.axis) for n in inner - {self.axis}) if self.single else inner

    def scratch(self, want: Region, grid: Grid, device: str) -> int:
        return self.operator.scratch(self._more(want), self.lifted(grid), device)

    def element_time(self, grid: Grid) -> float:
        return self.operator.element_time(self.lifted(grid))

    def describe(self) -> str:
        return self.operator.describe()

    def remarks(self, grid: Grid) -> tuple[str, ...]:
        return self.operator.remarks(self.lifted(grid))

    def meaning(self) -> Meaning:
        return self.operator.meaning()

    def without(self, nodata: NoData, grid: Grid) -> tuple[Operator, NoData | None]:
        operator, left = self.operator.without(nodata, self.lifted(grid))
        return self.but(operator=operator), left

    def cpu(self, window: Window, out: np.ndarray) -> None:
        self.operator.cpu(self._inner(window), np.expand_dims(out, self.axis) if self.single else out)

    def on_gpu(self, window: Window, machine: Machine) -> Any:
        from gridstride.workers.gpu import compute

        made = compute(self.operator, self._inner(window), machine)
        return made.reshape(self._less(made.shape)) if self.single else made

    def _inner(self, window: Window) -> Window:
        have = Region((*window.have.spans[: self.axis], (0, 1), *window.have.spans[self.axis :]))
        data = window.data.reshape((*window.data.shape[: self.axis], 1, *window.data.shape[self.axis :]))
        return Window(data, have, self._more(window.want), self.lifted(window.grid))

    def _more(self, want: Region) -> Region:
        """A region of the result as the operator has it."""
        spans = want.spans
        return Region((*spans[: self.axis], (0, 1), *spans[self.axis :])) if self.single else want

    def _less(self, values: Any) -> Any:
        return (*values[: self.axis], *values[self.axis + 1 :])
