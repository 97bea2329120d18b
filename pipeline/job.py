"""Job: one operator applied to one array, planned. It is made in one place, checked before anything is written, and
kept in the output's job.json, from which it goes on after a kill."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from gridstride.pipeline.checks import check_input, check_output, check_same_job
from gridstride.pipeline.clusters import deployment
from gridstride.pipeline.errors import UsageError
from gridstride.pipeline.layout import Layout, make_layout
from gridstride.pipeline.options import ClusterConfig, RunOptions
from gridstride.pipeline.pipelines.bind import bind
from gridstride.pipeline.pipelines.pipeline import Parameters, Pipeline, of_list
from gridstride.pipeline.pipelines.staging import Stages, between, disk, staged
from gridstride.pipeline.planning.plan import Plan, make_plan
from gridstride.pipeline.planning.request import Request
from gridstride.pipeline.storage import fingerprints
from gridstride.pipeline.storage.attributes import attributes_of_result, note_on_values
from gridstride.pipeline.storage.chunks import check_chunks
from gridstride.pipeline.storage.describe import MOST_AXES, ArrayInfo, describe
from gridstride.pipeline.storage.journal import Journal, job_hash, json_bytes
from gridstride.pipeline.storage.nodata import leaving_out, note_on_nodata
from gridstride.pipeline.storage.paths import StorePath, store_path
from gridstride.pipeline.text import counted
from gridstride.pipeline.validation import judged
from gridstride.workers import cluster, saving
from gridstride.workers.code import allow, codes
from gridstride.workers.families.user_code import is_meant, named
from gridstride.workers.operators.base import Grid, Operator
from gridstride.workers.operators.graph import Graph
from gridstride.workers.operators.kinds import word
from gridstride.workers.operators.staged import Staged, fused, steps_of

# Raised when a change to the code changes the bytes of results: a job begun before cannot be resumed after.
RESULT_VERSION = 2
Unit = tuple[int, ...]


@dataclass(frozen=True)
class Environment:
    """Where a job runs. device: "cpu" or "gpu"; reason: why that one, for people"""

    config: ClusterConfig
    device: str
    reason: str
    size: cluster.Size

    @classmethod
    def of(cls, options: RunOptions, operator: Operator) -> Environment:
        """Where an operator runs with these options: unless they say, on the CPU if no step of it has kernels for
        a GPU."""
        found = cls(*deployment.environment(options))
        chosen = options.device != "auto" or options.cluster
        if chosen or found.device == "cpu" or not all(step.cpu_only for step in steps_of(operator)):
            return found
        found = cls(*deployment.environment(options.but(device="cpu")))
        return replace(found, reason="CPU: the operator has no CUDA kernels")

    def notes(self, operator: Operator) -> list[str]:
        """What runs on the CPU of a job whose device is a GPU: a line, or none."""
        alone = [step.describe() for step in steps_of(operator) if step.cpu_only]
        if self.device == "cpu" or not alone:
            return []
        also = ", with the steps that are fused with it" if len(steps_of(operator)) > len(alone) else ""
        return [f"on the CPU, for want of CUDA kernels: {'; '.join(dict.fromkeys(alone))}{also}"]

    def request(self, operator: Operator, grid: Grid, write_unit: Unit, read_unit: Unit) -> Request:
        """What a sweep that runs here is planned from."""
        size = self.size
        return Request(
            operator=operator,
            grid=grid,
            write_unit=write_unit,
            read_unit=read_unit,
            workers=size.workers,
            threads=size.threads,
            memory=size.memory,
            device_memory=size.device_memory if self.device == "gpu" and not operator.cpu_only else None,
        )


@dataclass(frozen=True)
class Job:
    """Everything about one job.

    request: the user's own terms, kept for provenance; attributes: of the result
    plan: of the sweep that writes the result; stages: the fused groups of a pipeline's steps
    told: what is said of the steps: axes, in words, and steps, a line each; notes: what a user would not expect
    """

    input: ArrayInfo
    out: StorePath
    operator: Operator
    grid: Grid
    layout: Layout
    request: dict[str, Any]
    options: RunOptions
    environment: Environment
    plan: Plan
    attributes: dict[str, Any]
    told: dict[str, str]
    notes: tuple[str, ...] = ()
    stages: Stages | None = None

    @property
    def planned(self) -> Grid:
        """What the sweep reads that `plan` is of."""
        return self.stages.groups[-1].grid if self.stages else self.grid

    @property
    def disk(self) -> int:
        """Bytes that are written and kept at a time, at most."""
        return self.stages.disk if self.stages else disk((self.operator, self.grid))

    @property
    def groups(self) -> tuple[str, ...]:
        """What is fused, what is stored between, and why, in words."""
        return tuple(self.stages.lines([step["command"] for step in self.request["steps"]])) if self.stages else ()

    @property
    def out_grid(self) -> Grid:
        return self.operator.out_grid(self.grid)

    @property
    def device(self) -> str:
        return self.environment.device

    @property
    def axes(self) -> str:
        """Which axes are filtered and which are not, in words; "" where an operator has none."""
        return "; ".join(filter(None, [self.told.get("axes"), *self.input.naming.notes]))

    def identity(self) -> dict[str, Any]:
        """What determines the bytes of the result, the blocks aside."""
        return identity(self.input, fused(self.operator), self.out_grid, self.layout, self.device)

    @property
    def cuts(self) -> tuple[int, ...]:
        """Where a pipeline's result is stored between steps."""
        return self.operator.cuts if isinstance(self.operator, Staged) else ()

    def check_begun(self) -> None:
        """Refuse to go on from what another client made of the output since this job was planned: blocks and cuts of
        one run are not those of another. Call it with the output's lock."""
        if (journal := Journal(self.out)).exists():
            record = journal.read()
            begun = record["hash"], tuple(record["block"]), tuple(record.get("cuts", ()))
            if begun != (job_hash(self.identity()), self.plan.block, self.cuts):
                raise UsageError(f"{self.out} was begun by another gridstride meanwhile: give the command again")

    def record(self) -> dict[str, Any]:
        """job.json."""
        identity = self.identity()
        return {
            "hash": job_hash(identity),
            "identity": identity,
            "block": self.plan.block,
            "cuts": self.cuts,
            "grid": self.plan.grid,
            "input": self.input.path,
            "fingerprint": fingerprints.fingerprint(self.input),
            "chunks": self.layout.chunks,
            "shards": self.layout.shards,
            "codec": self.layout.codec,
            "request": self.request,
            "attributes": self.attributes,
            "told": self.told,
        }

    def unit_of(self, operator: Operator, grid: Grid, read: Unit) -> Unit:
        """The chunks of what a sweep before the last one writes. read: what it reads together"""
        return between(operator, grid, read, self.layout, self.out_grid)

    def plan_sweep(self, operator: Operator, grid: Grid, read: Unit, part: str, block: Unit | None) -> Plan:
        """The plan of one of the job's sweeps. read: what is read together; part: "" of the last one; block: that it
        was begun with, or None: as the planner likes"""
        unit = self.unit_of(operator, grid, read) if part else self.layout.write_unit
        request = replace(self.environment.request(operator, grid, unit, read), block=block)
        return make_plan(request if part else replace(request, halos=self.options.halos))


def identity(info: ArrayInfo, operator: Operator, out: Grid, layout: Layout, device: str) -> dict[str, Any]:
    content = {
        "result_version": RESULT_VERSION,
        "operator": saving.digest(operator),
        "input": fingerprints.identity(info),
        "output": {
            "chunks": layout.chunks,
            "shards": layout.shards,
            "codec": layout.codec,
            "shape": out.shape,
            "dtype": out.dtype.name,
        },
        "device": device,
    }
    if programs := {code.file: code.digest for code in codes(operator)}:
        content["code"] = programs
    return json.loads(json_bytes(content))


def make_job(
    pipeline: Pipeline | Sequence[tuple[str, Parameters]],
    input: str | Path,
    out: str | Path,
    *,
    array: str | None = None,
    chunks: Sequence[int] | None = None,
    shards: Sequence[int] | None = None,
    codec: str | None = None,
    nodata: Any = None,
    options: RunOptions | None = None,
) -> Job:
    """Check and plan a job of a pipeline. Nothing is written and nothing is started.

    pipeline: or else the operators of a chain in order, each (name, its parameters)
    nodata: what stands for no data in the input: a value, several, "nan", "auto" (what it declares) or "none"
    """
    options = options or RunOptions()
    pipeline = pipeline if isinstance(pipeline, Pipeline) else of_list(pipeline)
    info = describe(input, None if array is None else judged("array", array, word))
    try:
        bound = bind(pipeline, info.grid, info.naming.labels and not options.force_labels)
    except UsageError as error:
        raise UsageError("; ".join([str(error), *info.naming.notes])) from None
    operator, left, terms = leaving_out(bound.operator, info, nodata)
    out_grid = operator.out_grid(info.grid)
    attributes = attributes_of_result(info, operator, out_grid, left)
    if not 1 <= out_grid.ndim <= MOST_AXES:
        raise UsageError(f"the result would have {counted(out_grid.ndim, 'axis', 'axes')}: expected 1 to {MOST_AXES}")
    layout = make_layout(info, out_grid, operator.axes_from(info.grid), chunks, shards, codec)
    operator = Staged(operator, ()) if len(bound.steps) > 1 and isinstance(operator, Graph) else operator
    job = _planned(info, store_path(out), operator, info.grid, layout, bound.request() | terms, options)
    told = {"axes": bound.axes()} | ({"steps": bound.table()} if len(bound.steps) > 1 else {})
    return replace(job, attributes=attributes, told=told, notes=(*job.notes, *bound.notes))


def resume(out: str | Path, options: RunOptions | None = None, code: Sequence[Any] = ()) -> Job:
    """The unfinished job at `out`, ready to go on. code: the programs of the user's that it runs, or their files"""
    where = store_path(out)
    journal = Journal(where)
    if not journal.exists() and not where.exists():
        raise UsageError(f"{where} does not exist")
    record = journal.read()
    options = options or RunOptions()
    try:
        if options.device == "auto":
            options = options.but(device=record["identity"]["device"])
        operator: Operator = saving.load(journal.folder, "operator")
        if isinstance(operator, Graph) and "steps" in record.get("told", {}):
            operator = Staged(operator, ())
        shards = tuple(record["shards"]) if record["shards"] else None
        layout = Layout(tuple(record["chunks"]), shards, record["codec"])
        info = describe(record["input"])
    except UsageError:
        raise
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UsageError(
            f"{journal.folder} is damaged ({error}): use --overwrite with the original command to start again"
        ) from None
    allow_programs(operator, code, where)
    job = _planned(info, where, operator, info.grid, layout, record["request"], options)
    return replace(job, attributes=record.get("attributes", {}), told=record.get("told", {}))


def allow_programs(operator: Operator, given: Sequence[Any], out: StorePath) -> None:
    """Let the programs in an output be run that the user names and has: the output may be a stranger's."""
    mine = [judged("code", value, named) for value in given]
    for code in codes(operator):
        if any(is_meant(code, one) for one in mine):
            allow([code.call])
        elif code.digest in [one.digest for one in mine]:
            raise UsageError(
                f"{out} calls {code.name}, which is not what --code names or what {code.file} defines itself: give the "
                "same command again"
            )
        elif mine:
            names = ", ".join(map(str, given))
            raise UsageError(
                f"{out} was begun by {code.file}, and {names} is another program or has changed since: put back what "
                "it was, or use --overwrite with the original command"
            )
        else:
            raise UsageError(
                f"{out} runs {code.file}, and a program in an output is not run unless you name it: gridstride resume "
                f"{out} --code {code.file}, or give the same command again"
            )


def _planned(
    info: ArrayInfo, out: StorePath, operator: Operator, grid: Grid, layout: Layout, request: dict, options: RunOptions
) -> Job:
    environment = Environment.of(options, operator)
    check_output(store_path(info.path), out, options)
    notes = [*operator.remarks(grid), *environment.notes(operator), *check_chunks(info, options.missing)]
    block, stored = options.block, Journal(out)
    going_on = stored.exists() and not options.overwrite
    if going_on:
        mine = identity(info, fused(operator), operator.out_grid(grid), layout, environment.device)
        block = check_same_job(stored, mine, block)

    def ask(operator: Operator, grid: Grid, unit: Unit, read: Unit, last: bool) -> Request:
        asked = environment.request(operator, grid, unit, read)
        return replace(asked, block=block, halos=options.halos) if last else asked

    stages = None
    if isinstance(operator, Staged):
        operator, stages = staged(operator, grid, info.chunks, layout, ask, stored if going_on else None)
        plan = stages.plan
    else:
        plan = make_plan(ask(operator, grid, layout.write_unit, info.chunks, True))
    groups = [(g.operator, g.grid, g.read) for g in stages.groups] if stages else [(operator, grid, info.chunks)]
    for part, source, read in groups:
        if (first := part.first_sweep()) is not None:  # it may need more memory than the sweep that is planned
            unit = between(first, source, read, layout, operator.out_grid(grid))
            make_plan(environment.request(first, source, unit, read))
    if going_on:
        check_input(stored, info, lambda index: operator.needed(plan.region(index), grid))
    notes += note_on_values(info, operator.meaning())
    if "nodata" not in request:
        notes += note_on_nodata(info)
    return Job(info, out, operator, grid, layout, request, options, environment, plan, {}, {}, tuple(notes), stages)
