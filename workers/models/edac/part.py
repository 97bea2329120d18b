"""A block of a flow as the kernels of cuda/edac.cu know it: numbers and shapes alone."""

from __future__ import annotations

from dataclasses import dataclass
from math import prod
from typing import TYPE_CHECKING, Any

import numpy as np

from gridstride.workers.launches import Ref, type_name
from gridstride.workers.models.domain import CUT

if TYPE_CHECKING:
    from gridstride.workers.models.edac.block import FlowBlock

# As in cuda/edac.cu.
WIDTH, WARPS = 32, 8
THREADS = WIDTH * WARPS
ROWS = {"float32": 2, "float64": 1}
NUMBERS = ("c", "d", "g", "a", "dp", "k")
Ends = tuple[tuple[int, int], ...]


@dataclass(frozen=True)
class Part:
    """A block as the kernels know it: names as in `FlowBlock` and `Flow.coefficients`. Tuples are z, y, x."""

    shape: tuple[int, ...]
    box: Ends
    edges: Ends
    kinds: Ends
    components: int
    dtype: str
    numbers: tuple[tuple[float, ...], ...]
    lead: float
    faces: tuple[tuple[tuple[int, ...], ...], ...]
    solid: bool
    sponge: bool
    stream: tuple[int, int] | None

    @classmethod
    def of(cls, block: FlowBlock) -> Part:
        flow = block.flow
        coefficients = flow.coefficients()
        return cls(
            block.shape,
            block.box,
            block.edges_of_grid,
            block.kinds,
            flow.components,
            flow.dtype.name,
            tuple(tuple(float(v) for v in coefficients[key]) for key in NUMBERS),
            flow.lead,
            tuple(tuple(tuple(face.shape[1:]) for face in pair) for pair in block.faces),
            block.fluid_factor is not None,
            all(factors.size for factors in block.sponge),
            block.stream,
        )

    @property
    def item(self) -> int:
        return np.dtype(self.dtype).itemsize

    @property
    def cut(self) -> bool:
        """Whether more of the grid follows anywhere."""
        return any(CUT in kinds for kinds in self.kinds[1 if self.components == 2 else 0 :])

    @property
    def high(self) -> int:
        """Cells of a tile along y."""
        return WARPS * ROWS[self.dtype]

    @property
    def tile(self) -> int:
        """Bytes of a field's tile, with a ring of cells around it."""
        return (WIDTH + 2) * (self.high + 2) * self.item

    @property
    def bits(self) -> np.dtype:
        """Integers of the numbers' size."""
        return np.dtype(f"i{self.item}")

    @property
    def removed(self) -> tuple[int, int]:
        """Shape of the momentum that solids remove: own planes along the slab axis, components."""
        first, last = self.box[1 if self.components == 2 else 0]
        return last - first, self.components

    def kernel(self, name: str, *more: Any) -> str:
        return f"{name}<{', '.join([type_name(np.dtype(self.dtype)), *(str(m).lower() for m in more)])}>"

    def at(self, slot: int, field: int = 0) -> Ref:
        """A field of a time level."""
        return Ref("data", (slot * (self.components + 1) + field) * prod(self.shape) * self.item)

    def computed(self, left: int) -> tuple[list[int], list[int], list[int]]:
        """(first, last, last of the velocity) that a step computes which leaves `left` cells around the block right.

        As in `loops.advance`: up to the grid's faces; the velocity one further where more of the grid follows.
        """
        first, last, faces = ([end[side] for end in self.box] for side in (0, 1, 1))
        for axis in range(1 if self.components == 2 else 0, 3):
            first[axis], last[axis], faces[axis] = first[axis] - left, last[axis] + left, last[axis] + left + 1
            if self.kinds[axis][0] != CUT:
                first[axis] = max(first[axis], self.edges[axis][0])
            if self.kinds[axis][1] != CUT:
                last[axis], faces[axis] = (min(n, self.edges[axis][1]) for n in (last[axis], faces[axis]))
        return first, last, faces
