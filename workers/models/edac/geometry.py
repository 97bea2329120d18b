"""Where things lie on the staggered grid, from global indices alone: every block gets the same bits."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

Spans = tuple[np.ndarray, np.ndarray]  # low and high ends of cells along one axis


@dataclass(frozen=True)
class Geometry:
    """A uniform grid. Tuples are (z, y, x); in two dimensions z has one cell, is periodic, and no field lies along it.

    Along x, with cells of length h from the origin, u lies on faces and all else at centres:

        u[0]  p[0]  u[1]  p[1]  u[2]        u[i] at i h, its control volume from (i - 1/2) h to (i + 1/2) h
         |     o     |     o     |          p[i] at (i + 1/2) h
    """

    cells: tuple[int, int, int]
    spacing: tuple[float, float, float]
    origin: tuple[float, float, float]
    periodic: tuple[bool, bool, bool]
    components: int

    def indices(self, axis: int, lo: int, hi: int) -> np.ndarray:
        """Global indices lo to hi - 1 along an axis; where it is periodic, those of the same places inside the grid."""
        wanted = np.arange(lo, hi)
        return wanted % self.cells[axis] if self.periodic[axis] else wanted

    def positions(self, field: int, lo: Sequence[int], hi: Sequence[int]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Positions (x, y, z) of field 0 = u, 1 = v, .. or the last, p, at global indices [lo, hi) given as (z, y, x).

        They are of three axes and broadcast to (z, y, x).
        """
        found = []
        for axis in range(3):
            shift = 0.0 if self._on_face(field, axis) else 0.5
            line = self.origin[axis] + (self.indices(axis, lo[axis], hi[axis]) + shift) * self.spacing[axis]
            found.append(line.reshape([-1 if a == axis else 1 for a in range(3)]))
        return found[2], found[1], found[0]

    def spans(self, field: int, lo: Sequence[int], hi: Sequence[int]) -> tuple[Spans, Spans, Spans]:
        """The control volumes of a field along (x, y, z): for each a 1-D array of low ends and one of high ends."""
        found = []
        for axis in range(3):
            shift = -0.5 if self._on_face(field, axis) else 0.0
            at = self.indices(axis, lo[axis], hi[axis])
            low = self.origin[axis] + (at + shift) * self.spacing[axis]
            found.append((low, self.origin[axis] + (at + (shift + 1)) * self.spacing[axis]))
        return found[2], found[1], found[0]

    def _on_face(self, field: int, axis: int) -> bool:
        return field < self.components and axis == 2 - field
