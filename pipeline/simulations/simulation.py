"""A simulation: a case run from its beginning, or from its last checkpoint, to its end.

The state stays in the workers' memory if it fits (`rounds`), else it goes from store to store (`passes`). Either way
what is written is the same, to the bit.
"""

from __future__ import annotations

import json
import math
import time
from contextlib import closing
from dataclasses import asdict, dataclass, field, replace
from typing import Any

import numpy as np

import gridstride
from gridstride.pipeline import checks
from gridstride.pipeline.clusters import deployment
from gridstride.pipeline.errors import JobFailed, UsageError
from gridstride.pipeline.events import events, spans
from gridstride.pipeline.events.events import Events, open_events, say_waiting
from gridstride.pipeline.events.watch import watch_workers
from gridstride.pipeline.options import ClusterConfig, RunOptions
from gridstride.pipeline.reports.progress import StepProgress
from gridstride.pipeline.reports.report import reported
from gridstride.pipeline.reports.simulations import plan_facts
from gridstride.pipeline.simulations import states
from gridstride.pipeline.simulations import store as flow_store
from gridstride.pipeline.simulations.case import Case, make_case
from gridstride.pipeline.simulations.diagnostics import Diagnostics
from gridstride.pipeline.simulations.plan import FlowPlan, make_flow_plan
from gridstride.pipeline.simulations.restart import check_source
from gridstride.pipeline.simulations.schedules import Timeline, make_timeline, stable_step
from gridstride.pipeline.simulations.setup import make_setup
from gridstride.pipeline.simulations.states import Checkpoint
from gridstride.pipeline.simulations.tasks import Due, LostState, Record
from gridstride.pipeline.storage.create import check_disk
from gridstride.pipeline.storage.journal import Journal, job_hash, json_bytes
from gridstride.pipeline.storage.mirror import mirrored
from gridstride.pipeline.storage.paths import Place, durable_write, ends_if_lost, place
from gridstride.pipeline.sweep.waiting import reachable
from gridstride.workers import cluster, saving
from gridstride.workers.models.edac import measures
from gridstride.workers.models.edac.setup import Setup

# Raised when a change to the code changes the bytes of results: a run begun before cannot be resumed after.
RESULT_VERSION = 2
CHECKPOINT_SECONDS = 600.0  # between checkpoints where the case has no schedule for them
ROUNDS_IN_FLIGHT = 3
RECOVERIES = 5  # times in a row that the state may be lost without a step further


@dataclass(frozen=True)
class Prepared:
    """A simulation with its plan, ready to run."""

    case: Case
    out: Place
    options: RunOptions
    config: ClusterConfig
    size: cluster.Size
    device: str
    reason: str
    setup: Setup
    timeline: Timeline
    plan: FlowPlan

    @property
    def arrays(self) -> tuple[str, ...]:
        return measures.arrays_of(self.case.output.fields, self.case.components)

    @property
    def cells(self) -> int:
        return math.prod(self.setup.flow.cells)

    @property
    def columns(self) -> tuple[str, ...]:
        """Quantities of the diagnostics."""
        names = (*measures.quantities(self.case.components), "max_divergence", "max_speed", "cfl")
        return names + (tuple(f"force_{a}" for a in "xyz"[: self.case.components]) if self.setup.solids else ())


@dataclass
class FlowSummary:
    """What a run did: steps from first to last, seconds, seconds by stage summed over threads, recoveries."""

    out: str
    first: int
    last: int
    cells: int
    seconds: float = 0.0
    startup_seconds: float = 0.0
    stages: dict[str, float] = field(default_factory=dict)
    idle: float = 0.0
    recoveries: int = 0
    max_divergence: float = math.nan

    @property
    def cell_steps_per_second(self) -> float:
        return (self.last - self.first) * self.cells / self.seconds if self.seconds else 0.0


def prepare(
    case: Case, out: str | Place, options: RunOptions, blocks: int | None = None, from_store: bool = False
) -> Prepared:
    """Check and plan a simulation. Nothing is written and nothing is started.

    blocks: slabs in memory; from_store: whether the state is to go from store to store even if it fits the memory
    """
    out = place(out)
    config, kind, reason, size = deployment.environment(options)
    checks.check_place(out, options)
    timeline = make_timeline(case)
    setup = make_setup(case, timeline.dt)
    axis = setup.flow.slab_axis
    plan = make_flow_plan(
        setup.flow,
        case.output.chunks["zyx"[axis]],
        bool(setup.solids),
        size.workers,
        size.threads,
        size.memory,
        kind,
        size.device_memory if kind == "gpu" else None,
        None if case.run.substeps == "auto" else case.run.substeps,
        blocks,
        from_store,
    )
    if plan.in_memory:
        nz, ny, nx = (case.output.chunks.get(a, 1) for a in "zyx")
        plan = replace(plan, chunks=(nz, ny, nx))
    prepared = Prepared(case, out, options, config, size, kind, reason, setup, timeline, plan)
    if not plan.in_memory:
        from gridstride.pipeline.simulations.out_of_core import plan_passes

        prepared = replace(prepared, plan=plan_passes(prepared))
    stored = Journal(out)
    if stored.exists() and not options.overwrite:
        _check_same(stored, prepared)
    elif setup.problem is None:
        check_source(case)
    return prepared


def identity(prepared: Prepared) -> dict[str, Any]:
    """Everything that determines the bytes of the result."""
    content: dict[str, Any] = {
        "result_version": RESULT_VERSION,
        "case": prepared.case.resolved(),
        "device": prepared.device,
    }
    content["case"]["run"].pop("substeps")  # does not
    return json.loads(json_bytes(content))


def _check_same(stored: Journal, prepared: Prepared) -> None:
    record = stored.read()
    if record.get("kind") != "simulation":
        raise UsageError(f"{prepared.out} holds another job's output: give another place, or --overwrite")
    now = identity(prepared)
    if record["hash"] == job_hash(now):
        return
    before = record["identity"]
    if before["device"] != now["device"]:
        raise UsageError(
            f"{prepared.out} was begun on {before['device']} and this would go on on {now['device']}, whose last bits "
            f"may differ: use --device {before['device']}, or --overwrite"
        )
    differs = [f"{part}.{key}" if isinstance(value, dict) else part
               for part, value in now["case"].items() if before["case"].get(part) != value
               for key in (value if isinstance(value, dict) else [""])
               if not isinstance(value, dict) or before["case"].get(part, {}).get(key) != value[key]]  # fmt: skip
    raise UsageError(
        f"{prepared.out} holds another case ({', '.join(differs)} differ): give another place, or --overwrite"
    )


def resume(out: str | Place, options: RunOptions | None = None) -> Prepared:
    """The unfinished simulation at `out`, prepared to go on."""
    record = Journal(out).read()
    options = options or RunOptions()
    if options.device == "auto":
        options = RunOptions(**{**options.__dict__, "device": record["identity"]["device"]})
    return prepare(make_case(record["case"], str(out)), out, options)


def is_simulation(out: str | Place) -> bool:
    journal = Journal(out)
    return journal.exists() and journal.read().get("kind") == "simulation"


@reported
def run(prepared: Prepared, client: Any = None) -> FlowSummary:
    """Run a simulation from where it stands, on the cluster it was planned for or on that of `client`."""
    from contextlib import nullcontext

    out, options = prepared.out, prepared.options
    journal = Journal(out)
    if not options.ignore_disk and not journal.exists():
        check_disk(out.resolve(), bytes_out(prepared))
    journal.lock(say_waiting(options))
    try:
        if options.overwrite:
            journal.clear()
        with ends_if_lost(out):
            _create(prepared, journal)
        begin = time.perf_counter()
        checkpoint = states.read_checkpoint(out)
        if checkpoint is not None and checkpoint.step >= prepared.timeline.last:
            return FlowSummary(str(out), prepared.timeline.last, prepared.timeline.last, prepared.cells)
        reached, last = 0 if checkpoint is None else checkpoint.step, prepared.timeline.last
        facts = {"done": reached, "total": last, "unit": "steps", "plan": plan_facts(prepared)}
        identity = journal.read()["hash"]
        start = deployment.start(prepared.config, prepared.device, prepared.size, options.debug)
        with (
            mirrored(journal.folder, (events.FILE, spans.FILE)) as folder,
            open_events(folder, identity, options, prepared.device, reached > 0, **facts) as story,
        ):
            with (
                nullcontext(client) if client else start as client,
                watch_workers(client, story, prepared.config.io_timeout),
                reachable(client),
            ):
                started = time.perf_counter() - begin
                with ends_if_lost(out):
                    summary = Run(prepared, client, story).run(checkpoint)
            summary.startup_seconds = started
            steps = summary.last - summary.first
            story.say("finished", f"{steps} steps in {summary.seconds:.2f} s", summary=asdict(summary))
            return summary
    except KeyboardInterrupt:
        journal.check_lock()
        raise
    finally:
        journal.unlock()


def bytes_out(prepared: Prepared) -> int:
    """Bytes of all snapshots and both states, uncompressed."""
    itemsize = prepared.setup.flow.dtype.itemsize
    arrays = len(prepared.arrays) * len(prepared.timeline.snapshots) + 4 * prepared.setup.flow.fields
    return arrays * prepared.cells * itemsize


def _create(prepared: Prepared, journal: Journal) -> None:
    """Lay out the output, or what a killed run did not come to make of it."""
    case, out, timeline, flow = prepared.case, prepared.out, prepared.timeline, prepared.setup.flow
    if not journal.exists():
        what = identity(prepared)
        record: dict[str, Any] = {
            "kind": "simulation",
            "hash": job_hash(what),
            "identity": what,
            "case": case.resolved(),
        }
        if prepared.setup.problem is None:
            record["snapshot"] = check_source(case)
        journal.begin(record)
    folder = journal.folder
    (folder / "setup").mkdir(exist_ok=True)
    saving.save(prepared.setup, folder / "setup", "operator")
    durable_write(folder / "arrays.json", json_bytes(prepared.arrays))
    axes = case.axes[::-1]
    chunks = tuple(case.output.chunks[a] for a in axes)
    layout = flow_store.Layout(
        cells=dict(case.grid.cells),
        spacing=dict(case.spacing),
        origin=dict(case.grid.origin),
        fields=prepared.arrays,
        dtype=flow.dtype,
        times=timeline.snapshots * timeline.dt,
        diagnostic_steps=timeline.diagnostics,
        diagnostic_times=timeline.diagnostics * timeline.dt,
        diagnostic_columns=prepared.columns,
        chunks=chunks,
        codec=case.output.codec,
        solid=bool(prepared.setup.solids),
    )
    attributes = {
        "version": gridstride.__version__,
        "case": case.resolved(),
        "device": prepared.device,
        "dt": timeline.dt,
        "steps": timeline.last,
        "mach": case.fluid.mach,
        "sound_speed": flow.sound_speed,
    }
    flow_store.create(out, layout, {"gridstride": attributes})


class Run:
    """One process's way through a simulation."""

    def __init__(self, prepared: Prepared, client: Any, events: Events) -> None:
        self.prepared, self.client, self.events = prepared, client, events
        self.timeline, self.out = prepared.timeline, str(prepared.out.resolve())
        self.run_id = f"{time.time_ns():x}"
        self.stages: dict[str, float] = {}
        self.checkpoint: Checkpoint | None = None
        self.recoveries = 0
        self.max_divergence = math.nan

    def run(self, checkpoint: Checkpoint | None) -> FlowSummary:
        prepared, last = self.prepared, self.timeline.last
        first = 0 if checkpoint is None else checkpoint.step
        begin = time.perf_counter()
        self.checkpoint = checkpoint
        self.diagnostics = Diagnostics(prepared.out)
        if prepared.setup.solids:
            self._write_solid()
        failures, at = 0, first
        quiet = not prepared.options.watched
        progress = StepProgress(last, first, prepared.cells, self.timeline.dt, quiet, events=self.events)
        with progress as self.progress, closing(self.diagnostics):
            while True:
                self.diagnostics.truncate(-1 if self.checkpoint is None else self.checkpoint.step)
                try:
                    self._go()
                    break
                except LostState as error:
                    self.recoveries += 1
                    reached = 0 if self.checkpoint is None else self.checkpoint.step
                    failures = failures + 1 if reached == at else 1
                    at = reached
                    if failures > RECOVERIES:
                        raise JobFailed(f"the state was lost {failures} times at step {reached}: {error}") from error
                    self.events.say("state-lost", f"{error}: going back to step {reached}", "warning", step=reached)
                    self._recover()
            self.diagnostics.flush()
        seconds = time.perf_counter() - begin
        lanes = prepared.size.workers * prepared.size.threads
        return FlowSummary(
            str(prepared.out), first, last, prepared.cells, seconds,
            stages={name: round(s, 4) for name, s in self.stages.items()},
            idle=max(0.0, seconds * lanes - sum(self.stages.values())),
            recoveries=self.recoveries, max_divergence=self.max_divergence,
        )  # fmt: skip

    def _go(self) -> None:
        if self.prepared.plan.in_memory:
            self._go_in_memory()
        else:
            from gridstride.pipeline.simulations.out_of_core import go_from_store_to_store

            go_from_store_to_store(self)

    def _recover(self) -> None:
        """Wait for workers to come back; nanny processes start lost ones again."""
        from gridstride.pipeline.simulations.in_memory import wait_for_workers

        wait_for_workers(self.client, self.prepared.size.workers, self.prepared.config.patience)
        self.run_id = f"{time.time_ns():x}"

    # --- in memory ----------------------------------------------------------------------------------------------

    def _go_in_memory(self) -> None:
        from gridstride.pipeline.simulations.in_memory import Rounds

        prepared, timeline = self.prepared, self.timeline
        how = (self.run_id, prepared.device, prepared.setup.flow, prepared.plan, prepared.config.patience)
        rounds = Rounds(self.client, self.out, *how)
        step = 0 if self.checkpoint is None else self.checkpoint.step
        due = self.due(0) if self.checkpoint is None else Due()
        self.take(0, due, rounds.begin(self.checkpoint, due))
        flying: list[tuple[int, Due, list[Any]]] = []
        last_checkpoint = time.monotonic()
        while step < timeline.last or flying:
            # A state is deleted only when the next one is whole, and a new history begins with all blocks at one step:
            # after a round with either nothing more is sent until everything has come back.
            barrier = False
            while step < timeline.last and len(flying) < ROUNDS_IN_FLIGHT and not barrier:
                stop = min(timeline.next_event(step), step + prepared.plan.substeps)
                state: str | None = None
                if timeline.checkpointed(stop) or self._overdue(last_checkpoint):
                    state, last_checkpoint = self.new_state(stop), time.monotonic()
                due = self.due(stop, state, rounds.due_to_keep())
                flying.append((stop, due, rounds.advance(step, stop - step, due)))
                step, barrier = stop, due.keep or state is not None
            while flying:
                stop, due, futures = flying.pop(0)
                records = rounds.gather(futures)
                self.take(stop, due, records)
                if due.keep:
                    rounds.renew(records)
                if not barrier:
                    break

    def _overdue(self, since: float) -> bool:
        return self.prepared.case.output.checkpoints is None and time.monotonic() - since > CHECKPOINT_SECONDS

    # --- in both ways -------------------------------------------------------------------------------------------

    def new_state(self, step: int) -> str:
        """Make room for the state after a step; its name."""
        prepared = self.prepared
        chunks, codec = prepared.plan.chunks, prepared.case.output.codec
        return states.create_state(self.out, prepared.setup.flow, step, chunks, codec, self.checkpoint)

    def due(self, step: int, state: str | None = None, keep: bool = False) -> Due:
        return Due(self.timeline.snapshot(step), self.timeline.sampled(step), state, keep)

    def take(self, step: int, due: Due, records: list[Record]) -> None:
        """Put together what the blocks say after a round. Raises JobFailed if the flow blew up."""
        for record in records:
            for name, seconds in record.stages.items():
                self.stages[name] = self.stages.get(name, 0.0) + seconds
            self.events.spans.take(record.worker, record.spans)
        self.stop_if_blown(step, records)
        if due.sample:
            self.diagnostics.append(self._row(step, records))
        if due.state is not None:
            self.diagnostics.flush()
            self.checkpoint = states.switch(self.out, Checkpoint(due.state, step), self.checkpoint)
            self.events.say("checkpoint", f"checkpoint at step {step}", step=step)
        self.progress.report(step)

    def take_block(self, record: Any) -> None:
        """What a block of a pass says of its worker."""
        self.events.spans.take(record.worker, record.spans)

    def _row(self, step: int, records: list[Record]) -> dict[str, float]:
        """One sample: sums over planes in their order, so that the cut changes no bit."""
        prepared, flow = self.prepared, self.prepared.setup.flow
        parts = sorted((r.sums for r in records if r.sums is not None), key=lambda s: s.first)
        totals = np.concatenate([s.values for s in parts]).sum(axis=0) / prepared.cells
        row = {"step": step, **dict(zip(measures.quantities(flow.components), totals.tolist(), strict=True))}
        for name in parts[0].largest:
            row[name] = max(s.largest[name] for s in parts)
        self.max_divergence = (
            row["max_divergence"]
            if math.isnan(self.max_divergence)
            else max(self.max_divergence, row["max_divergence"])
        )
        if prepared.setup.solids:
            taken = [r.taken for r in sorted(records, key=lambda r: r.index) if r.taken is not None and r.taken.size]
            volume = math.prod(flow.spacing)
            forces = (
                np.concatenate(taken).sum(axis=0) * (volume / flow.dt) if taken else np.full(flow.components, np.nan)
            )
            row |= {f"force_{a}": float(f) for a, f in zip("xyz", forces, strict=False)}
        return row

    def stop_if_blown(self, step: int, records: list[Record]) -> None:
        blown = sorted((r for r in records if r.blown), key=lambda r: r.step)
        if blown:
            raise JobFailed(self.blown_up(blown[0].blown or ""))

    def blown_up(self, where: str) -> str:
        case, flow = self.prepared.case, self.prepared.setup.flow
        share = flow.dt / stable_step(case)
        good = "from the beginning" if self.checkpoint is None else f"from step {self.checkpoint.step}"
        peclet = case.fluid.speed * max(flow.spacing[-case.components :]) / flow.viscosity
        likely = (
            f"dt is {share:.0%} of the stable one for speeds up to fluid.speed {case.fluid.speed:g}: "
            "the flow became faster than that, so raise fluid.speed"
        )
        if peclet > 20:
            likely += f", or cells are too coarse for this viscosity (speed x cell / viscosity is {peclet:.0f})"
        return f"the flow blew up at {where} (speed of sound {flow.sound_speed:g}); {likely}; good {good}"

    def _write_solid(self) -> None:
        """The solid share of each cell, for pictures."""
        from gridstride.pipeline.simulations.solid_share import write_solid

        write_solid(self.prepared.setup, self.out, self.prepared.plan.edges)
