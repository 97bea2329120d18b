"""Running a simulation: from its beginning, or from its last checkpoint, to its end.

The state stays in the workers' memory if it fits (`in_memory`), else it goes from store to store (`out_of_core`).
Either way what is written is the same, to the bit.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, closing, contextmanager, nullcontext
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

import gridstride
from gridstride.pipeline.clusters import deployment
from gridstride.pipeline.errors import JobFailed
from gridstride.pipeline.events import events, spans
from gridstride.pipeline.events.events import Events, open_events, say_waiting
from gridstride.pipeline.events.watch import watch_workers
from gridstride.pipeline.simulations import states
from gridstride.pipeline.simulations import store as flow_store
from gridstride.pipeline.simulations.in_memory import go_in_memory, wait_for_workers
from gridstride.pipeline.simulations.job import Simulation, identity, prepare, resume
from gridstride.pipeline.simulations.out_of_core import go_out_of_core
from gridstride.pipeline.simulations.plan import slabs
from gridstride.pipeline.simulations.recorder import Recorder
from gridstride.pipeline.simulations.schedules import Timeline
from gridstride.pipeline.simulations.states import Checkpoint
from gridstride.pipeline.simulations.tasks import LostState
from gridstride.pipeline.storage import paths
from gridstride.pipeline.storage.create import check_disk
from gridstride.pipeline.storage.journal import Journal, job_hash, json_bytes
from gridstride.pipeline.storage.mirror import mirrored
from gridstride.pipeline.storage.paths import durable_write
from gridstride.pipeline.storage.regions import open_regions
from gridstride.pipeline.sweep.waiting import reachable
from gridstride.workers import saving

if TYPE_CHECKING:
    from distributed import Client

__all__ = ["FlowSummary", "Reporting", "Simulation", "prepare", "resume", "run"]

RECOVERIES = 5  # times in a row that the state may be lost without a step further

Progress = Callable[[Simulation, int, Events], AbstractContextManager[Callable[[int], None]]]


@contextmanager
def no_progress(simulation: Simulation, first: int, events: Events) -> Iterator[Callable[[int], None]]:
    yield lambda step: None


@dataclass(frozen=True)
class Reporting:
    """How a run is shown. facts: the plan in words, for the log of events; progress: called with the first step; what
    it gives is told each step that is reached."""

    facts: Mapping[str, str] = field(default_factory=dict)
    progress: Progress = no_progress


@dataclass
class FlowSummary:
    """What a run did: steps from first to last, seconds, seconds by stage summed over threads, recoveries; largest: of
    the diagnostics' largest values.

    warnings: what is likely to be wrong with the case or the result; findings: what the diagnostics say of the result
    """

    out: str
    first: int
    last: int
    cells: int
    seconds: float = 0.0
    startup_seconds: float = 0.0
    stages: dict[str, float] = field(default_factory=dict)
    idle: float = 0.0
    recoveries: int = 0
    largest: dict[str, float] = field(default_factory=dict)
    warnings: list[str] = field(default_factory=list)
    findings: list[str] = field(default_factory=list)

    @property
    def cell_steps_per_second(self) -> float:
        return (self.last - self.first) * self.cells / self.seconds if self.seconds else 0.0

    @property
    def max_divergence(self) -> float:
        """Of a flow; NaN if there is none."""
        return self.largest.get("max_divergence", math.nan)


def run(simulation: Simulation, client: Client | None = None, reporting: Reporting | None = None) -> FlowSummary:
    """Run a simulation from where it stands, on the cluster it was planned for or on that of `client`."""
    reporting = reporting or Reporting()
    out, options = simulation.out, simulation.options
    journal = Journal(out)
    if not options.ignore_disk and (simulation.longer or not journal.exists()):
        check_disk(out.resolve(), simulation.bytes_out)
    journal.lock(say_waiting(options))
    try:
        if options.overwrite:
            journal.clear()
        with paths.ends_if_lost(out):
            _create(simulation, journal)
        checkpoint, last = states.read_checkpoint(out), simulation.timeline.last
        if checkpoint is not None and checkpoint.step >= last:
            return FlowSummary(str(out), last, last, simulation.cells, warnings=simulation.warnings)
        return _run(simulation, journal, checkpoint, client, reporting)
    except KeyboardInterrupt:
        journal.check_lock()
        raise
    finally:
        journal.unlock()


def _run(
    simulation: Simulation, journal: Journal, checkpoint: Checkpoint | None, client: Client | None, reporting: Reporting
) -> FlowSummary:
    """Run with the journal locked and the output laid out: start the cluster, and say what happens."""
    begin = time.perf_counter()
    options, device = simulation.options, simulation.device
    reached, last = 0 if checkpoint is None else checkpoint.step, simulation.timeline.last
    facts = {"done": reached, "total": last, "unit": "steps", "plan": dict(reporting.facts)}
    start = deployment.start(simulation.config, device, simulation.size, options.debug)
    with (
        journal.must_stay(),
        mirrored(journal.folder, (events.FILE, spans.FILE)) as folder,
        open_events(folder, journal.read()["hash"], options, device, reached > 0, **facts) as story,
        nullcontext(client) if client else start as client,
    ):
        with watch_workers(client, story, simulation.config.io_timeout), reachable(client):
            started = time.perf_counter() - begin
            for line in simulation.warnings:
                story.say("case-warning", line, "warning")
            with paths.ends_if_lost(simulation.out):
                summary = _go(simulation, client, checkpoint, story, reporting.progress)
            for line in summary.warnings[len(simulation.warnings) :]:
                story.say("result-warning", line, "warning")
        summary.startup_seconds = started
        steps = summary.last - summary.first
        told = asdict(summary) | {"max_divergence": summary.max_divergence}
        story.say("finished", f"{steps} steps in {summary.seconds:.2f} s", summary=told)
        return summary


def _go(
    simulation: Simulation, client: Any, checkpoint: Checkpoint | None, events: Events, progress: Progress
) -> FlowSummary:
    """Go to the end, and back to the last checkpoint whenever the state is lost."""
    begin = time.perf_counter()
    first = 0 if checkpoint is None else checkpoint.step
    _write_statics(simulation)
    recoveries, failures, at = 0, 0, first
    go = go_in_memory if simulation.plan.in_memory else go_out_of_core
    with progress(simulation, first, events) as report:
        recorder = Recorder(simulation, checkpoint, events, report)
        with closing(recorder.diagnostics):
            while True:
                recorder.begin()
                try:
                    go(simulation, client, recorder, f"{time.time_ns():x}")
                    break
                except LostState as error:
                    recoveries += 1
                    failures = failures + 1 if recorder.reached == at else 1
                    at = recorder.reached
                    if failures > RECOVERIES:
                        raise JobFailed(f"the state was lost {failures} times at step {at}: {error}") from error
                    events.say("state-lost", f"{error}: going back to step {at}", "warning", step=at)
                    wait_for_workers(client, simulation.size.workers, simulation.config.patience)
            recorder.diagnostics.flush()
            conclusion = simulation.case.conclude(recorder.diagnostics.read(), simulation.timeline.dt)
    seconds = time.perf_counter() - begin
    lanes = simulation.size.workers * simulation.size.threads
    return FlowSummary(
        str(simulation.out), first, simulation.timeline.last, simulation.cells, seconds,
        stages={name: round(spent, 4) for name, spent in recorder.stages.items()},
        idle=max(0.0, seconds * lanes - sum(recorder.stages.values())),
        recoveries=recoveries, largest=recorder.largest, findings=list(conclusion.findings),
        warnings=[*simulation.warnings, *conclusion.warnings],
    )  # fmt: skip


def _create(simulation: Simulation, journal: Journal) -> None:
    """Lay out the output, or what a killed run did not come to make of it."""
    case = simulation.case
    if not journal.exists():
        what = identity(simulation)
        record: dict[str, Any] = {
            "kind": "simulation",
            "hash": job_hash(what),
            "identity": what,
            "case": case.resolved(),
            "timeline": simulation.timeline.plain(),
        }
        if simulation.begins_with is not None:
            record["origin"] = asdict(simulation.begins_with)
        journal.begin(record)
    elif simulation.longer:
        journal.begin({**journal.read(), "case": case.resolved(), "timeline": simulation.timeline.plain()})
    folder = journal.folder
    saving.save(simulation.setup, folder, "setup", durable_write)
    durable_write(folder / "arrays.json", json_bytes(simulation.arrays))
    attributes = {
        "version": gridstride.__version__,
        "case": case.resolved(),
        "device": simulation.device,
        "dt": simulation.timeline.dt,
        "steps": simulation.timeline.last,
        **case.attributes(simulation.setup),
    }
    shorter = [_layout(simulation, simulation.timeline.cut(end)) for end in simulation.timeline.ends]
    flow_store.create(simulation.out, _layout(simulation, simulation.timeline), {"gridstride": attributes}, shorter)


def _layout(simulation: Simulation, timeline: Timeline) -> flow_store.Layout:
    case = simulation.case
    return flow_store.Layout(
        cells=dict(case.grid.cells),
        spacing=dict(case.spacing),
        origin=dict(case.grid.origin),
        fields=simulation.arrays,
        dtype=case.dtype,
        times=timeline.times(timeline.snapshots),
        diagnostic_steps=timeline.diagnostics,
        diagnostic_times=timeline.times(timeline.diagnostics),
        diagnostic_columns=case.columns(),
        chunks=tuple(case.output.chunks[a] for a in case.axes[::-1]),
        codec=case.output.codec,
        statics=case.statics(),
        long_names=case.long_names,
    )


def _write_statics(simulation: Simulation) -> None:
    """Write the arrays that do not change with time, slab by slab."""
    setup, out, unit = simulation.setup, simulation.out, simulation.write_unit
    skip = 1 if setup.domain.planar else 0
    edges = [*range(0, setup.domain.cells[setup.domain.slab_axis], unit), setup.domain.cells[setup.domain.slab_axis]]
    for name in simulation.case.statics():
        target = open_regions(flow_store.field_path(out, name))
        for start, stop in slabs(setup.domain, edges):
            values = setup.static(name, start, stop)
            target.write(start[skip:], values[0] if skip else values)
