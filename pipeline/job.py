"""Job: one operator applied to one array, planned. It is made in one place, checked before anything is written, and
kept in the output's job.json, from which it goes on after a kill."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import ValidationError

from gridstride.pipeline.checks import check_input, check_output, check_same_job
from gridstride.pipeline.clusters import deployment
from gridstride.pipeline.errors import UsageError
from gridstride.pipeline.layout import Layout, carried, make_layout
from gridstride.pipeline.options import ClusterConfig, RunOptions
from gridstride.pipeline.planning.plan import Plan, make_plan
from gridstride.pipeline.planning.request import Request
from gridstride.pipeline.storage import fingerprints
from gridstride.pipeline.storage.attributes import attributes_of_result, note_on_values
from gridstride.pipeline.storage.axes import axes_text
from gridstride.pipeline.storage.chunks import check_chunks
from gridstride.pipeline.storage.describe import MOST_AXES, ArrayInfo, describe
from gridstride.pipeline.storage.journal import Journal, job_hash, json_bytes
from gridstride.pipeline.storage.nodata import leaving_out, note_on_nodata
from gridstride.pipeline.storage.paths import StorePath, store_path
from gridstride.pipeline.text import counted
from gridstride.pipeline.validation import complaint, judged
from gridstride.workers import cluster, saving
from gridstride.workers.operators import registry
from gridstride.workers.operators.base import Grid, Operator
from gridstride.workers.operators.graph import Graph, chain
from gridstride.workers.operators.kinds import word
from gridstride.workers.operators.recipe import Recipe

# Raised when a change to the code changes the bytes of results: a job begun before cannot be resumed after.
RESULT_VERSION = 2
Parameters = Mapping[str, Any]
Unit = tuple[int, ...]


@dataclass(frozen=True)
class Environment:
    """Where a job runs. device: "cpu" or "gpu"; reason: why that one, for people"""

    config: ClusterConfig
    device: str
    reason: str
    size: cluster.Size

    @classmethod
    def of(cls, options: RunOptions) -> Environment:
        return cls(*deployment.environment(options))

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
            device_memory=size.device_memory if self.device == "gpu" else None,
        )


@dataclass(frozen=True)
class Job:
    """Everything about one job.

    request: the user's own terms, kept for provenance; attributes: of the result
    notes: what a user would not expect, one line each
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
    notes: tuple[str, ...] = ()

    @property
    def out_grid(self) -> Grid:
        return self.operator.out_grid(self.grid)

    @property
    def device(self) -> str:
        return self.environment.device

    @property
    def axes(self) -> str:
        """Which axes are filtered and which are not, in words; "" where an operator has none."""
        steps = self.request.get("steps", [self.request])
        pairs = zip(steps, _steps(self.operator, self.grid, len(steps)), strict=True)
        told = [(s["command"], axes_text(grid.axes, s["axes"])) for s, (_, grid) in pairs if "axes" in s]
        alike = len({text for _, text in told}) == 1
        lines = [told[0][1]] if alike else [f"{name} {text}" for name, text in told]
        return "; ".join([*lines, *self.input.naming.notes])

    def identity(self) -> dict[str, Any]:
        """What determines the bytes of the result, the blocks aside."""
        return identity(self.input, self.operator, self.out_grid, self.layout, self.device)

    def record(self) -> dict[str, Any]:
        """job.json."""
        identity = self.identity()
        return {
            "hash": job_hash(identity),
            "identity": identity,
            "block": self.plan.block,
            "grid": self.plan.grid,
            "input": self.input.path,
            "fingerprint": fingerprints.fingerprint(self.input),
            "chunks": self.layout.chunks,
            "shards": self.layout.shards,
            "codec": self.layout.codec,
            "request": self.request,
            "attributes": self.attributes,
        }

    def unit_of(self, operator: Operator, grid: Grid, read: Unit) -> Unit:
        """What is written together by one of the job's sweeps: what the job's result is stored in, where it has that
        shape, else what is read together."""
        out = operator.out_grid(grid)
        if out.shape == self.out_grid.shape:
            return self.layout.write_unit
        return carried(read, operator.axes_from(grid), out.shape)

    def plan_sweep(self, operator: Operator, grid: Grid, read: Unit, block: Unit | None) -> Plan:
        """The plan of one of the job's sweeps. read: what is read together; block: that it was begun with, or None: as
        the planner likes"""
        unit = self.unit_of(operator, grid, read)
        return make_plan(replace(self.environment.request(operator, grid, unit, read), block=block))


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
    return json.loads(json_bytes(content))


def make_recipe(name: str, parameters: Parameters) -> Recipe:
    """The recipe of an operator's name and the user's terms. Raises UsageError, in one line."""
    try:
        recipe = registry.find(name)
    except ValueError as error:
        raise UsageError(str(error)) from None
    try:
        return recipe(**parameters)
    except ValidationError as error:
        raise UsageError(f"{name}: {complaint(error, recipe)}") from None


def bind(steps: Sequence[tuple[str, Parameters]], grid: Grid, labels: bool = False) -> tuple[Operator, dict[str, Any]]:
    """The checked operator for a grid, that of one step or the chain of several, and the user's terms with what
    defaults came to. Raises UsageError, in one line.

    labels: whether elements are numbers of objects, which may not be summed
    """
    if not steps:
        raise UsageError("a chain has no steps: expected one or more, each (name, {parameter: value})")
    recipes = [make_recipe(name, parameters) for name, parameters in steps]
    try:
        operator = recipes[0].bind(grid) if len(recipes) == 1 else chain(recipes, grid)
    except ValueError as error:
        raise UsageError(str(error)) from None
    terms = []
    for (name, parameters), recipe, (step, here) in zip(
        steps, recipes, _steps(operator, grid, len(recipes)), strict=True
    ):
        truth = step.out_grid(here).dtype.kind == "b"
        if labels and not (truth or step.meaning().chosen):
            raise UsageError(
                f"the array holds labels, and {name} would mix the numbers of objects into those of others: use median "
                "or another operator of ranks, make a mask by threshold first, or give --force-labels"
            )
        labels = labels and not truth
        terms.append(_plain({"command": name, **parameters, **recipe.resolved(here)}))
    return operator, terms[0] if len(terms) == 1 else {"command": "chain", "steps": terms}


def _steps(operator: Operator, grid: Grid, steps: int) -> Iterator[tuple[Operator, Grid]]:
    """The operators of the user's steps, each with the grid it reads. (That of one step alone may be a graph too.)"""
    for step in [s.operator for s in operator.steps] if isinstance(operator, Graph) and steps > 1 else [operator]:
        yield step, grid
        grid = step.out_grid(grid)


def make_job(
    steps: Sequence[tuple[str, Parameters]],
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
    """Check and plan a job of one operator, or a chain of several. Nothing is written and nothing is started.

    steps: (name of an operator, its parameters), in order
    nodata: what stands for no data in the input: a value, several, "nan", "auto" (what it declares) or "none"
    """
    options = options or RunOptions()
    info = describe(input, None if array is None else judged("array", array, word))
    try:
        operator, request = bind(steps, info.grid, info.naming.labels and not options.force_labels)
    except UsageError as error:
        raise UsageError("; ".join([str(error), *info.naming.notes])) from None
    operator, left, terms = leaving_out(operator, info, nodata)
    out_grid = operator.out_grid(info.grid)
    attributes = attributes_of_result(info, operator, out_grid, left)
    if not 1 <= out_grid.ndim <= MOST_AXES:
        raise UsageError(f"the result would have {counted(out_grid.ndim, 'axis', 'axes')}: expected 1 to {MOST_AXES}")
    layout = make_layout(info, out_grid, operator.axes_from(info.grid), chunks, shards, codec)
    job = _planned(info, store_path(out), operator, info.grid, layout, request | terms, options)
    said = [f"{name}: {note}" for name, given in steps for note in make_recipe(name, given).notes()]
    return replace(job, attributes=attributes, notes=(*job.notes, *said))


def resume(out: str | Path, options: RunOptions | None = None) -> Job:
    """The unfinished job at `out`, ready to go on."""
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
        shards = tuple(record["shards"]) if record["shards"] else None
        layout = Layout(tuple(record["chunks"]), shards, record["codec"])
        info = describe(record["input"])
    except UsageError:
        raise
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UsageError(
            f"{journal.folder} is damaged ({error}): use --overwrite with the original command to start again"
        ) from None
    job = _planned(info, where, operator, info.grid, layout, record["request"], options)
    return replace(job, attributes=record.get("attributes", {}))


def _planned(
    info: ArrayInfo, out: StorePath, operator: Operator, grid: Grid, layout: Layout, request: dict, options: RunOptions
) -> Job:
    environment = Environment.of(options)
    check_output(store_path(info.path), out, options)
    notes = [*operator.remarks(grid), *check_chunks(info, options.missing)]
    block, stored = options.block, Journal(out)
    going_on = stored.exists() and not options.overwrite
    if going_on:
        mine = identity(info, operator, operator.out_grid(grid), layout, environment.device)
        block = check_same_job(stored, mine, block)
    sweep = environment.request(operator, grid, layout.write_unit, info.chunks)
    plan = make_plan(replace(sweep, block=block, halos=options.halos))
    if going_on:
        check_input(stored, info, lambda index: operator.needed(plan.region(index), grid))
    notes += note_on_values(info, operator.meaning())
    if "nodata" not in request:
        notes += note_on_nodata(info)
    return Job(info, out, operator, grid, layout, request, options, environment, plan, {}, tuple(notes))


def _plain(terms: Mapping[str, Any]) -> dict[str, Any]:
    """The user's terms as plain values, without those that were not given."""

    def plain(value: Any) -> Any:
        if isinstance(value, np.ndarray) and value.size > 16:
            return {"shape": list(value.shape), "dtype": value.dtype.name}
        if isinstance(value, np.ndarray | np.generic):
            return value.tolist()
        if isinstance(value, list | tuple):
            return [plain(v) for v in value]
        return str(value) if isinstance(value, Path) else value

    return {name: plain(value) for name, value in terms.items() if value is not None}
