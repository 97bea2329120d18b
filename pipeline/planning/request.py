"""Request: what a plan is made from, and the bytes that blocks take. Pure arithmetic."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil, prod

from gridstride.workers.operators.base import Grid, Operator
from gridstride.workers.region import Region

# Resident memory of processes that do nothing yet: client with scheduler, and a worker with Numba loaded (measured).
CLIENT_BYTES = 330_000_000
WORKER_BYTES = 290_000_000
# Staging buffers for copies to and from a GPU (`workers.slots`).
PINNED_BYTES = 134_217_728
# What is left for fragments and for what Dask holds in passing.
HEADROOM = 0.9
# Graph size at which building and sending a batch takes about a second.
MAX_TASKS = 4000


@dataclass(frozen=True)
class Request:
    """What a plan is made from. Shapes have one entry for each axis of the RESULT, unless said.

    operator, grid: what is applied, and to what
    write_unit:     of the result: what is written together
    read_unit:      of the input (an entry for each of its axes): what is read together
    workers, threads: processes, and threads of each
    memory:         bytes of all processes together, or None for no limit
    device_memory:  bytes of each GPU, or None on CPUs
    block:          block shape asked for by the user, or None
    halos:          where blocks get their halos: "exchange" or "read"; "auto" chooses
    """

    operator: Operator
    grid: Grid
    write_unit: tuple[int, ...]
    read_unit: tuple[int, ...]
    workers: int
    threads: int
    memory: int | None = None
    device_memory: int | None = None
    block: tuple[int, ...] | None = None
    halos: str = "auto"
    max_tasks: int = MAX_TASKS

    @property
    def out(self) -> Grid:
        return self.operator.out_grid(self.grid)

    @property
    def shape(self) -> tuple[int, ...]:
        return self.out.shape

    @property
    def uncut(self) -> frozenset[int]:
        return self.operator.uncut(self.grid)

    @property
    def lanes(self) -> int:
        """Blocks that are worked on at a time."""
        return self.workers * self.threads

    @property
    def budget(self) -> int | None:
        """Bytes each worker may use for blocks."""
        if self.memory is None:
            return None
        return int((self.memory * HEADROOM - CLIENT_BYTES) / self.workers)

    def typical(self, block: Sequence[int]) -> Region:
        """A block of a shape as far from the grid's ends as there is one: it needs the most."""
        spans = []
        for n, b in zip(self.shape, block, strict=True):
            first = (ceil(n / max(b, 1)) // 2) * b if n > 2 * b else 0
            spans.append((first, min(first + b, n)))
        return Region(tuple(spans))

    def needed(self, block: Sequence[int]) -> Region:
        """What a typical block reads of the input."""
        return self.operator.needed(self.typical(block), self.grid)

    def in_bytes(self, block: Sequence[int]) -> int:
        return self.needed(block).size * self.grid.dtype.itemsize

    def out_bytes(self, block: Sequence[int]) -> int:
        return prod(block) * self.out.dtype.itemsize if self.operator.writes() else 0

    def scratch(self, block: Sequence[int]) -> int:
        device = "cpu" if self.device_memory is None else "gpu"
        return self.operator.scratch(self.typical(block), self.grid, device)

    def device_bytes(self, block: Sequence[int]) -> int:
        """Bytes on the GPU while a block is computed there and the next is being uploaded."""
        return 2 * (self.in_bytes(block) + self.out_bytes(block) + self.scratch(block))

    def fits(self, block: Sequence[int], blocks: int, batch: int) -> bool:
        """Whether blocks of a shape, so many in all, fit host and device in batches of so many."""
        if self.device_memory is not None and self.device_bytes(block) > self.device_memory:
            return False
        return self.budget is None or sum(self.memory_parts(block, blocks, batch).values()) <= self.budget

    def memory_parts(self, block: Sequence[int], blocks: int, batch: int) -> dict[str, int]:
        """Bytes of host memory in a worker, by purpose, with two batches of `batch` blocks in flight.

        Where blocks exchange halos, inputs stay until every neighbour has taken its part: two batches, and of the
        blocks next to them as many again. batch 0: blocks read their own halos.
        """
        busy, result = min(self.threads, blocks), self.out_bytes(block)
        resident = min(blocks, 3 * batch)
        return {
            "process": WORKER_BYTES,
            "inputs": ceil(resident / self.workers) * prod(block) * self.grid.dtype.itemsize,
            "blocks with halo": busy * self.in_bytes(block),
            "results": busy * result,
            "scratch": busy * self.scratch(block) if self.device_memory is None else 0,
            "pinned": 0 if self.device_memory is None else PINNED_BYTES,
            "codec": busy * result // 2,
        }
