"""Some time steps of a simulation as an operator, for grids that no memory holds: a sweep from state to state.

The array is (2 fields, z, y, x): both time levels of each field.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from gridstride.workers.models.edac.kinds import SPARE
from gridstride.workers.operators.base import Block, Halo

if TYPE_CHECKING:
    from gridstride.workers.models.edac.setup import Setup


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
        flow, deep = self.setup.flow, self.steps + SPARE
        return ((0, 0), *((0, 0) if flow.planar and axis == 0 else (deep, deep + 1) for axis in range(3)))

    @property
    def modes(self) -> tuple[str, ...]:
        return ("nearest", *("wrap" if self.setup.flow.periodic(axis) else "nearest" for axis in range(3)))

    @property
    def out_dtype(self) -> np.dtype:
        return self.setup.flow.dtype

    def out_shape(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        return shape

    def scratch_bytes(self, extent: tuple[int, ...], device: str) -> int:
        """The block's ring of levels, with halos on all sides, and the solids' share."""
        flow = self.setup.flow
        cells = int(np.prod([n + 2 * sum(h) for n, h in zip(extent[1:], self.halo[1:], strict=True)], dtype=np.int64))
        arrays = 3 * flow.fields + (flow.components if self.setup.solids else 0) + 1
        return arrays * cells * flow.dtype.itemsize

    def compute(self, block: Block, device: Any) -> np.ndarray:
        """Both levels after the steps; raises FloatingPointError if a velocity came to be beyond the speed of sound."""
        flow = self.setup.flow
        here = self.setup.block(block.start[1:], block.stop[1:], self.steps, device.name, self.first)  # type: ignore[arg-type]
        first, last = here.held()
        data = block.data[
            (slice(None), *(slice(a - lo, b - lo) for a, b, lo in zip(first, last, block.lo[1:], strict=True)))
        ]
        here.load(data, first)
        here.fill()
        done = here.advance(self.steps, flow.sound_speed)
        if not done.peaks[-1] <= flow.sound_speed:
            raise FloatingPointError(here.where_fastest())
        return here.backend.xp.asarray(here.saved())
