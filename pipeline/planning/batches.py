"""What goes to Dask together, and the memory that takes: batches of blocks, and runs of them. Pure arithmetic.

Blocks get their halos in one of two ways. From their *neighbours*, by `map_overlap`: each block is read once. Or from
the *store*: one task reads a box of blocks (a *run*) and its halo, which costs reads, for chunks are read whole and
most of what is read for a halo is thrown away, and saves nearly all of Dask's tasks. Where blocks are small, or so many
workers wait for the one scheduler, the second is faster (`way`).
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product
from math import ceil, prod
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from gridstride.pipeline.planning.plan import Request

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
# Graph size at which building and sending a batch takes about a second.
MAX_TASKS = 4000
# Resident memory of processes that do nothing yet: client with scheduler, and a worker with Numba loaded (measured).
CLIENT_BYTES = 330_000_000
WORKER_BYTES = 290_000_000
# Staging buffers for copies to and from a GPU (`workers.device`).
PINNED_BYTES = 134_217_728
# What is left for fragments and for what Dask holds in passing.
HEADROOM = 0.9


def run_extent(r: Request, block: Sequence[int], run: Sequence[int]) -> tuple[int, ...]:
    """What a task that takes such a run of blocks computes at a time."""
    return tuple(min(b * n, size) if r.exact else b for b, n, size in zip(block, run, r.shape, strict=True))


def run_box(r: Request, block: Sequence[int], grid: Sequence[int]) -> tuple[int, ...]:
    """The box of blocks that one task takes where it reads its own halo: doubled along its shortest side as long as it
    is small, fits the memory, and leaves every thread some."""
    run = [1] * len(grid)
    budget = budget_of(r)
    wanted = 4 * r.workers * r.threads
    while True:
        choices = []
        for axis, n in enumerate(grid):
            wider = [min(2 * b, n) if a == axis else b for a, b in enumerate(run)]
            extent = [min(b * count, size) for b, count, size in zip(block, wider, r.shape, strict=True)]
            parts = memory_parts(r, run_extent(r, block, wider), grid, 0)
            if (
                wider[axis] > run[axis]
                and max(prod(extent) * r.itemsize, out_bytes(r, extent)) <= LARGEST_RUN
                and prod(wider) <= MOST_BLOCKS_IN_RUN
                and prod(ceil(n / b) for n, b in zip(grid, wider, strict=True)) >= wanted
                and (budget is None or sum(parts.values()) <= budget)
                and (r.device_memory is None or device_bytes(r, extent) <= r.device_memory)
            ):
                choices.append((extent[axis], axis, wider))
        if not choices:
            return tuple(run)
        run = min(choices)[2]


def way(r: Request, block: Sequence[int], grid: Sequence[int], run: Sequence[int]) -> str:
    """Where blocks get their halos from: from their neighbours, unless the store is as good or twice as fast.

    A job takes the longer of what the one scheduler does and what all threads do. Reads count in whole chunks.
    """
    unit = r.read_unit or r.write_unit
    box = run_extent(r, block, run)
    once = float(r.itemsize * prod(block))
    read = once
    for b, u, n, g, halo in zip(box, unit, r.shape, grid, r.halo, strict=True):
        if g > 1 and b < n:
            read *= (b + u * sum(ceil(h / u) for h in halo)) / b
    lanes, written = r.workers * r.threads, out_bytes(r, block)

    def seconds(tasks: float, read: float) -> float:
        return max(tasks * TASK_SECONDS, (read + written) * STORE_BYTE_SECONDS / lanes)

    cut = sum(n > 1 and max(h) > 0 for n, h in zip(grid, r.halo, strict=True))
    store = seconds(1 / prod(run), read)
    return "store" if read == once or 2 * store <= seconds(TASKS_PER_BLOCK[cut], once) else "neighbours"


def budget_of(r: Request) -> int | None:
    """Bytes each worker may use for blocks."""
    if r.memory is None:
        return None
    return int((r.memory * HEADROOM - CLIENT_BYTES) / r.workers)


def device_bytes(r: Request, block: Sequence[int]) -> int:
    """Bytes on the GPU while a block is computed there and the next is being uploaded."""
    padded = prod(b + sum(h) for b, h in zip(block, r.halo, strict=True))
    return 2 * (padded * r.itemsize + out_bytes(r, block) + r.scratch(tuple(block)))


def out_bytes(r: Request, block: Sequence[int]) -> int:
    extent = [b if n == m else m for b, n, m in zip(block, r.shape, r.out_shape, strict=True)]
    return prod(extent) * r.out_itemsize


def memory_parts(r: Request, block: Sequence[int], grid: Sequence[int], batch: int) -> dict[str, int]:
    """Bytes of host memory in a worker, by purpose, with two batches of `batch` blocks in flight.

    Inputs stay until every neighbour has taken its part: two batches, and of the blocks next to them as many again.
    """
    in_bytes = prod(block) * r.itemsize
    padded = prod(b + (sum(h) if g > 1 else 0) for b, h, g in zip(block, r.halo, grid, strict=True)) * r.itemsize
    resident = min(prod(grid), 3 * batch)
    busy = min(r.threads, prod(grid))
    scratch = r.scratch(tuple(block)) if r.device_memory is None else 0
    return {
        "process": WORKER_BYTES,
        "inputs": ceil(resident / r.workers) * in_bytes,
        "blocks with halo": busy * padded,
        "results": busy * out_bytes(r, block),
        "scratch": busy * scratch,
        "pinned": 0 if r.device_memory is None else PINNED_BYTES,
        "codec": busy * out_bytes(r, block) // 2,
    }


def batch_count(r: Request, block: Sequence[int], grid: Sequence[int], budget: int | None) -> int:
    """Blocks in a batch: as many as tasks and memory allow, at least one."""
    cut = sum(n > 1 and max(h) > 0 for n, h in zip(grid, r.halo, strict=True))
    count = min(prod(grid), max(1, r.max_tasks // TASKS_PER_BLOCK[cut]))
    while budget is not None and count > 1 and sum(memory_parts(r, block, grid, count).values()) > budget:
        count = count * 3 // 4
    return max(count, 1)


def batch_box(grid: Sequence[int], halo: Sequence[tuple[int, int]], count: int) -> tuple[int, ...]:
    """The box of at most `count` blocks that needs the fewest reads a block.

    Around a box lies a ring of neighbours, each read for its edge alone; but whole rows of blocks follow one another
    along their first axis, and what two of them need is read once for both.
    """
    sizes = [sorted({ceil(n / parts) for parts in range(1, n + 1)}) if n <= 64 else _halvings(n) for n in grid]
    best: tuple[float, int, tuple[int, ...]] | None = None
    for box in product(*sizes):
        if prod(box) > count:
            continue
        reads = 1.0
        for axis, (b, n, h) in enumerate(zip(box, grid, halo, strict=True)):
            row = all(box[a] == grid[a] for a in range(len(grid)) if a != axis)
            if b < n and max(h) > 0 and not row:
                reads *= (b + 2) / b
        choice = (reads, -prod(box), box)
        if best is None or choice < best:
            best = choice
    return best[2] if best else (1,) * len(grid)


def _halvings(n: int) -> list[int]:
    """n, n / 2, n / 4, ... 1, rounded up."""
    sizes = [n]
    while sizes[-1] > 1:
        sizes.append(ceil(sizes[-1] / 2))
    return sizes
