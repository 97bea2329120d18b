"""Batches whose blocks exchange halos: one graph for each, by `map_overlap`.

A batch is a box of blocks with a ring of neighbours around it. Each block is read once, as one task; `map_overlap`
hands its edges to the neighbours, wherever those run; each result is written by the task that made it. Nothing but
small records comes back.

        ring    the batch's blocks    ring         A ring is as thick as the halo, except where the blocks next to
      +------+------+------+------+------+         the batch belong to the batch before or after it: those are read
      |      |  0   |  1   |  2   |      |         whole, once, for both.
      +------+------+------+------+------+
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product
from typing import Any

import numpy as np

from gridstride.pipeline.sweep.block_task import Work, compute_block, read_region
from gridstride.pipeline.sweep.record import Box, Index
from gridstride.workers.region import Region, Span

Batch = tuple[Span, ...]  # (first, last + 1) block of each axis


class Exchange:
    """Makes the batches of a sweep. `reads` are those of the last one: the next may use them again."""

    def __init__(self, client: Any, work: Work, run_id: str) -> None:
        self.client, self.work, self.run_id, self.plan = client, work, run_id, work.plan
        self.reads: dict[Region, Any] = {}

    def batches(self, done: np.ndarray) -> Iterator[dict[Any, list[Box]]]:
        """Futures with the boxes of blocks that each is to finish, batch by batch."""
        found = (batch for batch in self.plan.boxes() if not done[tuple(slice(*span) for span in batch)].all())
        batch = next(found, None)
        while batch is not None:
            following = next(found, None)
            yield self._submit(batch, following, done)
            batch = following

    def _submit(self, batch: Batch, following: Batch | None, done: np.ndarray) -> dict[Any, list[Box]]:
        """Send one batch."""
        import dask.array as da
        from dask.array.optimization import optimize

        plan, ndim = self.plan, len(self.plan.shape)
        lines = [self._intervals(batch, following, axis) for axis in range(ndim)]
        first = tuple(lo - ring for (lo, _), (_, ring) in zip(batch, lines, strict=True))
        intervals = [line for line, _ in lines]
        pending = [i for i in product(*(range(lo, hi) for lo, hi in batch)) if not done[i]]
        name = f"batch-{self.run_id}-{'.'.join(str(lo) for lo, _ in batch)}"
        graph = self._read(intervals, self._near(pending, first, intervals), name)
        chunks = tuple(tuple(b - a for a, b in line) for line in intervals)
        array = da.Array(graph, name, chunks, meta=np.empty((0,) * ndim, self.work.grid.dtype))
        result = da.map_overlap(
            compute_block,
            array,
            depth=dict(enumerate(plan.halo.depth)),
            boundary="none",
            trim=False,
            allow_rechunk=False,
            meta=np.empty((0,) * ndim, object),
            dtype=object,
            chunks=tuple((1,) * len(c) for c in chunks),
            out=self.work.out,
            part=self.work.part,
            run_id=self.run_id,
            first=first,
        )
        # One graph for the batch: `client.compute` of its blocks one by one would merge a graph for each of them.
        wanted = [(result.name, *(i - f for i, f in zip(index, first, strict=True))) for index in pending]
        futures = self.client.get(optimize(result.dask, wanted), wanted, sync=False)
        return {future: [(index, index)] for future, index in zip(futures, pending, strict=True)}

    def _near(self, pending: list[Index], first: Index, intervals: list[list[Span]]) -> set[Index]:
        """Positions in the batch array of the blocks to be done and of their neighbours."""
        found: set[Index] = set()
        for index in pending:
            columns = []
            for i, f, line, depth in zip(index, first, intervals, self.plan.halo.depth, strict=True):
                beside = 1 if any(depth) else 0
                columns.append(range(max(0, i - f - beside), min(len(line), i - f + beside + 1)))
            found.update(product(*columns))
        return found

    def _read(self, intervals: list[list[Span]], near: set[Index], name: str) -> dict[Any, Any]:
        """The graph of the batch array: a read for each position that is looked at."""
        reads: dict[Region, Any] = {}
        graph: dict[Any, Any] = {}
        for position in product(*(range(len(line)) for line in intervals)):
            if position not in near:
                graph[(name, *position)] = None  # nobody looks at it
                continue
            region = Region(tuple(intervals[axis][i] for axis, i in enumerate(position)))
            reads[region] = self.reads.get(region) or self.client.submit(
                read_region, self.work.input, region, key=f"read-{self.run_id}-{region.spans}", pure=False
            )
            graph[(name, *position)] = reads[region]
        self.reads = reads
        return graph

    def _intervals(self, batch: Batch, following: Batch | None, axis: int) -> tuple[list[Span], int]:
        """Intervals of the batch array's chunks along an axis, and how many of them (0 or 1) come before the batch."""
        plan = self.plan
        n, (lo, hi) = plan.grid[axis], batch[axis]
        if n == 1:  # not cut: the input's axis may have another length
            return [(0, plan.in_shape[axis])], 0
        before, after = plan.halo.depth[axis]
        thick, periodic, edges = max(before, after), plan.halo.periodic[axis], plan.edges[axis]
        intervals = list(zip(edges[lo:hi], edges[lo + 1 : hi + 1], strict=True))
        ring = 0
        # Only whole rows of blocks are shared between batches, and only along the axis they follow each other on.
        row = all(a == axis or (b == 0 and e == plan.grid[a]) for a, (b, e) in enumerate(batch))
        if before and (lo > 0 or periodic):
            whole = (edges[lo - 1], edges[lo]) if lo > 0 else None
            known = {region.spans[axis] for region in self.reads}
            intervals.insert(0, whole if whole and row and whole in known else (edges[lo] - thick, edges[lo]))
            ring = 1
        if after and (hi < n or periodic):
            shared = row and hi < n and following is not None and following[axis][0] == hi
            end = edges[hi]
            intervals.append((end, edges[hi + 1]) if shared else (end, end + thick))
        return intervals, ring
