"""Plan: which blocks of the result, in which batches, with how much memory. Pure arithmetic, no I/O.

A *block* is what one task computes, whole write units of the result (array ends aside), so that no two tasks write one
unit. A *batch* is a box of blocks that goes to Dask as one graph, or one task; two batches are in flight at a time.

Blocks are counted and cut in the indices of the OUTPUT; what they read of the input is the operator's to say.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import product
from math import ceil, prod

from gridstride.pipeline.errors import UsageError
from gridstride.pipeline.planning.batches import (
    TASKS_PER_BLOCK,
    batch_box,
    batch_count,
    cut_axes,
    faster_way,
    run_box,
    run_extent,
)
from gridstride.pipeline.planning.blocks import check_block, choose_block, edges_of
from gridstride.pipeline.planning.exchange import Halo, measure
from gridstride.pipeline.planning.request import CLIENT_BYTES, HEADROOM, Request
from gridstride.pipeline.text import megabytes
from gridstride.workers.region import Region

Index = tuple[int, ...]


@dataclass(frozen=True)
class Plan:
    """Blocks, batches and what they cost. Entries are for the axes of the result, unless said.

    in_shape, shape: of input and result
    edges:     of blocks along each axis
    batch:     blocks of a batch along each axis
    halos:     where blocks get their halos: "exchange" or "read"
    exact:     whether a task may compute a box of blocks as if it were one
    """

    in_shape: tuple[int, ...]
    shape: tuple[int, ...]
    block: tuple[int, ...]
    edges: tuple[tuple[int, ...], ...]
    batch: tuple[int, ...]
    halo: Halo
    itemsize: int
    out_itemsize: int
    memory_per_worker: int
    memory_total: int
    memory_parts: dict[str, int] = field(default_factory=dict)
    tasks_per_block: int = 3
    halos: str = "exchange"
    exact: bool = True

    @property
    def grid(self) -> tuple[int, ...]:
        """Number of blocks along each axis."""
        return tuple(len(edges) - 1 for edges in self.edges)

    @property
    def blocks(self) -> int:
        return prod(self.grid) if 0 not in self.shape else 0

    @property
    def batches(self) -> int:
        return prod(ceil(n / b) for n, b in zip(self.grid, self.batch, strict=True)) if self.blocks else 0

    @property
    def tasks(self) -> int:
        """Tasks that Dask is given, about."""
        return self.batches if self.halos == "read" else self.tasks_per_block * self.blocks

    def region(self, index: Sequence[int], until: Sequence[int] | None = None) -> Region:
        """The region of a block, or of the box of blocks from `index` to `until`, which is counted. Block -1 of a
        periodic axis is the last one, seen from block 0."""
        spans = []
        for axis, (first, last, size) in enumerate(zip(index, until or index, self.shape, strict=True)):
            n, edges = self.grid[axis], self.edges[axis]
            spans.append((edges[first % n] + size * (first // n), edges[last % n + 1] + size * (last // n)))
        return Region(tuple(spans))

    def boxes(self) -> Iterator[tuple[tuple[int, int], ...]]:
        """The batches in order, each a box of block indices: (first, last + 1) on every axis."""
        if self.blocks:
            ranges = [[(i, min(i + b, n)) for i in range(0, n, b)] for n, b in zip(self.grid, self.batch, strict=True)]
            yield from product(*ranges)

    @property
    def bytes_in(self) -> int:
        return prod(self.in_shape) * self.itemsize

    @property
    def bytes_out(self) -> int:
        return prod(self.shape) * self.out_itemsize


def make_plan(r: Request) -> Plan:
    """The plan for a request. Raises UsageError, naming the number to change, where none can work."""
    block = check_block(r) if r.block is not None else choose_block(r)
    edges = edges_of(r, block)
    halo = measure(r.operator, r.grid, edges)
    halos, batch, parts = _batches(r, block, edges, halo)
    needed = sum(parts.values())
    _check_memory(r, block, needed)
    return Plan(
        in_shape=r.grid.shape,
        shape=r.shape,
        block=block,
        edges=edges,
        batch=batch,
        halo=halo,
        itemsize=r.grid.dtype.itemsize,
        out_itemsize=r.out.dtype.itemsize if r.operator.writes() else 0,
        memory_per_worker=needed,
        memory_total=needed * r.workers + CLIENT_BYTES,
        memory_parts=parts,
        tasks_per_block=1 if halos == "read" else TASKS_PER_BLOCK[cut_axes(r, block)],
        halos=halos,
        exact=r.operator.exact,
    )


def _batches(
    r: Request, block: Sequence[int], edges: Sequence[Sequence[int]], halo: Halo
) -> tuple[str, tuple[int, ...], dict[str, int]]:
    """Where halos come from, the blocks of a batch, and the memory of a worker: by the faster way if it fits."""
    counts = [len(e) - 1 for e in edges]
    blocks, run = prod(counts), run_box(r, block, counts)
    alone = "read", run, r.memory_parts(run_extent(r, block, run), blocks, 0)
    if r.halos == "exchange" and not halo.possible and max(counts) > 1:
        raise UsageError(
            "--halos exchange: neighbouring blocks cannot give each other what this operator needs, or blocks are "
            "thinner than the halo: use read or auto, or a larger --block"
        )
    wanted = r.halos if r.halos != "auto" else faster_way(r, block, run) if halo.possible else "read"
    if wanted == "read" or not halo.possible:
        return alone
    count = batch_count(r, block, blocks)
    parts = r.memory_parts(block, blocks, count)
    if r.halos == "auto" and r.budget is not None and sum(alone[2].values()) <= r.budget < sum(parts.values()):
        return alone
    return "exchange", batch_box(counts, halo, count), parts


def _check_memory(r: Request, block: Sequence[int], needed: int) -> None:
    budget, shape = r.budget, " x ".join(map(str, block))
    if budget is not None and needed > budget:
        smallest = needed * r.workers + CLIENT_BYTES
        raise UsageError(
            f"one block of {shape} needs {megabytes(needed)} in each worker and {megabytes(max(budget, 0))} is there: "
            f"make --memory at least {megabytes(smallest / HEADROOM)}, or use fewer --workers or threads, or smaller "
            f"--{'block' if r.block else 'chunks'}"
        )
    if r.device_memory is not None and (device := r.device_bytes(block)) > r.device_memory:
        raise UsageError(
            f"one block of {shape} needs {megabytes(device)} on the GPU and {megabytes(r.device_memory)} is there: "
            "make --block or --chunks smaller"
        )
