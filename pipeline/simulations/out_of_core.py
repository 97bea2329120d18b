"""A simulation from store to store, for grids that no memory holds: each pass is a sweep of some steps.

The state goes from one array to the next. A pass has a journal like any job's, so it goes on after a kill where it
stood; when it is whole, what is due is read from the new state, and the checkpoint is switched.
"""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING

from gridstride.pipeline.errors import JobFailed
from gridstride.pipeline.planning.request import CLIENT_BYTES, WORKER_BYTES
from gridstride.pipeline.simulations import states, tasks
from gridstride.pipeline.simulations.job import Simulation
from gridstride.pipeline.simulations.pass_plan import plan_pass
from gridstride.pipeline.simulations.plan import slabs
from gridstride.pipeline.simulations.recorder import Recorder
from gridstride.pipeline.simulations.states import Checkpoint
from gridstride.pipeline.simulations.tasks import Due, Record, StorePath
from gridstride.pipeline.storage.journal import Journal, job_hash, json_bytes
from gridstride.pipeline.sweep.block_task import Work, write_work
from gridstride.pipeline.sweep.sweep import Sweep
from gridstride.pipeline.sweep.waiting import Waiting
from gridstride.workers.models.block import Block
from gridstride.workers.models.steps import Steps
from gridstride.workers.operators.base import Grid

if TYPE_CHECKING:
    from distributed import Client


def go_out_of_core(simulation: Simulation, client: Client, recorder: Recorder, run_id: str) -> None:
    """Go on from the recorder's checkpoint to the end."""
    passes = Passes(simulation, client, recorder, run_id)
    timeline = simulation.timeline
    if recorder.checkpoint is None:
        due = recorder.due(0, recorder.new_state(0))
        recorder.take(0, due, passes.each_slab(0, due))
    while recorder.checkpoint is not None and recorder.reached < timeline.last:
        first = recorder.reached
        event = timeline.next_event(first)
        steps = min(event - first, simulation.plan.substeps)
        if simulation.setup.gathers and timeline.sampled(event) and 1 < event - first == steps:
            steps -= 1  # the last step before a sample is a pass by itself: see `observe_block`
        due = recorder.due(first + steps, recorder.new_state(first + steps))
        passes.sweep(recorder.checkpoint, steps, states.state_path(recorder.out, str(due.state)))
        # A checkpoint says that all that was due up to it is written.
        observed = due.snapshot is not None or due.sample
        recorder.take(first + steps, due, passes.each_slab(first + steps, due) if observed else [])


class Passes:
    """Passes over the state of a simulation. run_id: of this history of the state"""

    def __init__(self, simulation: Simulation, client: Client, recorder: Recorder, run_id: str) -> None:
        self.simulation, self.client, self.recorder, self.run_id = simulation, client, recorder, run_id

    def sweep(self, checkpoint: Checkpoint, steps: int, target: str) -> None:
        """Advance the state of a checkpoint into the one at `target`. Raises JobFailed."""
        simulation, recorder = self.simulation, self.recorder
        operator = Steps(simulation.setup, checkpoint.step, steps)
        size, device = simulation.size, simulation.device
        plan = plan_pass(operator, size, device, simulation.options.block, simulation.plan.chunks)
        source = states.state_path(recorder.out, checkpoint.state)
        journal = Journal(target)
        what = {"first": checkpoint.step, "steps": steps, "block": plan.block}
        what = json.loads(json_bytes({"hash": job_hash(what), **what}))
        if journal.exists() and journal.read() != what:
            journal.forget()
        journal.make_folder()
        journal.begin(what)
        grid = Grid.of(plan.in_shape, simulation.setup.domain.dtype)
        work = Work(source, target, "", target, what["hash"], device, plan, operator, grid)
        write_work(work)
        run_id = f"{self.run_id}{time.time_ns():x}"
        patience = simulation.config.patience
        summary = Sweep(self.client, work, run_id, recorder.take_block, recorder.events, patience).run()
        recorder.add_stages(summary.stages)
        if summary.failed:
            reasons = [reason for reasons in summary.failed.values() for reason in reasons]
            blown = [r.partition("FloatingPointError: ")[2] for r in reasons if "FloatingPointError" in r]
            if blown:
                recorder.stop(min(blown).partition(" (")[0])
            raise JobFailed(f"steps {checkpoint.step} to {checkpoint.step + steps}: {reasons[0]}")

    def each_slab(self, step: int, due: Due) -> list[Record]:
        """Do something to every slab of the grid, some at a time: begin it, or look at it after `step`."""
        recorder, client = self.recorder, self.client
        domain = self.simulation.setup.domain
        unit = self.simulation.write_unit
        places = slabs(domain, _edges(domain.cells[domain.slab_axis], unit, sum(domain.extra)))
        lanes = self._lanes(max(b[domain.slab_axis] - a[domain.slab_axis] for a, b in places))
        records: list[Record] = []
        flying = 0
        waiting = Waiting(client, self.simulation.config.patience)
        for index, (start, stop) in enumerate(places):
            at = StorePath(recorder.out, self.run_id, self.simulation.device, index, start, stop)
            if recorder.checkpoint is None:
                future = client.submit(tasks.start_block, at, due, pure=False)
            else:
                seen = (recorder.checkpoint.state, due.state, step, Due(due.snapshot, due.sample))
                future = client.submit(tasks.observe_block, at, *seen, pure=False)
            waiting.add([future])
            flying += 1
            if flying >= lanes:
                records.append(waiting.result(waiting.next()))
                flying -= 1
        records += [waiting.result(waiting.next()) for _ in range(flying)]
        return sorted(records, key=lambda record: record.index)

    def _lanes(self, thickest: int) -> int:
        """Slabs that are looked at at a time."""
        domain, size = self.simulation.setup.domain, self.simulation.size
        lanes = size.workers * size.threads
        if size.memory is None:
            return lanes
        extent = list(domain.cells)
        extent[domain.slab_axis] = thickest
        room = size.memory - CLIENT_BYTES - size.workers * WORKER_BYTES
        return max(1, min(lanes, room // Block.bytes(domain, tuple(extent), 0)))  # type: ignore[arg-type]


def _edges(cells: int, unit: int, least: int) -> list[int]:
    """Edges of slabs of whole write units that have at least the planes that are right beside a block."""
    least = max(unit, least)
    return [*range(0, cells, -(-least // unit) * unit), cells]
