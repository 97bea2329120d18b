"""The shape of blocks: whole write units, as large as memory allows, cut where that costs least. Pure arithmetic.

Blocks are large for three reasons: the halo is a smaller part of a large block, Dask spends milliseconds on each task,
and `map_overlap` makes more tasks for every axis that is cut (`TASKS_PER_BLOCK`).
"""

from __future__ import annotations

from collections.abc import Sequence
from math import ceil, prod

from gridstride.pipeline.errors import UsageError
from gridstride.pipeline.planning.batches import TASKS_PER_BLOCK, cut_axes
from gridstride.pipeline.planning.exchange import shared_edges
from gridstride.pipeline.planning.request import Request

# Beyond this a larger block gains nothing and makes progress lumpy.
LARGEST_BLOCK = 512_000_000
SMALLEST_USEFUL_BLOCK = 8_000_000
# Elements that take about as long as one of Dask's tasks.
TASK_ELEMENTS = 1e5
MOST_EDGES = 10**7  # of blocks along an axis, which are listed


def edges_of(r: Request, block: Sequence[int]) -> tuple[tuple[int, ...], ...]:
    """Edges of blocks along each axis: 0, block, 2 block, ..., n. A last block that is thinner than what its neighbour
    must give it is joined to the one before, so that a reflected halo is within one neighbour. Raises UsageError where
    there are too many to be listed."""
    for axis, (n, b) in enumerate(zip(r.shape, block, strict=True)):
        if n // b > MOST_EDGES:
            raise UsageError(
                f"the result has {n} elements along axis {axis}, which makes {n // b} blocks there: expected "
                f"{MOST_EDGES} at most (give a larger --block or --chunks, or make the result smaller)"
            )
    reach = _reach(r, block)
    found = []
    for n, b, least in zip(r.shape, block, reach, strict=True):
        found.append((0, 0) if n == 0 else shared_edges((*range(0, n, b), n), least))
    return tuple(found)


def _reach(r: Request, block: Sequence[int]) -> list[int]:
    """How far the block before the last looks on each axis: the least thickness that the last one should have."""
    if 0 in r.shape or r.out.ndim != r.grid.ndim:
        return [1] * len(r.shape)
    typical = r.typical(block)
    needed = r.operator.needed(typical, r.grid)
    found = []
    for (a, b), (c, d), n, m in zip(typical.spans, needed.spans, r.shape, r.grid.shape, strict=True):
        # One more: `mirror` does not repeat the edge, and reaches one further.
        found.append(max(a - c, d - b) + 1 if n == m and (c < a or d > b) else 1)
    return found


def check_block(r: Request) -> tuple[int, ...]:
    """The block shape that a user asks for, cut to the grid. Raises UsageError where it cannot be."""
    assert r.block is not None
    if len(r.block) != len(r.shape):
        raise UsageError(f"--block has {len(r.block)} numbers: expected {len(r.shape)}, one for each axis")
    block = []
    for axis, (b, n, u) in enumerate(zip(r.block, r.shape, r.write_unit, strict=True)):
        if b < 1:
            raise UsageError(f"--block has {b} for axis {axis}: expected 1 or more")
        if b < n and axis in r.uncut:
            raise UsageError(f"--block cuts axis {axis}, which the operator must have whole: make it {n} there")
        if b < n and b % u:
            raise UsageError(
                f"--block has {b} for axis {axis}: expected a multiple of {u}, what is written together there "
                "(the shard, or else the chunk), or the whole axis"
            )
        block.append(min(b, max(n, 1)))
    return tuple(block)


def choose_block(r: Request) -> tuple[int, ...]:
    """Halve the whole array, each time along the axis where that costs least, until the pieces fit."""
    units = [min(u, max(n, 1)) for n, u in zip(r.shape, r.write_unit, strict=True)]
    counts = [
        1 if axis in r.uncut else max(1, ceil(n / u)) for axis, (n, u) in enumerate(zip(r.shape, units, strict=True))
    ]
    units = [max(n, 1) if axis in r.uncut else u for axis, (n, u) in enumerate(zip(r.shape, units, strict=True))]

    def shape(counts: Sequence[int]) -> tuple[int, ...]:
        return tuple(min(u * c, max(n, 1)) for u, c, n in zip(units, counts, r.shape, strict=True))

    total = max(r.grid.nbytes, r.out.nbytes)
    # Enough blocks that all threads have work to the end, if blocks stay worth a task.
    wanted = min(4 * r.lanes, max(1, total // SMALLEST_USEFUL_BLOCK))
    item = max(r.grid.dtype.itemsize, r.out.dtype.itemsize)
    while True:
        block = shape(counts)
        blocks = prod(ceil(n / b) for n, b in zip(r.shape, block, strict=True))
        size = max(prod(block) * item, r.in_bytes(block) if r.out.ndim != r.grid.ndim else 0)
        if r.fits(block, blocks, min(r.lanes, blocks)) and blocks >= wanted and size <= LARGEST_BLOCK:
            return block
        choices = []
        for axis, count in enumerate(counts):
            half = ceil(count / 2)
            halved = [*counts[:axis], half, *counts[axis + 1 :]]
            if half < count and not _too_thin(r, axis, shape(halved)):
                choices.append((_cost(r, shape(halved)), axis, halved))
        if not choices:
            return block
        counts = min(choices)[2]


def _cost(r: Request, block: Sequence[int]) -> float:
    """Time per element, relative: elements that are read, and tasks."""
    return (r.needed(block).size + TASKS_PER_BLOCK[cut_axes(r, block)] * TASK_ELEMENTS) / max(1, prod(block))


def _too_thin(r: Request, axis: int, block: Sequence[int]) -> bool:
    """Whether blocks are thinner on an axis than the halo they would exchange."""
    return block[axis] < r.shape[axis] and block[axis] < _reach(r, block)[axis]
