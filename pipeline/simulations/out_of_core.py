"""A simulation from store to store, for grids that no memory holds: each pass is a sweep of some steps.

The state goes from one array to the next. A pass has a journal like any job's, so it goes on after a kill where it
stood; when it is whole, what is due is read from the new state, and the checkpoint is switched.
"""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from math import ceil, prod
from typing import TYPE_CHECKING

from gridstride.pipeline.errors import JobFailed, UsageError
from gridstride.pipeline.planning.batches import STORE_BYTE_SECONDS, TASK_SECONDS
from gridstride.pipeline.planning.plan import Plan, make_plan
from gridstride.pipeline.planning.request import CLIENT_BYTES, WORKER_BYTES, Request
from gridstride.pipeline.simulations import states, tasks
from gridstride.pipeline.simulations.plan import CELL_SECONDS, FlowPlan
from gridstride.pipeline.simulations.states import Checkpoint
from gridstride.pipeline.simulations.tasks import Due, Record
from gridstride.pipeline.storage.describe import describe
from gridstride.pipeline.storage.journal import Journal, job_hash, json_bytes
from gridstride.pipeline.sweep.block_task import Work, write_work
from gridstride.pipeline.sweep.sweep import Sweep
from gridstride.pipeline.sweep.waiting import Waiting
from gridstride.workers.models.edac.block import FlowBlock
from gridstride.workers.models.edac.flow import Flow
from gridstride.workers.models.edac.kinds import SPARE
from gridstride.workers.models.steps import Steps
from gridstride.workers.operators.base import Grid

if TYPE_CHECKING:
    from gridstride.pipeline.simulations.simulation import Prepared, Run


STEPS = (2, 4, 8, 16)
PLANES = 8  # of a chunk of the state along the slab axis, in three dimensions; in two, rows
ROWS = 64


def plan_passes(prepared: Prepared) -> FlowPlan:
    """How the state is to be chunked, and how many steps a pass makes: what costs least of what fits.

    Chunks span whole planes if memory allows, so that blocks have halos on two sides only. States that are there keep
    their chunks. Raises UsageError where no block fits the memory.
    """
    flow, case = prepared.setup.flow, prepared.case
    _, ny, nx = flow.cells
    checkpoint = None if prepared.options.overwrite else states.read_checkpoint(prepared.out)
    if checkpoint is not None:
        options = [describe(states.state_path(prepared.out, checkpoint.state)).chunks[1:]]
    elif flow.planar:
        options = [(1, min(ROWS, ny), nx), (1, min(ROWS, ny), min(ROWS, nx))]
    else:
        options = [(PLANES, rows, nx) for rows in dict.fromkeys(min(ny, n) for n in (ny, 256, 128, 64, 32))]
    wanted = STEPS if case.run.substeps == "auto" else (case.run.substeps,)
    best: tuple[float, FlowPlan] | None = None
    refused = UsageError("")
    for chunks in options:
        for steps in wanted:
            try:
                plan = plan_pass(prepared, steps, chunks)
            except UsageError as error:
                refused = error
                continue
            found = cost_of_a_step(plan, steps, chunks, flow)
            if best is None or found < best[0]:
                edges = prepared.plan.edges
                best = found, FlowPlan(False, edges, steps, plan.memory_total, chunks)  # type: ignore[arg-type]
    if best is None:
        raise refused
    return best[1]


def cost_of_a_step(plan: Plan, steps: int, chunks: Sequence[int], flow: Flow) -> float:
    """Estimated seconds of one thread for a step of one cell, in passes of `steps` steps."""
    read = taken = 1.0
    for b, n, (before, after), chunk in zip(plan.block[1:], plan.shape[1:], plan.halo.depth[1:], chunks, strict=True):
        if b < n:
            read *= (b + chunk * (ceil(before / chunk) + ceil(after / chunk))) / b
            taken *= (b + (before + after) / 2) / b  # what each step computes, on average
    state = 2 * flow.fields * flow.dtype.itemsize * STORE_BYTE_SECONDS * (1 + read)
    dask = plan.tasks_per_block * TASK_SECONDS / prod(plan.block[1:])
    return (state + dask) / steps + taken * CELL_SECONDS[flow.components]


def plan_pass(prepared: Prepared, steps: int, chunks: Sequence[int], first: int = 0) -> Plan:
    """Blocks of one pass over states of such chunks."""
    operator = Steps(prepared.setup, first, steps)
    flow, size = prepared.setup.flow, prepared.size
    shape = (2 * flow.fields, *flow.cells)
    request = Request(
        operator=operator,
        grid=Grid.of(shape, flow.dtype),
        write_unit=(shape[0], *chunks),
        read_unit=(shape[0], *chunks),
        workers=size.workers,
        threads=size.threads,
        memory=size.memory,
        device_memory=size.device_memory if prepared.device == "gpu" else None,
        block=None if prepared.options.block is None else (shape[0], *prepared.options.block),
    )
    return make_plan(request)


def go_from_store_to_store(run: Run) -> None:
    """Go on from the run's checkpoint to the end."""
    prepared, timeline = run.prepared, run.timeline
    if run.checkpoint is None:
        due = run.due(0, run.new_state(0))
        run.take(0, due, _each_slab(run, 0, due))
    while run.checkpoint is not None and run.checkpoint.step < timeline.last:
        first = run.checkpoint.step
        event = timeline.next_event(first)
        steps = min(event - first, prepared.plan.substeps)
        if prepared.setup.solids and timeline.sampled(event) and 1 < event - first == steps:
            steps -= 1  # the last step before a sample is a pass by itself: see `observe_block`
        due = run.due(first + steps, run.new_state(first + steps))
        _sweep(run, run.checkpoint, steps, states.state_path(run.out, str(due.state)))
        # A checkpoint says that all that was due up to it is written.
        observed = due.snapshot is not None or due.sample
        run.take(first + steps, due, _each_slab(run, first + steps, due) if observed else [])


def _sweep(run: Run, checkpoint: Checkpoint, steps: int, target: str) -> None:
    """Advance the state of a checkpoint into the one at `target`."""
    prepared = run.prepared
    operator = Steps(prepared.setup, checkpoint.step, steps)
    plan = plan_pass(prepared, steps, prepared.plan.chunks, checkpoint.step)
    source = states.state_path(run.out, checkpoint.state)
    journal = Journal(target)
    what = {"first": checkpoint.step, "steps": steps, "block": plan.block}
    what = json.loads(json_bytes({"hash": job_hash(what), **what}))
    if journal.exists() and journal.read() != what:
        journal.forget()
    journal.make_folder()
    journal.begin(what)
    run_id = f"{run.run_id}{time.time_ns():x}"
    grid = Grid.of(plan.in_shape, prepared.setup.flow.dtype)
    work = Work(source, target, "", target, what["hash"], prepared.device, plan, operator, grid)
    write_work(work)
    summary = Sweep(run.client, work, run_id, run.take_block, run.events, prepared.config.patience).run()
    for name, seconds in summary.stages.items():
        run.stages[name] = run.stages.get(name, 0.0) + seconds
    if summary.failed:
        reasons = [reason for reasons in summary.failed.values() for reason in reasons]
        blown = [r.partition("FloatingPointError: ")[2] for r in reasons if "FloatingPointError" in r]
        if blown:
            raise JobFailed(run.blown_up(min(blown).partition(" (")[0]))
        raise JobFailed(f"steps {checkpoint.step} to {checkpoint.step + steps}: {reasons[0]}")


def _each_slab(run: Run, step: int, due: Due) -> list[Record]:
    """Do something to every slab of the grid, some at a time: begin it, or look at it after `step`."""
    prepared, flow = run.prepared, run.prepared.setup.flow
    axis = flow.slab_axis
    unit = prepared.case.output.chunks["zyx"[axis]]
    slabs = _slabs(flow.cells[axis], unit)
    lanes = prepared.size.workers * prepared.size.threads
    if prepared.size.memory is not None:
        thickest = list(flow.cells)
        thickest[axis] = max(b - a for a, b in slabs)
        room = prepared.size.memory - CLIENT_BYTES - prepared.size.workers * WORKER_BYTES
        lanes = max(1, min(lanes, room // FlowBlock.bytes(flow, tuple(thickest), 0)))  # type: ignore[arg-type]
    args = (run.out, run.run_id, prepared.device)
    records: list[Record] = []
    flying = 0
    waiting = Waiting(run.client, prepared.config.patience)
    for index, (a, b) in enumerate(slabs):
        start, stop = [0, 0, 0], list(flow.cells)
        start[axis], stop[axis] = a, b
        place = (index, tuple(start), tuple(stop))
        if run.checkpoint is None:
            future = run.client.submit(tasks.start_block, *args, *place, due, pure=False)
        else:
            seen = (run.checkpoint.state, due.state, step, Due(due.snapshot, due.sample))
            future = run.client.submit(tasks.observe_block, *args, *place, *seen, pure=False)
        waiting.add([future])
        flying += 1
        if flying >= lanes:
            records.append(waiting.result(waiting.next()))
            flying -= 1
    records += [waiting.result(waiting.next()) for _ in range(flying)]
    return sorted(records, key=lambda record: record.index)


def _slabs(cells: int, unit: int) -> list[tuple[int, int]]:
    """Slabs of whole write units that have at least the planes a halo takes."""
    least = max(unit, 2 * SPARE + 1)
    edges = list(range(0, cells, -(-least // unit) * unit))
    return list(zip(edges, [*edges[1:], cells], strict=True))
