"""What can be beyond a face of the grid, as the kernels know it, and what more of a halo they compute."""

from __future__ import annotations

from gridstride.workers.models.domain import CUT, PERIODIC

__all__ = ["CUT", "EXTRA_HALO", "FIXED", "OUTFLOW", "PERIODIC", "SLIP"]

FIXED = 2  # a given velocity: walls and inflow
SLIP = 3  # a wall that does not hold the fluid
OUTFLOW = 4  # nothing changes any more along the axis; pressure 0

EXTRA_HALO = 1  # cells around a block that are right too after its last step: vorticity needs them
