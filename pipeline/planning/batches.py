"""What goes to Dask together: batches of blocks, or runs of them. Pure arithmetic.

Blocks get their halos in one of two ways. By *exchange* (`map_overlap`): each block is read once, and neighbours give
each other their edges. Or each task *reads* a box of blocks (a *run*) and its halo from the store, which costs reads,
because chunks are read whole and most of what is read for a halo is thrown away, and saves nearly all of Dask's tasks.
Where blocks are small, or so many workers wait for the one scheduler, the second is faster (`faster_way`).
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product
from math import ceil, prod

from gridstride.pipeline.planning.exchange import Halo
from gridstride.pipeline.planning.request import Request

# Tasks Dask runs for a block when 0, 1, 2, ... axes with a halo are cut (after graph optimisation, dask
# 2026.7).
TASKS_PER_BLOCK = (3, 7, 14, 30, 62, 126)
# Serial seconds of client and scheduler for a task (measured; 0.2 to 0.5 ms on ordinary servers), and of one thread to
# read and decode, or encode and write, a byte.
TASK_SECONDS = 1e-3
STORE_BYTE_SECONDS = 2.5e-9
# What one task takes where it reads its own halo: enough that Dask's share is small, and little to do again after a
# kill.
LARGEST_RUN = 8_000_000
MOST_BLOCKS_IN_RUN = 1000


def cut_axes(r: Request, block: Sequence[int]) -> int:
    """Number of axes that are cut and have a halo."""
    typical, needed = r.typical(block), r.needed(block)
    if r.out.ndim != r.grid.ndim:
        return 0
    pairs = zip(typical.spans, needed.spans, r.shape, strict=True)
    return sum(b - a < n and (c < a or d > b) for (a, b), (c, d), n in pairs)


def run_extent(r: Request, block: Sequence[int], run: Sequence[int]) -> tuple[int, ...]:
    """What a task that takes such a run of blocks computes at a time."""
    return tuple(min(b * n, size) if r.operator.exact else b for b, n, size in zip(block, run, r.shape, strict=True))


def run_box(r: Request, block: Sequence[int], counts: Sequence[int]) -> tuple[int, ...]:
    """The box of blocks that one task takes where it reads its own halo: doubled along its shortest side as long as it
    is small, fits the memory, and leaves every thread some. counts: of blocks along each axis"""
    run, wanted = [1] * len(counts), 4 * r.lanes
    while True:
        choices = []
        for axis, n in enumerate(counts):
            wider = [min(2 * b, n) if a == axis else b for a, b in enumerate(run)]
            extent = [min(b * count, size) for b, count, size in zip(block, wider, r.shape, strict=True)]
            together = run_extent(r, block, wider)
            if (
                wider[axis] > run[axis]
                and max(_taken(r, extent), r.out_bytes(extent)) <= LARGEST_RUN
                and prod(wider) <= MOST_BLOCKS_IN_RUN
                and prod(ceil(n / b) for n, b in zip(counts, wider, strict=True)) >= wanted
                and r.fits(together, prod(counts), 0)
            ):
                choices.append((extent[axis], axis, wider))
        if not choices:
            return tuple(run)
        run = min(choices)[2]


def _taken(r: Request, extent: Sequence[int]) -> int:
    """Bytes of the input that such a part of the result is made from, without halo where it has the input's axes."""
    return r.in_bytes(extent) if r.out.ndim != r.grid.ndim else prod(extent) * r.grid.dtype.itemsize


def faster_way(r: Request, block: Sequence[int], run: Sequence[int]) -> str:
    """Where blocks get their halos: by exchange, unless reading them is as good or twice as fast.

    A job takes the longer of what the one scheduler does and what all threads do. Reads count in whole chunks.
    """
    extent = run_extent(r, block, run)
    once = float(_taken(r, block))
    typical, needed = r.typical(extent), r.needed(extent)
    read = once
    if r.out.ndim == r.grid.ndim:
        parts = zip(typical.spans, needed.spans, r.read_unit, r.shape, strict=True)
        for (a, b), (c, d), unit, n in parts:
            if b - a < n:
                read *= (b - a + unit * (ceil(max(0, a - c) / unit) + ceil(max(0, d - b) / unit))) / (b - a)
    written = r.out_bytes(block)

    def seconds(tasks: float, read: float) -> float:
        return max(tasks * TASK_SECONDS, (read + written) * STORE_BYTE_SECONDS / r.lanes)

    reading = seconds(1 / prod(run), read)
    exchanging = seconds(TASKS_PER_BLOCK[cut_axes(r, block)], once)
    return "read" if read == once or 2 * reading <= exchanging else "exchange"


def batch_count(r: Request, block: Sequence[int], blocks: int) -> int:
    """Blocks in a batch that exchanges halos: as many as tasks and memory allow, at least one."""
    count = min(blocks, max(1, r.max_tasks // TASKS_PER_BLOCK[cut_axes(r, block)]))
    budget = r.budget
    while budget is not None and count > 1 and sum(r.memory_parts(block, blocks, count).values()) > budget:
        count = count * 3 // 4
    return max(count, 1)


def batch_box(counts: Sequence[int], halo: Halo, count: int) -> tuple[int, ...]:
    """The box of at most `count` blocks that needs the fewest reads a block.

    Around a box lies a ring of neighbours, each read for its edge alone; but whole rows of blocks follow one another
    along their first axis, and what two of them need is read once for both.
    """
    sizes = [sorted({ceil(n / parts) for parts in range(1, n + 1)}) if n <= 64 else _halvings(n) for n in counts]
    best: tuple[float, int, tuple[int, ...]] | None = None
    for box in product(*sizes):
        if prod(box) > count:
            continue
        reads = 1.0
        for axis, (b, n, depth) in enumerate(zip(box, counts, halo.depth, strict=True)):
            row = all(box[a] == counts[a] for a in range(len(counts)) if a != axis)
            if b < n and max(depth) > 0 and not row:
                reads *= (b + 2) / b
        choice = (reads, -prod(box), box)
        if best is None or choice < best:
            best = choice
    return best[2] if best else (1,) * len(counts)


def _halvings(n: int) -> list[int]:
    """n, n / 2, n / 4, ... 1, rounded up."""
    sizes = [n]
    while sizes[-1] > 1:
        sizes.append(ceil(sizes[-1] / 2))
    return sizes
