"""All that a worker needs to make any block of a flow: numbers alone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from importlib import import_module
from typing import Any

import numpy as np

from gridstride.workers.models import base
from gridstride.workers.models.base import Read
from gridstride.workers.models.domain import Index, Sums
from gridstride.workers.models.edac import measures
from gridstride.workers.models.edac.block import FlowBlock
from gridstride.workers.models.edac.flow import Flow
from gridstride.workers.models.edac.geometry import Geometry
from gridstride.workers.models.edac.obstacles import cell_fractions
from gridstride.workers.models.edac.problems import sample
from gridstride.workers.models.edac.solids import fluid_factor

SAMPLE = 64  # cells along each axis in which the loss by interpolating is measured


@dataclass(frozen=True)
class Setup(base.Setup):
    """A flow: solids are shapes and masks of `obstacles`; problem is of `problems`, None if a store gives the flow to
    begin with."""

    flow: Flow
    geometry: Geometry
    solids: tuple[Any, ...]
    problem: Any

    @property
    def domain(self) -> Flow:
        return self.flow

    @property
    def starts(self) -> bool:
        return self.problem is not None

    @property
    def extra_arrays(self) -> int:
        return self.flow.components if self.solids else 0

    @property
    def gathers(self) -> bool:
        return bool(self.solids)

    def block(self, start: Index, stop: Index, reach: int, device: str, step: int = 0, threads: int = 1) -> FlowBlock:
        backend = import_module("gridstride.workers.models.edac." + device)
        block = FlowBlock(self.flow, start, stop, reach, backend, step, threads)
        if self.solids:
            factor = fluid_factor(self.flow, self.geometry, self.solids, block.low, block.high)
            if (factor < 1).any():
                block.fluid_factor = backend.xp.asarray(factor)
        return block

    def begin(self, block: FlowBlock) -> None:  # type: ignore[override]
        """Put the problem's flow at time 0 into a block.

        p belongs to times half a step after the velocity's. A problem that is not an exact solution begins with a level
        before that is the same: the first step is then Euler's.
        """
        dt = self.flow.dt
        low, high = block.held()
        levels = [self._at(low, high, 0.0, dt / 2), self._at(low, high, -dt, -dt / 2)]
        if not self.problem.exact:
            levels = [self._at(low, high, 0.0, 0.0)] * 2
        block.load(np.concatenate(levels), low)
        self._shape(block)

    def begin_from(self, block: FlowBlock, levels: np.ndarray, dt: float) -> None:  # type: ignore[override]
        """Of a run with another step the level before is moved along a straight line, and p to half a step after."""
        flow = self.flow
        levels = levels.astype(flow.dtype)
        if dt != flow.dt:
            now, before = levels[: flow.fields], levels[flow.fields :]
            rate = (now - before) / flow.dtype.type(dt)
            now[-1] += rate[-1] * flow.dtype.type((flow.dt - dt) / 2)
            before[...] = now - rate * flow.dtype.type(flow.dt)
        block.load(levels, block.held()[0])
        if block.fluid_factor is not None:
            self._multiply(block, block.fluid_factor > 0)  # for solids that were not there
        block.fill()

    def interpolate(self, block: FlowBlock, read: Read) -> None:  # type: ignore[override]
        """Velocities at faces are the means of the cells beside them. Both levels are the same: the first step is
        Euler's."""
        low, high = block.held()
        held = measures.held_pressure(block, low, high, np.float64)
        pressure = read("p", low, high) - block.backend.to_host(held)
        velocities = [self._means(read, component, low, high) for component in range(self.flow.components)]
        level = np.stack([*velocities, pressure]).astype(self.flow.dtype)
        block.load(np.concatenate([level, level]), low)
        self._shape(block)

    def interpolation_note(self, read: Read) -> str:
        """Measured in the middle of the grid. Each of the two means, to centres and back, takes the same share of a
        wave's energy, and of several waves' the first takes more."""
        low = [max(0, (n - SAMPLE) // 2) for n in self.flow.cells]
        high = [min(n, a + SAMPLE) for a, n in zip(low, self.flow.cells, strict=True)]
        before = after = 0.0
        for component in range(self.flow.components):
            before += float((read(measures.NAMES[component], low, high).astype(np.float64) ** 2).sum())
            after += float((self._means(read, component, low, high).astype(np.float64) ** 2).sum())
        lost = 1 - (after / before) ** 2 if before else 0.0
        return f", which loses {max(0.0, lost):.2g} of the kinetic energy or more and starts with sound"

    def _means(self, read: Read, component: int, low: Sequence[int], high: Sequence[int]) -> np.ndarray:
        """A velocity at faces, from the cells on both sides."""
        axis = 2 - component
        values = read(measures.NAMES[component], [a - (i == axis) for i, a in enumerate(low)], high)
        before = tuple(slice(None, -1) if a == axis else slice(None) for a in range(3))
        after = tuple(slice(1, None) if a == axis else slice(None) for a in range(3))
        return (values[before] + values[after]) * self.flow.dtype.type(0.5)

    def measure(self, block: FlowBlock) -> Sums:  # type: ignore[override]
        return measures.measure(block)

    def output(self, block: FlowBlock, name: str) -> np.ndarray:  # type: ignore[override]
        return measures.centred(block, name)

    def static(self, name: str, start: Sequence[int], stop: Sequence[int]) -> np.ndarray:
        """The solid share of each cell, for pictures."""
        return cell_fractions(self.geometry, self.solids, start, stop, np.float32)

    def exact(self, block: FlowBlock, time: float) -> dict[str, np.ndarray]:  # type: ignore[override]
        """Velocities at cell centres."""
        if self.problem is None or not self.problem.exact:
            return {}
        x, y, z = self.geometry.positions(self.flow.components, block.start, block.stop)
        place = (x, y, None if self.flow.planar else z)
        shape = [b - a for a, b in zip(block.start, block.stop, strict=True)]
        found = {}
        for component, name in enumerate(measures.NAMES[: self.flow.components]):
            values = np.broadcast_to(self.problem.velocity(component, *place, time), shape)
            found[name] = values[0] if self.flow.planar else values
        return found

    def _shape(self, block: FlowBlock) -> None:
        """Take the solids out of both levels, and fill the ghost cells."""
        if block.fluid_factor is not None:
            self._multiply(block, block.fluid_factor)
        block.fill()

    def _multiply(self, block: FlowBlock, factor: Any) -> None:
        for _, level in block.past:
            level[: self.flow.components] *= factor

    def _at(self, low: Index, high: Index, t: float, t_pressure: float) -> np.ndarray:
        values = sample(self.problem, self.geometry, low, high, t, self.flow.dtype)
        if t_pressure != t:
            x, y, z = self.geometry.positions(self.flow.components, low, high)
            values[-1] = self.problem.pressure(x, y, None if self.flow.planar else z, t_pressure)
        return values
