"""A block of a flow: beside the state, what of its faces, sponge and solids lies in it."""

from __future__ import annotations

from typing import Any

import numpy as np

from gridstride.workers.models.block import Block
from gridstride.workers.models.domain import Index
from gridstride.workers.models.edac.flow import Flow

LEVELS = Flow.levels + 1  # the next, now and before


class FlowBlock(Block):
    """The cells [start, stop) of a flow; at rest until loaded.

    fluid_factor: (components, z, y, x) over the block's whole array: what each velocity is multiplied by after a step,
        1 away from solids; or None
    faces, sponge, stream: as in `Flow`, in positions of the block's arrays; no stream without a sponge
    """

    def __init__(
        self, flow: Flow, start: Index, stop: Index, reach: int, backend: Any, step: int = 0, threads: int = 1
    ) -> None:
        super().__init__(flow, start, stop, reach, backend, step, threads)
        self.flow = flow
        self.fluid_factor: Any = None
        self.faces = tuple(
            tuple(backend.xp.asarray(self._here(face, axis)) for face in pair) for axis, pair in enumerate(flow.faces)
        )
        rates = any(r.size for r in flow.sponge)
        self.stream = flow.stream if rates else None
        self.sponge = tuple(
            backend.xp.asarray(
                flow.damping(axis)[:, self._indices(axis)].astype(flow.dtype) if rates else np.zeros((2, 0), flow.dtype)
            )
            for axis in range(3)
        )

    @property
    def before(self) -> Any:
        return self.past[1][1]

    def _indices(self, axis: int) -> np.ndarray:
        """The grid's index at each position of the block's arrays; past the grid its other side's, or its last."""
        index, n = np.arange(self.low[axis], self.high[axis]), self.flow.cells[axis]
        return index % n if self.flow.periodic(axis) else index.clip(0, n - 1)

    def _here(self, face: np.ndarray, axis: int) -> np.ndarray:
        """A face's given velocities in the block's positions."""
        for position, other in enumerate((a for a in range(3) if a != axis), start=1):
            if face.shape[position] > 1:
                face = face.take(self._indices(other), position)
        return np.ascontiguousarray(face, self.flow.dtype)
