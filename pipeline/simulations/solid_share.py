"""The solid share of each cell of a simulation, for pictures of it."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import numpy as np

from gridstride.pipeline.simulations.store import field_path
from gridstride.pipeline.storage.regions import regions
from gridstride.workers.models.edac.obstacles import cell_fractions
from gridstride.workers.models.edac.setup import Setup


def write_solid(setup: Setup, out: str, edges: Sequence[int]) -> None:
    """Write the array `solid`, slab by slab."""
    flow = setup.flow
    target = regions(field_path(out, "solid"))
    for a, b in pairwise(edges):
        start, stop = [0, 0, 0], list(flow.cells)
        start[flow.slab_axis], stop[flow.slab_axis] = a, b
        share = cell_fractions(setup.geometry, setup.solids, start, stop, np.float32)
        target.write(start[1:] if flow.planar else start, share[0] if flow.planar else share)
