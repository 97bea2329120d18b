"""What solids do to the flow: the factor that each velocity is multiplied by after a step.

Inside a solid nothing moves. A velocity at less than a cell's distance from a surface has less of the fluid between
itself and the wall than between itself and its neighbour, and feels the wall's friction accordingly:

        solid | fluid                 friction of u with the wall      nu u / (h d)
      0       |  u       u_next       what the scheme computes of it   nu u / h^2, as if the 0 were the wall
      x-------+--x-------x            what is missing                  nu u (1 - d/h) / (h d)
           h-d  d    h

What is missing is taken implicitly, u / (1 + dt rate): a factor, never unstable however close the wall. Without it the
wall is a staircase; with the share of the fluid as the factor the solid swells by the cells it touches.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from gridstride.workers.models.edac.flow import Flow
from gridstride.workers.models.edac.geometry import Geometry
from gridstride.workers.models.edac.kinds import OUTFLOW
from gridstride.workers.models.edac.obstacles import fluid_fractions

NEAREST = 1e-3  # of a cell: closer to a wall than this is as close


class _Shares:
    """The fluid shares of the velocities' control volumes of the global indices [lo, hi), and of those around."""

    def __init__(self, geometry: Geometry, solids: Sequence[Any], lo: Sequence[int], hi: Sequence[int]) -> None:
        self.around = [0 if geometry.components == 2 and axis == 0 else 1 for axis in range(3)]
        wide = (
            [a - b for a, b in zip(lo, self.around, strict=True)],
            [a + b for a, b in zip(hi, self.around, strict=True)],
        )
        self.wide = fluid_fractions(geometry, solids, *wide, np.float64)
        self.extent = [b - a for a, b in zip(lo, hi, strict=True)]

    def here(self) -> np.ndarray:
        return self.moved(self.wide, 0, 0)

    def moved(self, values: np.ndarray, axis: int, by: int) -> np.ndarray:
        """The values over [lo, hi), of cells `by` further along an axis."""
        first = [b + (by if a == axis else 0) for a, b in enumerate(self.around)]
        return values[(slice(None), *(slice(f, f + n) for f, n in zip(first, self.extent, strict=True)))]

    def thin(self) -> np.ndarray:
        """What is touched by a solid and has no neighbour inside one: it meets a body thinner than a cell."""
        near = self.wide <= 0.5
        for axis in range(3):
            if not self.around[axis]:
                continue
            spread = near.copy()
            ahead, behind = [slice(None)] * 4, [slice(None)] * 4
            ahead[axis + 1], behind[axis + 1] = slice(1, None), slice(None, -1)
            spread[tuple(ahead)] |= near[tuple(behind)]
            spread[tuple(behind)] |= near[tuple(ahead)]
            near = spread
        return (self.here() < 1) & ~self.moved(near, 0, 0)


def stopped(geometry: Geometry, solids: Sequence[Any], lo: Sequence[int], hi: Sequence[int]) -> np.ndarray:
    """Which velocities a solid stops, at once or within a few steps: (components, z, y, x) of the indices [lo, hi)."""
    shares = _Shares(geometry, solids, lo, hi)
    return (shares.here() <= 0.5) | shares.thin()


def fluid_factor(
    flow: Flow, geometry: Geometry, solids: Sequence[Any], lo: Sequence[int], hi: Sequence[int]
) -> np.ndarray:
    """What each velocity is multiplied by after a step: (components, z, y, x) of the global indices [lo, hi).

    A velocity is inside where less than half of its control volume is fluid. For a plane wall across an axis the fluid
    shares of a control volume and of its neighbour in the wall make d/h + 1/2. Of what meets a body thinner than a
    cell, which no velocity may be inside of, the share is kept, which over a few steps is nothing.
    """
    shares = _Shares(geometry, solids, lo, hi)
    share = shares.here()
    rate = np.zeros_like(share)
    for axis in range(3):
        if not shares.around[axis]:
            continue
        for by in (-1, 1):
            other = shares.moved(shares.wide, axis, by)
            distance = np.clip(share + other - 0.5, NEAREST, 1.0)
            missing = flow.viscosity / flow.spacing[axis] ** 2 * (1 - distance) / distance
            rate += np.where(other <= 0.5, missing, 0.0)
    left = np.where(shares.thin(), share, 1 / (1 + flow.dt * rate))
    left[share <= 0.5] = 0.0
    _close_outflows(flow, geometry, solids, (lo, hi), left)
    return left.astype(flow.dtype)


def _close_outflows(
    flow: Flow, geometry: Geometry, solids: Sequence[Any], box: tuple[Sequence[int], Sequence[int]], factor: np.ndarray
) -> None:
    """Where a solid covers an outflow's face, stop the velocity a cell further in, which is the one on that face."""
    for axis, ends in enumerate(flow.kinds):
        for side, kind in enumerate(ends):
            at = flow.cells[axis] - 1 if side else 1
            if kind != OUTFLOW or not box[0][axis] <= at < box[1][axis]:
                continue
            first, last = (list(end) for end in box)
            first[axis] = at + 1 if side else at - 1
            last[axis] = first[axis] + 1
            here = tuple(slice(at - box[0][i], at - box[0][i] + 1) if i == axis else slice(None) for i in range(3))
            factor[(2 - axis, *here)][stopped(geometry, solids, first, last)[2 - axis]] = 0.0
