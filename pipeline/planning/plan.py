"""From shapes and bytes to a plan: which blocks, in which batches, with how much memory. Pure arithmetic.

A *block* is what one task computes, whole write units of the result (array ends aside), so that no two tasks write
one unit. A *batch* is a box of blocks that goes to Dask as one graph; two batches are in flight at a time.

Blocks are as large as memory allows, for three reasons: the halo is a smaller part of a large block, Dask spends
milliseconds on each task, and `map_overlap` makes more tasks for every axis that is cut (`TASKS_PER_BLOCK`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import product
from math import ceil, prod

from gridstride.pipeline.errors import UsageError
from gridstride.pipeline.planning.batches import (
    CLIENT_BYTES,
    HEADROOM,
    MAX_TASKS,
    TASKS_PER_BLOCK,
    batch_box,
    batch_count,
    budget_of,
    device_bytes,
    memory_parts,
    run_box,
    run_extent,
    way,
)
from gridstride.pipeline.text import megabytes

# Beyond this a larger block gains nothing and makes progress lumpy.
LARGEST_BLOCK = 512_000_000
SMALLEST_USEFUL_BLOCK = 8_000_000


@dataclass(frozen=True)
class Request:
    """What a plan is made from. Shapes and tuples have one entry for each axis of the array.

    shape, out_shape:   of input and result; they differ along a channel axis only, which is never cut
    itemsize, out_itemsize: bytes of an element
    write_unit:         of the result: what is written together
    halo, modes:        the operator's
    scratch:            bytes of working memory for a block of a given extent
    workers, threads:   processes, and threads of each
    memory:             bytes of all processes together, or None for no limit
    device_memory:      bytes of each GPU, or None on CPUs
    block:              block shape asked for by the user, or None
    read_unit:          of the input: what is read together
    exact:              whether results are the same bits however the grid is cut, so that a task may compute a box of
                        blocks as if it were one
    halos:              "neighbours" or "store"; "auto" chooses
    """

    shape: tuple[int, ...]
    out_shape: tuple[int, ...]
    itemsize: int
    out_itemsize: int
    write_unit: tuple[int, ...]
    halo: tuple[tuple[int, int], ...]
    modes: tuple[str, ...]
    scratch: Callable[[tuple[int, ...]], int]
    workers: int
    threads: int
    memory: int | None = None
    device_memory: int | None = None
    block: tuple[int, ...] | None = None
    read_unit: tuple[int, ...] | None = None
    exact: bool = True
    halos: str = "auto"
    max_tasks: int = MAX_TASKS


def thinnest(halo: tuple[int, int], mode: str) -> int:
    """The least thickness of blocks on an axis that is cut: neighbours must be able to fill each other's halo, and a
    block at the grid's edge its own by reflection. `mirror` does not repeat the edge: it reaches one further."""
    return max(1, max(halo) + (1 if mode == "mirror" and max(halo) else 0))


def axis_edges(size: int, block: int, least: int) -> tuple[int, ...]:
    """Edges of the blocks along one axis: 0, block, 2 block, ..., size. A last block thinner than `least` is joined to
    the one before."""
    if size == 0:
        return (0, 0)
    edges = [*range(0, size, block), size]
    if len(edges) > 2 and edges[-1] - edges[-2] < least:
        del edges[-2]
    return tuple(edges)


@dataclass(frozen=True)
class Plan:
    """Blocks, batches and what they cost. `edges` are those of the input; along a channel axis there is one block.

    halos: where blocks get their halos from: "neighbours" or "store". exact: see `Request`
    """

    shape: tuple[int, ...]
    out_shape: tuple[int, ...]
    halo: tuple[tuple[int, int], ...]
    modes: tuple[str, ...]
    block: tuple[int, ...]
    edges: tuple[tuple[int, ...], ...]
    batch: tuple[int, ...]
    itemsize: int
    out_itemsize: int
    memory_per_worker: int
    memory_total: int
    memory_parts: dict[str, int] = field(default_factory=dict)
    tasks_per_block: int = 3
    halos: str = "neighbours"
    exact: bool = True

    @property
    def grid(self) -> tuple[int, ...]:
        """Number of blocks along each axis."""
        return tuple(len(edges) - 1 for edges in self.edges)

    @property
    def blocks(self) -> int:
        return prod(self.grid) if 0 not in self.shape and 0 not in self.out_shape else 0

    @property
    def batches(self) -> int:
        return prod(ceil(n / b) for n, b in zip(self.grid, self.batch, strict=True)) if self.blocks else 0

    @property
    def tasks(self) -> int:
        """Tasks that Dask is given, about."""
        return self.batches if self.halos == "store" else self.tasks_per_block * self.blocks

    @property
    def depth(self) -> tuple[tuple[int, int], ...]:
        """The halo on axes that are cut, 0 on the others: what neighbours have to exchange."""
        return tuple(h if n > 1 else (0, 0) for h, n in zip(self.halo, self.grid, strict=True))

    def start(self, index: Sequence[int]) -> tuple[int, ...]:
        """Global index of a block's first element. Block -1 of a periodic axis is the last one, seen from block 0."""
        return tuple(
            self.edges[a][i % n] + size * (i // n)
            for a, (i, n, size) in enumerate(zip(index, self.grid, self.shape, strict=True))
        )

    def stop(self, index: Sequence[int]) -> tuple[int, ...]:
        return tuple(
            self.edges[a][i % n + 1] + size * (i // n)
            for a, (i, n, size) in enumerate(zip(index, self.grid, self.shape, strict=True))
        )

    def needed(
        self, index: Sequence[int], until: Sequence[int] | None = None
    ) -> tuple[tuple[int, ...], tuple[int, ...]]:
        """Range of the input that a block needs, or the box of blocks from `index` to `until`, which is counted: its
        halo, clipped at the grid's edges except across periodic ones."""
        starts, stops = [], []
        for a, (first, last) in enumerate(zip(self.start(index), self.stop(until or index), strict=True)):
            before, after = self.depth[a]
            periodic = self.modes[a] == "wrap"
            starts.append(first - before if periodic else max(0, first - before))
            stops.append(last + after if periodic else min(self.shape[a], last + after))
        return tuple(starts), tuple(stops)

    def out_range(
        self, index: Sequence[int], until: Sequence[int] | None = None
    ) -> tuple[tuple[int, ...], tuple[int, ...]]:
        """Range of the result that a block writes, or the box of blocks from `index` to `until`, which is counted."""
        start, stop = self.start(index), self.stop(until or index)
        same = [a == b for a, b in zip(self.shape, self.out_shape, strict=True)]
        return (
            tuple(s if ok else 0 for s, ok in zip(start, same, strict=True)),
            tuple(s if ok else n for s, n, ok in zip(stop, self.out_shape, same, strict=True)),
        )

    def boxes(self) -> Iterator[tuple[tuple[int, int], ...]]:
        """The batches in order, each a box of block indices: (first, last + 1) on every axis."""
        if self.blocks:
            ranges = [[(i, min(i + b, n)) for i in range(0, n, b)] for n, b in zip(self.grid, self.batch, strict=True)]
            yield from product(*ranges)

    @property
    def bytes_in(self) -> int:
        return prod(self.shape) * self.itemsize

    @property
    def bytes_out(self) -> int:
        return prod(self.out_shape) * self.out_itemsize

    @property
    def halo_overhead(self) -> float:
        """Elements that blocks take in, over elements of the grid, less 1."""
        if not self.blocks:
            return 0.0
        taken = 1.0
        for a, n in enumerate(self.shape):
            spans = [
                self.needed(tuple(i if b == a else 0 for b in range(len(self.shape))))
                for i in sorted({0, self.grid[a] // 2, self.grid[a] - 1})
            ]
            widths = [stop[a] - start[a] for start, stop in spans]
            if len(widths) < 3:
                taken *= sum(widths) / n
            else:
                taken *= (widths[0] + widths[-1] + widths[1] * (self.grid[a] - 2)) / n
        return max(0.0, taken - 1)


def make_plan(request: Request) -> Plan:
    """The plan for a request. Raises UsageError, naming the number to change, where none can work."""
    r = request
    fixed = tuple(a != b for a, b in zip(r.shape, r.out_shape, strict=True))
    if r.block is not None:
        block = _check_block(r, fixed)
    else:
        block = _choose_block(r, fixed)
    least = [thinnest(h, m) for h, m in zip(r.halo, r.modes, strict=True)]
    edges = tuple(
        (0, n) if whole else axis_edges(n, b, thin)
        for n, b, thin, whole in zip(r.shape, block, least, fixed, strict=True)
    )
    grid = tuple(len(e) - 1 for e in edges)
    for axis, (e, thin) in enumerate(zip(edges, least, strict=True)):
        if len(e) > 2 and block[axis] < thin:
            raise UsageError(
                f"blocks of {block[axis]} along axis {axis} are too thin for the operator's halo of "
                f"{max(r.halo[axis])}: make --block at least {thin} there"
            )
    budget = budget_of(r)
    halos, batch, parts = _batches(r, block, grid, budget)
    needed = sum(parts.values())
    if budget is not None and needed > budget:
        smallest = needed * r.workers + CLIENT_BYTES
        raise UsageError(
            f"one block of {' x '.join(map(str, block))} needs {megabytes(needed)} in each worker and "
            f"{megabytes(max(budget, 0))} is there: make --memory at least {megabytes(smallest / HEADROOM)}, or use "
            f"fewer --workers or threads, or smaller --{'block' if r.block else 'chunks'}"
        )
    if r.device_memory is not None and (device := device_bytes(r, block)) > r.device_memory:
        raise UsageError(
            f"one block of {' x '.join(map(str, block))} needs {megabytes(device)} on the GPU and "
            f"{megabytes(r.device_memory)} is there: make --block or --chunks smaller"
        )
    cut = sum(n > 1 and max(h) > 0 for n, h in zip(grid, r.halo, strict=True))
    return Plan(
        shape=r.shape,
        out_shape=r.out_shape,
        halo=r.halo,
        modes=r.modes,
        block=block,
        edges=edges,
        batch=batch,
        itemsize=r.itemsize,
        out_itemsize=r.out_itemsize,
        memory_per_worker=needed,
        memory_total=needed * r.workers + CLIENT_BYTES,
        memory_parts=parts,
        tasks_per_block=1 if halos == "store" else TASKS_PER_BLOCK[cut],
        halos=halos,
        exact=r.exact,
    )


def _batches(
    r: Request, block: Sequence[int], grid: Sequence[int], budget: int | None
) -> tuple[str, tuple[int, ...], dict[str, int]]:
    """Where halos come from, the blocks of a batch, and the memory of a worker: by the faster way if it fits."""
    run = run_box(r, block, grid)
    extent = run_extent(r, block, run)
    alone = "store", run, memory_parts(r, extent, grid, 0)
    if (way(r, block, grid, run) if r.halos == "auto" else r.halos) == "store":
        return alone
    count = batch_count(r, block, grid, budget)
    parts = memory_parts(r, block, grid, count)
    if r.halos == "auto" and budget is not None and sum(alone[2].values()) <= budget < sum(parts.values()):
        return alone
    return "neighbours", batch_box(grid, r.halo, count), parts


def _units(r: Request, fixed: Sequence[bool]) -> list[tuple[int, int]]:
    """(write unit, number of units) of each axis; an axis that may not be cut is one unit."""
    return [
        (max(n, 1), 1) if whole else (min(u, max(n, 1)), max(1, ceil(n / u)))
        for n, u, whole in zip(r.shape, r.write_unit, fixed, strict=True)
    ]


def _check_block(r: Request, fixed: Sequence[bool]) -> tuple[int, ...]:
    assert r.block is not None
    if len(r.block) != len(r.shape):
        raise UsageError(f"--block has {len(r.block)} numbers: expected {len(r.shape)}, one for each axis")
    block = []
    for axis, (b, n, u, whole) in enumerate(zip(r.block, r.shape, r.write_unit, fixed, strict=True)):
        if b < 1:
            raise UsageError(f"--block has {b} for axis {axis}: expected 1 or more")
        if b < n and whole:
            raise UsageError(f"--block cuts axis {axis}, which holds the channels: make it {n} there")
        if b < n and b % u:
            raise UsageError(
                f"--block has {b} for axis {axis}: expected a multiple of {u}, what is written together there "
                "(the shard, or else the chunk), or the whole axis"
            )
        block.append(min(b, max(n, 1)))
    return tuple(block)


def _choose_block(r: Request, fixed: Sequence[bool]) -> tuple[int, ...]:
    """Halve the whole array, each time along the axis where that costs least, until the pieces fit."""
    units = _units(r, fixed)
    counts = [n for _, n in units]

    def shape(counts: Sequence[int]) -> tuple[int, ...]:
        return tuple(min(u * c, max(n, 1)) for (u, _), c, n in zip(units, counts, r.shape, strict=True))

    def cost(counts: Sequence[int]) -> float:
        """Time per element, relative: halo elements, and tasks at about the price of 100,000 elements each."""
        block = shape(counts)
        grid = [ceil(n / b) for n, b in zip(r.shape, block, strict=True)]
        padded = prod(b + (sum(h) if g > 1 else 0) for b, h, g in zip(block, r.halo, grid, strict=True))
        cut = sum(g > 1 and max(h) > 0 for g, h in zip(grid, r.halo, strict=True))
        return (padded + TASKS_PER_BLOCK[cut] * 1e5) / prod(block)

    def too_thin(axis: int, count: int) -> bool:
        b = units[axis][0] * count
        return b < thinnest(r.halo[axis], r.modes[axis]) and b < r.shape[axis]

    budget = budget_of(r)
    parallel = r.workers * r.threads
    total = max(prod(r.shape) * r.itemsize, prod(r.out_shape) * r.out_itemsize)
    # Enough blocks that all threads have work to the end, if blocks stay worth a task.
    wanted = min(4 * parallel, max(1, total // SMALLEST_USEFUL_BLOCK))
    while True:
        block = shape(counts)
        grid = tuple(ceil(n / b) for n, b in zip(r.shape, block, strict=True))
        size = prod(block) * max(r.itemsize, r.out_itemsize)
        least = min(parallel, prod(grid))
        fits = budget is None or sum(memory_parts(r, block, grid, least).values()) <= budget
        fits = fits and (r.device_memory is None or device_bytes(r, block) <= r.device_memory)
        if fits and prod(grid) >= wanted and size <= LARGEST_BLOCK:
            return block
        choices = []
        for axis, count in enumerate(counts):
            half = ceil(count / 2)
            if half < count and not too_thin(axis, half):
                halved = [*counts[:axis], half, *counts[axis + 1 :]]
                choices.append((cost(halved), axis, halved))
        if not choices:
            return block
        counts = min(choices)[2]
