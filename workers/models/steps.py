"""Some time steps of a simulation as an operator, for grids that no memory holds: a sweep from state to state.

The array is (levels x fields, z, y, x): every time level of each field.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from gridstride.workers.families.local import Local
from gridstride.workers.models.base import Setup
from gridstride.workers.operators.base import Grid, Window
from gridstride.workers.operators.boundary import Taps
from gridstride.workers.region import Region

if TYPE_CHECKING:
    from gridstride.workers.gpu import Machine


@dataclass(frozen=True)
class Steps(Local):
    """`steps` steps of a simulation that is at step `first`."""

    setup: Setup
    first: int
    steps: int

    def reads(self, grid: Grid) -> tuple[Taps, ...]:
        domain = self.setup.domain
        before, after = domain.halo(self.steps)
        taps = [Taps()]
        for axis in range(3):
            planar = domain.planar and axis == 0
            mode = "wrap" if domain.periodic(axis) else "constant"
            taps.append(Taps() if planar else Taps(before + 1 + after, -before, mode=mode))
        return tuple(taps)

    def uncut(self, grid: Grid) -> frozenset[int]:
        return frozenset([0])

    def out_grid(self, grid: Grid) -> Grid:
        return grid.having(self.setup.domain.dtype)

    def describe(self) -> str:
        return f"{self.steps} steps"

    def scratch(self, want: Region, grid: Grid, device: str) -> int:
        """The block's ring of levels, with halos on all sides, and what else the model holds."""
        domain = self.setup.domain
        deep = 2 * sum(domain.halo(self.steps))
        cells = 1
        for axis, n in enumerate(want.shape[1:]):
            cells *= n if domain.planar and axis == 0 else n + deep
        arrays = (domain.levels + 1) * domain.fields + self.setup.extra_arrays + 1
        return arrays * cells * domain.dtype.itemsize

    def cpu(self, window: Window, out: np.ndarray) -> None:
        out[...] = self._advanced(window, "cpu")

    def on_gpu(self, window: Window, machine: Machine) -> Any:
        return self._advanced(window, "gpu")

    def _advanced(self, window: Window, device: str) -> Any:
        """Every level after the steps; raises FloatingPointError if a field went beyond the domain's limit."""
        limit, want = self.setup.domain.limit, window.want
        start: Any = want.start[1:]
        stop: Any = want.stop[1:]
        here = self.setup.block(start, stop, self.steps, device, self.first)
        first, last = here.held()
        held = Region.of((0, *first), (window.grid.shape[0], *last))
        here.load(window.data[held.within(window.have)], first)
        here.fill()
        done = here.advance(self.steps, limit)
        if not done.peaks[-1] <= limit:
            raise FloatingPointError(here.where_largest())
        return here.backend.xp.asarray(here.saved())
