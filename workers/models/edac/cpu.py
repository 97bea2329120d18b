"""Blocks of a flow on the CPU."""

from __future__ import annotations

from contextlib import nullcontext
from math import prod
from typing import TYPE_CHECKING

import numpy as np

from gridstride.workers.models.domain import Advance
from gridstride.workers.models.edac import ghosts, loops, measure_loops
from gridstride.workers.models.host import name, number_bits, to_host, xp
from gridstride.workers.models.threads import together
from gridstride.workers.stages import stages

if TYPE_CHECKING:
    from gridstride.workers.models.edac.block import FlowBlock

CELLS_OF_A_THREAD = 8192  # 15 microseconds of work: fewer are not worth a barrier
__all__ = ["advance", "fill", "measure", "name", "to_host", "xp"]


def advance(block: FlowBlock, steps: int, limit: float) -> Advance:
    flow = block.flow
    numbers = flow.coefficients()
    bits = number_bits(flow.dtype)
    factor = block.fluid_factor if block.fluid_factor is not None else np.zeros((0, 0, 0, 0), flow.dtype)
    stream = np.zeros((0, 1, 1), flow.dtype) if block.stream is None else block.faces[block.stream[0]][block.stream[1]]
    quiet = np.array([_quiet(factors) for factors in block.sponge])
    planes = block.stop[flow.slab_axis] - block.start[flow.slab_axis]
    parts = max(1, min(block.threads, planes // 2, prod(block.shape) // CELLS_OF_A_THREAD))
    removed = np.zeros((planes, flow.components))
    peaks = np.zeros((parts, steps), bits)
    height = min(block.shape[1], loops.rows_at_a_time(block.now.shape, flow.dtype.itemsize)) + 3
    rings = np.empty((parts, flow.fields + 1, loops.RING, height, block.shape[2]), flow.dtype)

    def work(part: int, parts: int, gate: np.ndarray) -> int:
        # The caller's own seconds are measured where it calls.
        with stages("kernel") if part > 0 else nullcontext():
            return march(part, parts, gate)

    def march(part: int, parts: int, gate: np.ndarray) -> int:
        return loops.advance(
            block.state, block.state.view(bits), block.slot, steps, block.box, np.array(block.edges_of_grid),
            np.array(block.kinds), block.faces, flow.ramps(block.step, steps), numbers["c"], numbers["d"], numbers["g"],
            numbers["a"], numbers["dp"], numbers["k"], flow.pushes(block.step, steps), flow.dtype.type(flow.lead),
            factor, removed,
            (block.sponge, quiet, stream, -1 if block.stream is None else block.stream[0]),
            np.array(limit, flow.dtype).view(bits)[()], peaks, rings[part], part, parts, gate,
        )  # fmt: skip

    done = together(work, parts)
    return Advance(done, peaks[:, :done].max(axis=0).view(flow.dtype), removed)


def _quiet(factors: np.ndarray) -> tuple[int, int]:
    """The positions [first, last) along an axis where no sponge is."""
    free = np.flatnonzero((factors == 1).all(axis=0))
    return (int(free[0]), int(free[-1]) + 1) if free.size else (factors.shape[1],) * 2


def fill(block: FlowBlock, level: int, step: int) -> None:
    """Fill the ghost cells of one level, which belongs to a step."""
    flow = block.flow
    ramp = flow.ramps(step - 1, 1)[0]
    every = tuple((0, n) for n in block.shape)
    for fields in ((0, flow.components), (flow.components, flow.fields)):
        for axis in (2, 1) if flow.planar else (2, 1, 0):
            edges, kinds = np.array(block.edges_of_grid[axis]), np.array(block.kinds)
            ghosts.fill(block.state[level], axis, fields, every, edges, kinds, block.faces[axis], ramp)


def measure(block: FlowBlock) -> tuple[np.ndarray, np.ndarray]:
    """`measure_loops.measure` of a block: (sums (planes, 6), largest values)."""
    flow = block.flow
    planes = block.stop[flow.slab_axis] - block.start[flow.slab_axis]
    sums, largest = np.zeros((planes, 6)), np.zeros(4 + flow.components)
    inverse = tuple(1 / h for h in flow.spacing[::-1])
    measure_loops.measure(block.now, block.before, block.box, inverse, sums, largest)
    return sums, largest
