"""All that a worker needs to make any block of a simulation: numbers alone, stored as the operators are."""

from __future__ import annotations

from dataclasses import dataclass
from importlib import import_module
from typing import Any

import numpy as np

from gridstride.workers.models.edac.block import FlowBlock
from gridstride.workers.models.edac.flow import Flow, Index
from gridstride.workers.models.edac.geometry import Geometry
from gridstride.workers.models.edac.problems import sample
from gridstride.workers.models.edac.solids import kept


@dataclass(frozen=True)
class Setup:
    """A simulation: solids are shapes and masks of `obstacles`; problem is of `problems`, None if a store gives the
    flow to begin with."""

    flow: Flow
    geometry: Geometry
    solids: tuple[Any, ...]
    problem: Any

    def block(self, start: Index, stop: Index, reach: int, device: str, step: int = 0, threads: int = 1) -> FlowBlock:
        """The block [start, stop), empty."""
        backend = import_module("gridstride.workers.models.edac." + device)
        block = FlowBlock(self.flow, start, stop, reach, backend, step, threads)
        if self.solids:
            keep = kept(self.flow, self.geometry, self.solids, block.low, block.high)
            if (keep < 1).any():
                block.keep = backend.xp.asarray(keep)
        return block

    def begin(self, block: FlowBlock) -> None:
        """Put the problem's flow at time 0 into a block, halos included.

        p belongs to times half a step after the velocity's. A problem that is not an exact solution begins with a level
        before that is the same: the first step is then Euler's.
        """
        dt = self.flow.dt
        low, high = block.held()
        levels = [self._at(low, high, 0.0, dt / 2), self._at(low, high, -dt, -dt / 2)]
        if not self.problem.exact:
            levels = [self._at(low, high, 0.0, 0.0)] * 2
        block.load(np.concatenate(levels), low)
        self.shape(block)

    def shape(self, block: FlowBlock) -> None:
        """Take the solids' share out of both levels, and fill the ghost cells."""
        if block.keep is not None:
            for level in (block.now, block.before):
                level[: self.flow.components] *= block.keep
        block.fill()

    def _at(self, low: Index, high: Index, t: float, t_pressure: float) -> np.ndarray:
        values = sample(self.problem, self.geometry, low, high, t, self.flow.dtype)
        if t_pressure != t:
            x, y, z = self.geometry.positions(self.flow.components, low, high)
            values[-1] = self.problem.pressure(x, y, None if self.flow.planar else z, t_pressure)
        return values
