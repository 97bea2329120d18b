"""A simulation, checked and planned: a case, where it is written, and how. Nothing is written or started here."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass, replace
from typing import Any

from gridstride.pipeline import checks
from gridstride.pipeline.clusters import deployment
from gridstride.pipeline.errors import UsageError
from gridstride.pipeline.options import ClusterConfig, RunOptions
from gridstride.pipeline.simulations import states
from gridstride.pipeline.simulations.case import Case, make_case
from gridstride.pipeline.simulations.inputs import check_inputs, input_notes, input_versions
from gridstride.pipeline.simulations.pass_plan import plan_passes
from gridstride.pipeline.simulations.plan import FlowPlan, Wishes, make_flow_plan
from gridstride.pipeline.simulations.restart import Origin, find_origin, origin_of, origin_version, reader
from gridstride.pipeline.simulations.schedules import Timeline, make_timeline, schedule_warnings
from gridstride.pipeline.storage.describe import describe
from gridstride.pipeline.storage.journal import Journal, job_hash, json_bytes
from gridstride.pipeline.storage.paths import StorePath, store_path
from gridstride.workers.cluster import Size
from gridstride.workers.models import registry
from gridstride.workers.models.base import Setup

# Raised when a change to the code changes the bytes of results: a run begun before cannot be resumed after.
# 3: EDAC's pressure is carried as a flux, a force between closed ends is held by pressure, inflows mind solids.
# 4: times are rounded once, and the end falls on a step where it can.
# 5: pressure rests where walls or bodies do, sponges damp velocity, a stream rises all at once.
RESULT_VERSION = 5


@dataclass(frozen=True)
class Simulation:
    """A simulation with its plan, ready to run.

    reason: why on this device
    begins_with: the state of another simulation that it begins with, if it does
    notes: what is said of its inputs, a line each
    longer: whether it goes on beyond the end of the run that is there
    """

    case: Case
    out: StorePath
    options: RunOptions
    config: ClusterConfig
    size: Size
    device: str
    reason: str
    setup: Setup
    timeline: Timeline
    plan: FlowPlan
    begins_with: Origin | None = None
    notes: tuple[str, ...] = ()
    longer: bool = False

    @property
    def arrays(self) -> tuple[str, ...]:
        return self.case.arrays()

    @property
    def cells(self) -> int:
        return math.prod(self.setup.domain.cells)

    @property
    def warnings(self) -> list[str]:
        """What is likely to be wrong with the case, a line each."""
        return [*self.notes, *self.case.warnings(), *schedule_warnings(self.case, self.timeline)]

    @property
    def write_unit(self) -> int:
        """Planes along the slab axis that are written together."""
        return self.case.ordered(self.case.output.chunks, 1)[self.setup.domain.slab_axis]

    @property
    def bytes_out(self) -> int:
        """Bytes of all snapshots that are not there yet and of two states, uncompressed."""
        domain, timeline = self.setup.domain, self.timeline
        there = timeline.ends[-1] if self.longer else -1
        arrays = len(self.arrays) * int((timeline.snapshots > there).sum()) + 2 * domain.arrays
        return arrays * self.cells * domain.dtype.itemsize


def prepare(
    case: Case, out: str | StorePath, options: RunOptions, blocks: int | None = None, from_store: bool = False
) -> Simulation:
    """Check and plan a simulation.

    blocks: slabs in memory; from_store: whether the state is to go from store to store even if it fits the memory
    """
    out = store_path(out)
    config, device, reason, size = deployment.environment(options)
    checks.check_place(out, options)
    stored = None if options.overwrite or not Journal(out).exists() else Journal(out).read()
    timeline = make_timeline(case, None if stored is None else stored.get("timeline"))
    try:
        setup = case.setup(timeline.dt)
    except ValueError as error:
        raise UsageError(f"{case.name}: {error}") from None
    chunks = case.ordered(case.output.chunks, 1)
    wishes = Wishes(None if case.run.substeps == "auto" else case.run.substeps, blocks, from_store)
    plan = make_flow_plan(setup, chunks[setup.domain.slab_axis], size, device, wishes)
    plan = replace(plan, chunks=chunks)
    notes = tuple(input_notes(case, options.missing))
    simulation = Simulation(case, out, options, config, size, device, reason, setup, timeline, plan, notes=notes)
    if not plan.in_memory:
        checkpoint = None if options.overwrite else states.read_checkpoint(out)
        before = None if checkpoint is None else describe(states.state_path(out, checkpoint.state)).chunks[1:]
        passes = plan_passes(setup, size, device, options.block, wishes.substeps, before)
        simulation = replace(simulation, plan=replace(passes, edges=plan.edges))
    if stored is not None:
        return _as_begun(stored, simulation)
    source = case.snapshot()
    if source is None:
        return simulation
    origin = find_origin(case, source)
    if not origin.exact:
        origin = replace(origin, note=origin.note + setup.interpolation_note(reader(origin, setup.domain)))
    return replace(simulation, begins_with=origin)


def resume(out: str | StorePath, options: RunOptions | None = None, until: float | None = None) -> Simulation:
    """The simulation at `out`, prepared to go on. until: a later end than it was begun with"""
    record = Journal(out).read()
    if until is not None:
        record["case"]["run"]["until"] = until
    options = options or RunOptions()
    if options.device == "auto":
        options = options.but(device=record["identity"]["device"])
    case = make_case(record["case"], str(out))
    check_inputs(case, str(out))
    return prepare(case, out, options)


def identity(simulation: Simulation) -> dict[str, Any]:
    """Everything that determines the bytes of the result."""
    case = simulation.case.resolved()
    del case["run"]["substeps"], case["run"]["until"]  # do not
    if case["model"] == registry.DEFAULT:
        del case["model"]  # as in runs that were begun when there was no other
    content: dict[str, Any] = {"result_version": RESULT_VERSION, "case": case, "device": simulation.device}
    inputs: dict[str, str | None] = dict(input_versions(simulation.case))
    if simulation.begins_with is not None:
        inputs["initial.path"] = origin_version(simulation.begins_with)
    if inputs:
        content["inputs"] = inputs
    return json.loads(json_bytes(content))


def _as_begun(record: dict[str, Any], simulation: Simulation) -> Simulation:
    """The simulation, if it is the one of a journal's record, or makes it longer. Raises UsageError if it is not."""
    if record.get("kind") != "simulation":
        raise UsageError(f"{simulation.out} holds another job's output: give another place, or --overwrite")
    simulation = replace(simulation, begins_with=origin_of(record))
    before, now = record["identity"], identity(simulation)
    if "inputs" not in before:
        now.pop("inputs", None)  # begun by a version that did not look at them
    if now.get("inputs", {}).get("initial.path", "") is None and states.read_checkpoint(simulation.out) is not None:
        # The store that it began with is gone, and no longer needed.
        now["inputs"]["initial.path"] = before.get("inputs", {}).get("initial.path")
    if job_hash(before) == job_hash(now):
        ends, last = record["timeline"]["last"], simulation.timeline.last
        if last < ends:
            raise UsageError(
                f"{simulation.out} is a run to t = {ends * simulation.timeline.dt:g}: "
                f"run.until {simulation.case.run.until:g} is before that; give a later time, or --overwrite"
            )
        return replace(simulation, longer=last > ends)
    again = f"{simulation.out} was begun by another version of gridstride: use --overwrite to start again"
    if before.get("result_version") != now["result_version"]:
        raise UsageError(again)
    if before["device"] != now["device"]:
        raise UsageError(
            f"{simulation.out} was begun on {before['device']} and this would go on on {now['device']}, whose last "
            f"bits may differ: use --device {before['device']}, or --overwrite"
        )
    differs = _differences(before["case"], now["case"])
    if differs:
        raise UsageError(
            f"{simulation.out} holds another case ({', '.join(differs)} differ): give another place, or --overwrite"
        )
    inputs = [name for name, version in now.get("inputs", {}).items() if before.get("inputs", {}).get(name) != version]
    if inputs:
        raise UsageError(
            f"what {', '.join(inputs)} names has changed since {simulation.out} was begun: "
            "use --overwrite to start again"
        )
    raise UsageError(again)


def _differences(before: dict[str, Any], now: dict[str, Any]) -> list[str]:
    """Fields of a case that are not what they were."""
    found = []
    for part in dict.fromkeys([*now, *before]):
        old, new = before.get(part), now.get(part)
        if isinstance(old, dict) and isinstance(new, dict):
            found += [f"{part}.{key}" for key in dict.fromkeys([*new, *old]) if old.get(key) != new.get(key)]
        elif old != new:
            found.append(part)
    return found
