"""Rounds of a simulation whose state stays in the workers' memory: an exchange of halos, then some steps.

edges of block     0         1         2           `map_overlap` over the blocks' edges alone: each task gets the
                [a.....b] [c.....d] [e.....f]      planes next to it from both neighbours, and the block itself from
task 1                b [c.....d] e                the memory of its worker. Nothing else is copied.
"""

from __future__ import annotations

import time
from concurrent.futures import CancelledError
from typing import TYPE_CHECKING, Any

import numpy as np

from gridstride.pipeline.errors import ClusterGone
from gridstride.pipeline.simulations import tasks
from gridstride.pipeline.simulations.job import Simulation
from gridstride.pipeline.simulations.plan import slabs
from gridstride.pipeline.simulations.recorder import Recorder
from gridstride.pipeline.simulations.states import Checkpoint
from gridstride.pipeline.simulations.tasks import Due, LostState, Record, StorePath
from gridstride.pipeline.sweep.waiting import Waiting

if TYPE_CHECKING:
    import dask.array as da
    from distributed import Client, Future

# Dask remembers how to make everything that a result depends on: after so many rounds the blocks begin a new history.
ROUNDS_OF_HISTORY = 40
CHECKPOINT_SECONDS = 600.0  # between checkpoints where the case has no schedule for them
ROUNDS_IN_FLIGHT = 3
RETURN_SECONDS = 60.0  # that lost workers have to come back, before those that are left go on


class Rounds:
    """The blocks of a simulation on the workers of a cluster. run_id: of this history of the state"""

    def __init__(self, client: Client, simulation: Simulation, run_id: str) -> None:
        self.client, self.run_id = client, run_id
        self.out, self.device = str(simulation.out.resolve()), simulation.device
        self.domain, self.plan = simulation.setup.domain, simulation.plan
        self.patience = simulation.config.patience
        self.exchange = self.plan.blocks > 1
        self.workers = sorted(client.scheduler_info(n_workers=-1)["workers"])
        if not self.workers:
            raise LostState("the cluster has no workers")
        self.blocks: list[Future] = []
        self.age = 0
        self.rounds = 0

    def begin(self, checkpoint: Checkpoint | None, due: Due) -> list[Record]:
        """Make the blocks, at a checkpoint or at the beginning."""
        reach = self.plan.substeps if self.exchange else 0
        for index, (start, stop) in enumerate(slabs(self.domain, self.plan.edges)):
            at = StorePath(self.out, self.run_id, self.device, index, start, stop)
            what = (at, reach, checkpoint, self.exchange, due, self.plan.threads)
            key, home = f"begin-{self.run_id}-{index}", [self._home(index)]
            self.blocks.append(self.client.submit(tasks.begin_block, *what, key=key, pure=False, workers=home))
        return self.gather([self.client.submit(tasks.take_record, block, pure=False) for block in self.blocks])

    def advance(self, first: int, steps: int, due: Due) -> list[Future]:
        """Send one round of steps after step `first`; futures of the blocks' records."""
        self.rounds += 1
        if not self.exchange:
            key = f"advance-{self.run_id}-{self.rounds}"
            what = (tasks.advance_alone, self.blocks[0], first, steps, due)
            self.blocks = [self.client.submit(*what, key=key, pure=False)]
            return [self.client.submit(tasks.take_record, self.blocks[0], pure=False)]
        from dask.array.optimization import optimize

        this = f"{self.run_id}-{self.rounds}"
        met = self._exchange(this)
        # A block comes as a future of its own: as an array of one object Dask would think it small, and move it.
        graph = dict(met.dask)
        advanced = [(f"advance-{this}", index) for index in range(self.plan.blocks)]
        records = [(f"record-{this}", index) for index in range(self.plan.blocks)]
        for index, block in enumerate(self.blocks):
            graph[advanced[index]] = (tasks.advance_block, self._at(met.name, index), block, first, steps, due)
            graph[records[index]] = (tasks.take_record, advanced[index])
        wanted = [*advanced, *records]  # one task after another costs milliseconds: chains are made one
        futures = self.client.get(optimize(graph, wanted), wanted, sync=False)
        self.blocks = futures[: self.plan.blocks]
        return futures[self.plan.blocks :]

    def _exchange(self, this: str) -> da.Array:
        """The blocks' edges, each with the planes of its neighbours around it."""
        import dask.array as da

        axis, domain = self.domain.slab_axis, self.domain
        own = {self._at(f"edges-{this}", index): (tasks.take_edges, block) for index, block in enumerate(self.blocks)}
        edges = da.Array(own, f"edges-{this}", self._chunks(), domain.dtype)
        return da.map_overlap(
            tasks.as_they_are,
            edges,
            depth={1 + axis: self.deep},
            boundary={1 + axis: "periodic" if domain.periodic(axis) else "none"},
            trim=False,
            allow_rechunk=False,
            meta=np.empty((0,) * 4, domain.dtype),
            name=f"met-{this}",
        )

    def due_to_keep(self) -> bool:
        """Whether the next round should leave the blocks where `renew` finds them."""
        self.age += 1
        return self.age >= ROUNDS_OF_HISTORY

    def renew(self, records: list[Record]) -> None:
        """Begin a new history with the blocks that the last round kept. Nothing may be in flight."""
        self.age = 0
        self.blocks = [
            self.client.submit(
                *(tasks.pick_up, self.run_id, record.index, record.step),
                key=f"keep-{self.run_id}-{self.rounds}-{record.index}",
                pure=False,
                workers=[record.worker],
            )
            for record in sorted(records, key=lambda record: record.index)
        ]

    def gather(self, futures: list[Future]) -> list[Record]:
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
        position[1 + self.domain.slab_axis] = index
        return (name, *position)

    @property
    def deep(self) -> int:
        """Planes that go from block to block."""
        return max(self.domain.halo(self.plan.substeps))

    def _chunks(self) -> tuple[tuple[int, ...], ...]:
        """Of the edges: 2 x deep planes of each block, and all that its arrays have along the other axes."""
        domain = self.domain
        sides = [1 if domain.planar and axis == 0 else n + 2 for axis, n in enumerate(domain.cells)]
        chunks: list[tuple[int, ...]] = [(domain.arrays,), *((n,) for n in sides)]
        chunks[1 + domain.slab_axis] = (2 * self.deep,) * self.plan.blocks
        return tuple(chunks)


def wait_for_workers(client: Client, count: int, patience: float) -> None:
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


def go_in_memory(simulation: Simulation, client: Client, recorder: Recorder, run_id: str) -> None:
    """Go on from the recorder's checkpoint to the end. Raises LostState if the state in memory was lost."""
    timeline = simulation.timeline
    rounds = Rounds(client, simulation, run_id)
    step = recorder.reached
    due = recorder.due(0) if recorder.checkpoint is None else Due()
    recorder.take(0, due, rounds.begin(recorder.checkpoint, due))
    flying: list[tuple[int, Due, list[Future]]] = []
    last_checkpoint = time.monotonic()
    while step < timeline.last or flying:
        # A state is deleted only when the next one is whole, and a new history begins with all blocks at one step:
        # after a round with either nothing more is sent until everything has come back.
        alone = False
        while step < timeline.last and len(flying) < ROUNDS_IN_FLIGHT and not alone:
            stop = min(timeline.next_event(step), step + simulation.plan.substeps)
            state: str | None = None
            overdue = recorder.unscheduled and time.monotonic() - last_checkpoint > CHECKPOINT_SECONDS
            if timeline.checkpointed(stop) or overdue:
                state, last_checkpoint = recorder.new_state(stop), time.monotonic()
            due = recorder.due(stop, state, rounds.due_to_keep())
            flying.append((stop, due, rounds.advance(step, stop - step, due)))
            step, alone = stop, due.keep or state is not None
        while flying:
            stop, due, futures = flying.pop(0)
            records = rounds.gather(futures)
            recorder.take(stop, due, records)
            if due.keep:
                rounds.renew(records)
            if not alone:
                break
