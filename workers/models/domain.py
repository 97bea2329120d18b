"""Domain: the grid of a simulation as workers know it, and how the state on it is stored.

Tuples of three are (z, y, x). A grid of two dimensions has one layer of cells in z, and blocks there are cut along y.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

Index = tuple[int, int, int]

# What can be beyond a face of the grid, as far as every model knows it. A model's own kinds are numbered from 2.
CUT = 0  # more of the grid: the block has a halo there, and nothing is filled
PERIODIC = 1  # the grid's other side


@dataclass(frozen=True)
class Domain:
    """A uniform grid and the state on it.

    cells:    of the grid
    spacing:  lengths of a cell's edges
    dt:       time step
    kinds:    (low, high) of each axis: what is beyond the grid's face
    dtype:    of the state: float32 or float64
    """

    levels: ClassVar[int] = 1  # of time, that the next one is made from
    extra: ClassVar[tuple[int, int]] = (0, 0)  # cells before and after a block that are right after its last step too
    cell_seconds: ClassVar[dict[int, float]] = {2: 2.5e-9, 3: 7e-9}  # of one thread for a cell and step, by dimensions

    cells: Index
    spacing: tuple[float, float, float]
    dt: float
    kinds: tuple[tuple[int, int], ...]
    dtype: np.dtype

    @property
    def planar(self) -> bool:
        return self.cells[0] == 1

    @property
    def names(self) -> tuple[str, ...]:
        """Of the state's fields."""
        raise NotImplementedError

    @property
    def fields(self) -> int:
        return len(self.names)

    @property
    def arrays(self) -> int:
        """Fields of all levels: what a state on disk holds."""
        return self.levels * self.fields

    @property
    def watched(self) -> int:
        """How many of the first fields are looked at after each step: none may go beyond `limit`."""
        return self.fields

    @property
    def limit(self) -> float:
        """The magnitude beyond which the state has blown up."""
        return float(np.finfo(self.dtype).max)

    @property
    def slab_axis(self) -> int:
        """The axis that blocks in memory are cut along: z, or y of a planar domain."""
        return 1 if self.planar else 0

    def periodic(self, axis: int) -> bool:
        return self.kinds[axis][0] == PERIODIC

    def halo(self, steps: int) -> tuple[int, int]:
        """Cells before and after a block for so many steps, each of which uses up one."""
        return steps + self.extra[0], steps + self.extra[1]


@dataclass(frozen=True)
class Advance:
    """What came of some steps.

    steps:    how many were made; fewer than asked for if a field went beyond the limit
    peaks:    (steps,) the largest magnitude of a watched field after each
    gathered: (planes, n) what the model added up in the last step, over each plane of the block along the slab axis
    """

    steps: int
    peaks: np.ndarray
    gathered: np.ndarray


@dataclass(frozen=True)
class Sums:
    """Sums over the planes of a block: values (planes, quantities); and largest values over the block. first: plane"""

    first: int
    values: np.ndarray
    largest: dict[str, float]
