"""The solid share of each cell of a simulation, for pictures of it."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import numpy as np

from gridstride.pipeline import stores
from gridstride.pipeline.flow_store import field_path
from gridstride.workers.fluids.obstacles import fluid_fractions
from gridstride.workers.fluids.setup import Setup


def write_solid(setup: Setup, out: str, edges: Sequence[int]) -> None:
    """Write the array `solid`, slab by slab: of a cell the mean over the velocities' cells around it."""
    flow = setup.flow
    path = field_path(out, "solid")
    for a, b in pairwise(edges):
        start, stop = [0, 0, 0], list(flow.cells)
        start[flow.slab_axis], stop[flow.slab_axis] = a, b
        further = [n + (0 if flow.planar and axis == 0 else 1) for axis, n in enumerate(stop)]
        fluid = fluid_fractions(setup.geometry, setup.solids, start, further, np.float32)
        sides = []
        for component in range(flow.components):
            for by in (0, 1):
                moves = [by if axis == 2 - component else 0 for axis in range(3)]
                where = [slice(m, m + y - x) for m, x, y in zip(moves, start, stop, strict=True)]
                sides.append(fluid[(component, *where)])
        share = 1 - np.mean(sides, axis=0, dtype=np.float32)
        stores.regions(path).write(start[1:] if flow.planar else start, share[0] if flow.planar else share)
