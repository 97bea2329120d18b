"""Some time steps of a simulation as an operator, for grids that no memory holds: a sweep from state to state.

The array is (levels x fields, z, y, x): every time level of each field.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from gridstride.workers.families.local import Local
from gridstride.workers.models.edac.kinds import SPARE
from gridstride.workers.operators.base import Grid, Window
from gridstride.workers.operators.boundary import Taps
from gridstride.workers.region import Region

if TYPE_CHECKING:
    from gridstride.workers.gpu import Machine
    from gridstride.workers.models.edac.setup import Setup


@dataclass(frozen=True)
class Steps(Local):
    """`steps` steps of a simulation that is at step `first`."""

    setup: Setup
    first: int
    steps: int

    def reads(self, grid: Grid) -> tuple[Taps, ...]:
        flow, deep = self.setup.flow, self.steps + SPARE
        taps = [Taps()]
        for axis in range(3):
            planar = flow.planar and axis == 0
            mode = "wrap" if flow.periodic(axis) else "constant"
            taps.append(Taps() if planar else Taps(2 * deep + 2, -deep, mode=mode))
        return tuple(taps)

    def uncut(self, grid: Grid) -> frozenset[int]:
        return frozenset([0])

    def out_grid(self, grid: Grid) -> Grid:
        return grid.having(self.setup.flow.dtype)

    def describe(self) -> str:
        return f"{self.steps} steps"

    def scratch(self, want: Region, grid: Grid, device: str) -> int:
        """The block's ring of levels, with halos on all sides, and the solids' share."""
        flow = self.setup.flow
        deep = 2 * (2 * (self.steps + SPARE) + 1)
        cells = 1
        for axis, n in enumerate(want.shape[1:]):
            cells *= n if flow.planar and axis == 0 else n + deep
        arrays = 3 * flow.fields + (flow.components if self.setup.solids else 0) + 1
        return arrays * cells * flow.dtype.itemsize

    def cpu(self, window: Window, out: np.ndarray) -> None:
        out[...] = self._advanced(window, "cpu")

    def on_gpu(self, window: Window, machine: Machine) -> Any:
        return self._advanced(window, "gpu")

    def _advanced(self, window: Window, device: str) -> Any:
        """Every level after the steps; raises FloatingPointError if a velocity came to be beyond the speed of sound."""
        flow, want = self.setup.flow, window.want
        start: Any = want.start[1:]
        stop: Any = want.stop[1:]
        here = self.setup.block(start, stop, self.steps, device, self.first)
        first, last = here.held()
        held = Region.of((0, *first), (window.grid.shape[0], *last))
        here.load(window.data[held.within(window.have)], first)
        here.fill()
        done = here.advance(self.steps, flow.sound_speed)
        if not done.peaks[-1] <= flow.sound_speed:
            raise FloatingPointError(here.where_fastest())
        return here.backend.xp.asarray(here.saved())
