"""Rounds of a simulation whose state stays in the workers' memory: an exchange of halos, then some steps.

edges of block     0         1         2           `map_overlap` over the blocks' edges alone: each task gets the
                [a.....b] [c.....d] [e.....f]      planes next to it from both neighbours, and the block itself from
task 1                b [c.....d] e                the memory of its worker. Nothing else is copied.
"""

from __future__ import annotations

import time
from concurrent.futures import CancelledError
from typing import Any

import numpy as np

from gridstride.pipeline.errors import ClusterGone
from gridstride.pipeline.simulations import tasks
from gridstride.pipeline.simulations.plan import FlowPlan
from gridstride.pipeline.simulations.states import Checkpoint
from gridstride.pipeline.simulations.tasks import Due, LostState, Record
from gridstride.pipeline.sweep.waiting import Waiting
from gridstride.workers.models.edac.flow import Flow
from gridstride.workers.models.edac.kinds import SPARE

# Dask remembers how to make everything that a result depends on: after so many rounds the blocks begin a new history.
ROUNDS_OF_HISTORY = 40
RETURN_SECONDS = 60.0  # that lost workers have to come back, before those that are left go on


class Rounds:
    """The blocks of a simulation on the workers of a cluster. patience: see `Waiting`."""

    def __init__(
        self, client: Any, out: str, run_id: str, device: str, flow: Flow, plan: FlowPlan, patience: float
    ) -> None:
        self.client, self.out, self.run_id, self.device = client, out, run_id, device
        self.flow, self.plan, self.patience = flow, plan, patience
        self.exchange = plan.blocks > 1
        self.workers = sorted(client.scheduler_info(n_workers=-1)["workers"])
        if not self.workers:
            raise LostState("the cluster has no workers")
        self.held: list[Any] = []
        self.age = 0
        self.rounds = 0

    def begin(self, checkpoint: Checkpoint | None, due: Due) -> list[Record]:
        """Make the blocks, at a checkpoint or at the beginning."""
        axis, reach = self.flow.slab_axis, self.plan.substeps if self.exchange else 0
        for index in range(self.plan.blocks):
            start, stop = [0, 0, 0], list(self.flow.cells)
            start[axis], stop[axis] = self.plan.edges[index : index + 2]
            self.held.append(
                self.client.submit(
                    tasks.begin_block,
                    self.out,
                    self.run_id,
                    self.device,
                    index,
                    tuple(start),
                    tuple(stop),
                    reach,
                    checkpoint,
                    self.exchange,
                    due,
                    self.plan.threads,
                    key=f"begin-{self.run_id}-{index}",
                    pure=False,
                    workers=[self._home(index)],
                )
            )
        records = [self.client.submit(tasks.take_record, held, pure=False) for held in self.held]
        return self.gather(records)

    def advance(self, first: int, steps: int, due: Due) -> list[Any]:
        """Send one round of steps after step `first`; futures of the blocks' records."""
        self.rounds += 1
        if not self.exchange:
            self.held = [
                self.client.submit(
                    tasks.advance_alone,
                    self.held[0],
                    self.out,
                    self.run_id,
                    first,
                    steps,
                    due,
                    key=f"advance-{self.run_id}-{self.rounds}",
                    pure=False,
                )
            ]
            return [self.client.submit(tasks.take_record, self.held[0], pure=False)]
        import dask.array as da
        from dask.array.optimization import optimize

        axis, blocks = 1 + self.flow.slab_axis, range(self.plan.blocks)
        this = f"{self.run_id}-{self.rounds}"
        own = {self._at(f"edges-{this}", index): (tasks.take_edges, held) for index, held in enumerate(self.held)}
        edges = da.Array(own, f"edges-{this}", self._chunks(), self.flow.dtype)
        met = da.map_overlap(
            tasks.as_they_are,
            edges,
            depth={axis: self.plan.substeps + SPARE + 1},
            boundary={axis: "periodic" if self.flow.periodic(self.flow.slab_axis) else "none"},
            trim=False,
            allow_rechunk=False,
            meta=np.empty((0,) * 4, self.flow.dtype),
            name=f"met-{this}",
        )
        # A block comes as a future of its own: as an array of one object Dask would think it small, and move it.
        graph = dict(met.dask)
        advance = [(f"advance-{this}", index) for index in blocks]
        records = [(f"record-{this}", index) for index in blocks]
        for index, held in enumerate(self.held):
            joined = self._at(met.name, index)
            graph[advance[index]] = (tasks.advance_block, joined, held, self.out, self.run_id, first, steps, due)
            graph[records[index]] = (tasks.take_record, advance[index])
        wanted = [*advance, *records]  # one task after another costs milliseconds: chains are made one
        futures = self.client.get(optimize(graph, wanted), wanted, sync=False)
        self.held = futures[: self.plan.blocks]
        return futures[self.plan.blocks :]

    def due_to_keep(self) -> bool:
        """Whether the next round should leave the blocks where `renew` finds them."""
        self.age += 1
        return self.age >= ROUNDS_OF_HISTORY

    def renew(self, records: list[Record]) -> None:
        """Begin a new history with the blocks that the last round kept. Nothing may be in flight."""
        self.age = 0
        self.held = [
            self.client.submit(
                tasks.pick_up,
                self.run_id,
                r.index,
                r.step,
                workers=[r.worker],
                pure=False,
                key=f"keep-{self.run_id}-{self.rounds}-{r.index}",
            )
            for r in sorted(records, key=lambda r: r.index)
        ]

    def gather(self, futures: list[Any]) -> list[Record]:
        """The records, in the blocks' order. Raises LostState if a worker was lost, ClusterGone as `Waiting` does."""
        waiting = Waiting(self.client, self.patience, self.check_workers)
        waiting.add(futures)
        for _ in futures:
            waiting.next()
        try:
            return [waiting.result(future) for future in futures]
        except Exception as error:
            if type(error).__name__ == "KilledWorker":
                raise LostState(str(error)) from error
            if not isinstance(error, LostState | ClusterGone | CancelledError):
                self.check_workers()  # what a task meets when its neighbour's worker goes
            raise

    def check_workers(self) -> None:
        alive = set(self.client.scheduler_info(n_workers=-1)["workers"])
        lost = [worker for worker in self.workers if worker not in alive]
        if lost:
            raise LostState(f"{len(lost)} of {len(self.workers)} workers died")

    def _home(self, index: int) -> str:
        """Neighbouring blocks share a worker, so that fewer halos travel."""
        return self.workers[index * len(self.workers) // self.plan.blocks]

    def _at(self, name: str, index: int) -> tuple[Any, ...]:
        position = [0, 0, 0, 0]
        position[1 + self.flow.slab_axis] = index
        return (name, *position)

    def _chunks(self) -> tuple[tuple[int, ...], ...]:
        """Of the edges: 2 x deep planes of each block, and all that its arrays have along the other axes."""
        flow, deep = self.flow, self.plan.substeps + SPARE + 1
        sides = [1 if flow.planar and axis == 0 else n + 2 for axis, n in enumerate(flow.cells)]
        chunks: list[tuple[int, ...]] = [(2 * flow.fields,), *((n,) for n in sides)]
        chunks[1 + flow.slab_axis] = (2 * deep,) * self.plan.blocks
        return tuple(chunks)


def wait_for_workers(client: Any, count: int, patience: float) -> None:
    """Give lost workers some time to come back. Raises ClusterGone if none is there for `patience` seconds."""
    begin = time.monotonic()
    while True:
        alive = len(client.scheduler_info(n_workers=-1)["workers"])
        waited = time.monotonic() - begin
        if alive >= count or (alive and waited > RETURN_SECONDS):
            return
        if client.status != "running":
            raise ClusterGone("the scheduler is gone")
        if waited > patience:
            raise ClusterGone(f"no worker has been heard of for {patience:.0f} s")
        time.sleep(0.2)
