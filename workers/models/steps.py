"""Some time steps of a simulation as an operator, for grids that no memory holds: a sweep from state to state.

The array is (levels x fields, z, y, x): all time levels of each field. Its first axis is never cut.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from gridstride.workers.models.base import Setup
from gridstride.workers.operators.base import Block, Halo


@dataclass(frozen=True)
class Steps:
    """`steps` steps of a simulation that is at step `first`."""

    kind: ClassVar[str] = "steps"
    precision: ClassVar[str] = "the state's"
    exact: ClassVar[bool] = True
    channel_axis: ClassVar[int] = 0  # the fields: no cut for lack of memory may part them

    setup: Setup
    first: int
    steps: int

    @property
    def halo(self) -> Halo:
        domain = self.setup.domain
        deep = domain.halo(self.steps)
        return ((0, 0), *((0, 0) if domain.planar and axis == 0 else deep for axis in range(3)))

    @property
    def modes(self) -> tuple[str, ...]:
        return ("nearest", *("wrap" if self.setup.domain.periodic(axis) else "nearest" for axis in range(3)))

    @property
    def out_dtype(self) -> np.dtype:
        return self.setup.domain.dtype

    def out_shape(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        return shape

    def scratch_bytes(self, extent: tuple[int, ...], device: str) -> int:
        """The block's ring of levels, with halos on all sides, and what else the model holds."""
        domain = self.setup.domain
        cells = int(np.prod([n + 2 * sum(h) for n, h in zip(extent[1:], self.halo[1:], strict=True)], dtype=np.int64))
        arrays = (domain.levels + 1) * domain.fields + self.setup.extra_arrays + 1
        return arrays * cells * domain.dtype.itemsize

    def compute(self, block: Block, device: Any) -> np.ndarray:
        """All levels after the steps; raises FloatingPointError if a field went beyond the domain's limit."""
        domain = self.setup.domain
        here = self.setup.block(block.start[1:], block.stop[1:], self.steps, device.name, self.first)  # type: ignore[arg-type]
        first, last = here.held()
        data = block.data[
            (slice(None), *(slice(a - lo, b - lo) for a, b, lo in zip(first, last, block.lo[1:], strict=True)))
        ]
        here.load(data, first)
        here.fill()
        done = here.advance(self.steps, domain.limit)
        if not done.peaks[-1] <= domain.limit:
            raise FloatingPointError(here.where_largest())
        return here.backend.xp.asarray(here.saved())
