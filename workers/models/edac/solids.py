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
from gridstride.workers.models.edac.obstacles import fluid_fractions

NEAREST = 1e-3  # of a cell: closer to a wall than this is as close


def fluid_factor(
    flow: Flow, geometry: Geometry, solids: Sequence[Any], lo: Sequence[int], hi: Sequence[int]
) -> np.ndarray:
    """What each velocity is multiplied by after a step: (components, z, y, x) of the global indices [lo, hi).

    A velocity is inside where less than half of its control volume is fluid. For a plane wall across an axis the fluid
    shares of a control volume and of its neighbour in the wall make d/h + 1/2. What is touched by a solid and has no
    neighbour inside one meets a body thinner than a cell, which no velocity may be inside of: its share is kept, which
    over a few steps is nothing.
    """
    around = [0 if flow.planar and axis == 0 else 1 for axis in range(3)]
    wide_lo = [a - b for a, b in zip(lo, around, strict=True)]
    wide_hi = [a + b for a, b in zip(hi, around, strict=True)]
    wide = fluid_fractions(geometry, solids, wide_lo, wide_hi, np.float64)
    extent = [b - a for a, b in zip(lo, hi, strict=True)]

    def moved(values: np.ndarray, axis: int, by: int) -> np.ndarray:
        """The values over [lo, hi), of cells `by` further along an axis."""
        first = [b + (by if a == axis else 0) for a, b in enumerate(around)]
        return values[(slice(None), *(slice(f, f + n) for f, n in zip(first, extent, strict=True)))]

    share = moved(wide, 0, 0)
    rate = np.zeros_like(share)
    near = wide <= 0.5
    for axis in range(3):
        if not around[axis]:
            continue
        for by in (-1, 1):
            other = moved(wide, axis, by)
            distance = np.clip(share + other - 0.5, NEAREST, 1.0)
            missing = flow.viscosity / flow.spacing[axis] ** 2 * (1 - distance) / distance
            rate += np.where(other <= 0.5, missing, 0.0)
        spread = near.copy()
        ahead, behind = [slice(None)] * 4, [slice(None)] * 4
        ahead[axis + 1], behind[axis + 1] = slice(1, None), slice(None, -1)
        spread[tuple(ahead)] |= near[tuple(behind)]
        spread[tuple(behind)] |= near[tuple(ahead)]
        near = spread
    thin = (share < 1) & ~moved(near, 0, 0)
    left = np.where(thin, share, 1 / (1 + flow.dt * rate))
    return np.where(share <= 0.5, 0.0, left).astype(flow.dtype)
