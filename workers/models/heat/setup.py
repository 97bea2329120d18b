"""All that a worker needs to make any block of a heat problem."""

from __future__ import annotations

from dataclasses import dataclass
from importlib import import_module
from typing import Any, ClassVar

import numpy as np

from gridstride.workers.models.base import Setup
from gridstride.workers.models.block import Block
from gridstride.workers.models.domain import Domain, Index, Sums
from gridstride.workers.models.heat.kinds import FIXED


@dataclass(frozen=True)
class Heat(Domain, Setup):
    """origin: of the grid; source: of temperature, per time; given: temperatures of fixed faces, (low, high) of each
    axis; start: a section of `start`, or None where a store gives the temperature to begin with."""

    cell_seconds: ClassVar[dict[int, float]] = {2: 0.4e-9, 3: 0.6e-9}

    origin: tuple[float, float, float]
    diffusivity: float
    source: float
    given: tuple[tuple[float, float], ...]
    start: Any

    @property
    def domain(self) -> Heat:
        return self

    @property
    def names(self) -> tuple[str, ...]:
        return ("temperature",)

    @property
    def starts(self) -> bool:
        return self.start is not None

    def size(self, axis: int) -> float:
        return self.cells[axis] * self.spacing[axis]

    def numbers(self) -> tuple[np.ndarray, Any]:
        """diffusivity dt / h^2 of each axis, and dt source, in the state's type."""
        c = [self.diffusivity * self.dt / h**2 for h in self.spacing]
        return np.array(c, self.dtype), self.dtype.type(self.dt * self.source)

    def block(self, start: Index, stop: Index, reach: int, device: str, step: int = 0, threads: int = 1) -> Block:
        backend = import_module(f"{__package__}.{device}")
        return Block(self, start, stop, reach, backend, step, threads)

    def begin(self, block: Block) -> None:
        low, high = block.held()
        block.load(self._at(low, high, 0.0)[None], low)
        block.fill()

    def measure(self, block: Block) -> Sums:
        xp = block.backend.xp
        u = block.now[(0, *block.own)].astype(np.float64)
        planes = xp.stack([u, u * u], axis=-1).sum(axis=2)
        values = block.backend.to_host(planes[0] if self.planar else planes.sum(axis=1))
        return Sums(block.start[self.slab_axis], values, {"max_temperature": float(u.max())})

    def output(self, block: Block, name: str) -> np.ndarray:
        values = block.backend.to_host(block.now[(0, *block.own)])
        return np.ascontiguousarray(values[0] if self.planar else values)

    def exact(self, block: Block, time: float) -> dict[str, np.ndarray]:
        if self.start is None or (self.source and any(FIXED in kinds for kinds in self.kinds)):
            return {}
        values = self._at(block.start, block.stop, time)
        return {"temperature": values[0] if self.planar else values}

    def _at(self, low: Index, high: Index, time: float) -> np.ndarray:
        """The start's solution at cell centres, (z, y, x)."""
        shape = [b - a for a, b in zip(low, high, strict=True)]
        values = np.full(shape, self.start.amplitude)
        for axis in range(1 if self.planar else 0, 3):
            at = (np.arange(low[axis], high[axis]) % self.cells[axis] + 0.5) * self.spacing[axis]
            values *= self.start.line(self, axis, at, time).reshape([-1 if a == axis else 1 for a in range(3)])
        return (self.start.level + self.source * time + values).astype(self.dtype)
