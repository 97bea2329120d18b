"""`gridstride stats`: an array's numbers, exact, by sweeps of the same blocks on the same workers as any operator's.

The sweeps only report, so that nothing is written, and there is nothing to resume: reports come back to the client.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field, replace
from math import inf, nan, prod
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from gridstride.pipeline.clusters import deployment
from gridstride.pipeline.errors import JobFailed, UsageError
from gridstride.pipeline.events.events import Events
from gridstride.pipeline.events.watch import watch_workers
from gridstride.pipeline.job import Environment
from gridstride.pipeline.options import RunOptions
from gridstride.pipeline.planning.plan import Plan, make_plan
from gridstride.pipeline.runner import Progress, no_progress
from gridstride.pipeline.storage.chunks import check_chunks
from gridstride.pipeline.storage.describe import ArrayInfo, describe
from gridstride.pipeline.storage.nodata import nodata_of, note_on_nodata
from gridstride.pipeline.sweep.block_task import read_region
from gridstride.pipeline.sweep.failures import classify_error, reason
from gridstride.pipeline.sweep.own_halos import runs
from gridstride.pipeline.sweep.record import Box, Record
from gridstride.pipeline.sweep.sweep import RUNS_IN_FLIGHT
from gridstride.pipeline.sweep.waiting import Waiting, reachable
from gridstride.pipeline.validation import judged
from gridstride.workers import device as devices
from gridstride.workers.families.histogram import Histogram
from gridstride.workers.families.keys import ABOVE, BELOW, FINITE, MISSING, NAN
from gridstride.workers.families.measured import surveyed
from gridstride.workers.families.survey import Survey
from gridstride.workers.identity import job_name
from gridstride.workers.operators.base import Grid, Operator, Window
from gridstride.workers.operators.fields import named_numbers, words
from gridstride.workers.operators.kinds import plain, real, several, within, word
from gridstride.workers.region import Region
from gridstride.workers.stages import stages

PERCENTILES = (1.0, 5.0, 25.0, 50.0, 75.0, 95.0, 99.0)
MOST_PERCENTILES, MOST_BINS = 100, 2**16
MOST_VALUES = 2**24  # a report of 128 MB for each block
OPTIONS = (
    "device",
    "cluster",
    "workers",
    "memory",
    "block",
    "missing",
    "quiet",
    "debug",
)  # of a run that mean something here
RETRIES = 2  # of a task
T = TypeVar("T")


@dataclass(frozen=True)
class Numbers:
    """The numbers of an array, or of a part of it.

    index: of a part, its index along each named axis
    values: {value: how many elements have it} of whole numbers, if asked for: of labels, the objects' sizes
    count: elements that are numbers, infinities too; nan, infinite, nodata: elements that are NaN, infinite, no data
    min, max, mean, std (of the whole population), percentiles {percent: value}: of those that are numbers; NaN or None
          where there is none. mean and std are rounded once, percentiles are numpy.percentile's
    edges, histogram: numpy.histogram's bins from the least to the greatest finite number and how many each holds; empty
          where there are no such bins
    """

    count: int
    nan: int
    infinite: int
    nodata: int
    min: float | int | None
    max: float | int | None
    mean: float
    std: float
    percentiles: dict[float, float]
    edges: tuple[float, ...]
    histogram: tuple[int, ...]
    index: dict[str, int]
    values: dict[int, int] = field(default_factory=dict)


@dataclass(frozen=True)
class Measurement:
    """What is to be measured, of which array, and where. notes: what a user would not expect, a line each"""

    info: ArrayInfo
    per: tuple[int, ...]
    survey: Survey
    options: RunOptions
    environment: Environment
    notes: tuple[str, ...]
    values: bool = False

    @property
    def axes(self) -> list[str]:
        """The names of the axes of `per`."""
        return [self.info.naming.axes[axis].name or str(axis) for axis in self.per]

    def plan(self, operator: Operator) -> Plan:
        """The plan of a sweep. Raises UsageError where the memory is too small."""
        chunks = self.info.chunks
        request = self.environment.request(operator, self.info.grid, chunks, chunks)
        return make_plan(replace(request, halos="read", block=self.options.block))


def prepare(
    input: str | Path,
    per: Any = None,
    percentiles: Any = None,
    bins: int = 10,
    array: str | None = None,
    nodata: Any = None,
    options: RunOptions | None = None,
    values: bool = False,
) -> Measurement:
    """Check and plan; see `api.stats`. Nothing is started. Raises UsageError."""
    options = options or RunOptions()
    info = describe(input, None if array is None else judged("array", array, word))
    bins = judged("bins", bins, within(0, MOST_BINS))
    if values and info.dtype.kind == "f":
        raise UsageError(f"values are counted of whole numbers, and {info.path} is {info.dtype}: leave values out")
    if values and per is not None:
        raise UsageError("values are counted of the whole array: leave per out, or values")
    try:
        axes = [] if per is None else sorted(named_numbers(info.grid, judged("per", per, _names)))
        survey = surveyed(
            info.grid, axes, moments=True, extremes=True, percentiles=_percentiles(percentiles), bins=bins,
            nodata=nodata_of(info, nodata),
        )  # fmt: skip
    except ValueError as error:
        raise UsageError(str(error)) from None
    notes = (
        *info.naming.notes,
        *check_chunks(info, options.missing),
        *(note_on_nodata(info) if nodata is None else ()),
    )
    first = survey.sweep()
    assert first is not None
    found = Measurement(info, tuple(axes), survey, options, Environment.of(options, first), notes, values)
    found.plan(first)
    return found


def _names(given: Any) -> Any:
    found = words(given)
    if not isinstance(found, tuple) or not found or not all(isinstance(name, str | int) for name in found):
        raise ValueError("expected names or numbers of axes, such as c")
    return found


def _percentiles(given: Any) -> tuple[float, ...]:
    if given is None:
        return PERCENTILES
    found = plain(given)
    values = () if found == () else judged("percentiles", found, several(real))
    every = values if isinstance(values, tuple) else (values,)
    if (odd := next((value for value in every if not 0 <= value <= 100), None)) is not None:
        raise UsageError(f"percentiles has {odd:g}: expected numbers from 0 to 100")
    if len(every) > MOST_PERCENTILES:
        raise UsageError(f"percentiles has {len(every)} numbers: expected {MOST_PERCENTILES} at most")
    return every


def run(measurement: Measurement, client: Any = None, progress: Progress = no_progress) -> list[Numbers]:
    """Measure: of the whole array, or of each part in C order of the indices. Raises JobFailed for what cannot be read.

    progress: shows how far a sweep is
    """
    options, environment, survey = measurement.options, measurement.environment, measurement.survey
    config = environment.config
    start = deployment.start(config, environment.device, environment.size, options.debug)
    with (
        Events(show=options.watched) as story,
        nullcontext(client) if client else start as client,
        watch_workers(client, story, config.io_timeout),
        reachable(client),
    ):

        def swept(operator: Operator, take: Callable[[Iterator[np.ndarray]], T]) -> T:
            plan = measurement.plan(operator)
            with progress(plan.blocks, 0, story) as report:
                return take(reports(measurement, client, operator, plan, report))

        while (operator := survey.sweep()) is not None:
            survey = swept(operator, survey.taken)
        values = _values(measurement, survey, swept) if measurement.values else {}
    parts = prod(measurement.info.shape[axis] for axis in measurement.per)  # of an axis without elements none
    found = [_numbers(survey, group, measurement) for group in range(parts)]
    return [replace(numbers, values=values) for numbers in found]


def _values(measurement: Measurement, survey: Survey, swept: Callable[..., Any]) -> dict[int, int]:
    """How many elements have each value. Raises JobFailed where there may be too many values."""
    if not survey.numbers(0):
        return {}
    low, high = int(survey.low[0]), int(survey.high[0])
    if high - low >= MOST_VALUES:
        raise JobFailed(
            f"{measurement.info.path} has values from {low} to {high}: expected a range of {MOST_VALUES} at most"
        )
    histogram: Operator = Histogram(high - low + 1, low)
    if survey.nodata is not None:
        histogram, _ = histogram.without(survey.nodata, measurement.info.grid)
    counts = np.zeros(high - low + 1, np.int64)

    def take(found: Iterator[np.ndarray]) -> None:
        for report in found:
            np.add(counts, report, out=counts)

    swept(histogram, take)
    return {low + int(i): int(counts[i]) for i in np.flatnonzero(counts)}


def reports(
    measurement: Measurement, client: Any, operator: Operator, plan: Plan, report: Callable[[Record], None]
) -> Iterator[np.ndarray]:
    """The reports of a sweep, as they come. Some tasks for each thread are in flight."""
    source, grid, device = measurement.info.path, measurement.info.grid, measurement.environment.device
    begun = f"{os.getpid():x}{time.time_ns():x}"
    tasks = runs(plan, np.zeros(plan.grid, bool)) if plan.blocks else iter(())
    waiting = Waiting(client, measurement.environment.config.patience)
    flying: dict[Any, list[Box]] = {}
    while True:
        most = RUNS_IN_FLIGHT * max(1, sum(client.nthreads().values()))
        while len(flying) < most and (boxes := next(tasks, None)) is not None:
            regions = [plan.region(*box) for box in boxes]
            key = f"stats-{begun}-{boxes[0]}"
            future = client.submit(
                report_on, source, grid, operator, regions, device, key=key, pure=False, retries=RETRIES
            )
            flying[future] = boxes
            waiting.add([future])
        if not flying:
            return
        future = waiting.next()
        boxes = flying.pop(future)
        if future.status == "error":
            news = (news for _, news in client.get_events(job_name(client)))
            error = classify_error(future.exception(), news)
            client.cancel(list(flying))
            spans = " x ".join(f"{a}:{b}" for a, b in plan.region(*boxes[0]).spans)
            raise JobFailed(f"{source}: {spans} cannot be measured: {reason(error)}")
        made, seconds, spans_ = waiting.result(future)
        yield from made
        size = sum(plan.region(*box).size for box in boxes)
        for box in boxes:
            report(Record(box, voxels=size, bytes_in=size * plan.itemsize, worker="", stages=seconds, spans=spans_))
            size = 0


def report_on(
    source: str, grid: Grid, operator: Operator, regions: Sequence[Region], device: str
) -> tuple[list[np.ndarray], dict[str, float], Any]:
    """A worker's task: the reports on regions of an array, and what the process measured of its stages."""
    found = []
    for region in regions:
        window = Window(read_region(source, region), region, region, grid)
        found += devices.compute(operator, window, device).reports
    return found, stages.drain(), stages.spans()


def _numbers(survey: Survey, group: int, measurement: Measurement) -> Numbers:
    """What a survey says of a group."""
    above, below, finite = (survey.of(kind, group) for kind in (ABOVE, BELOW, FINITE))
    shape = [measurement.info.shape[axis] for axis in measurement.per]
    index = np.unravel_index(group, shape) if shape else ()
    low, high = survey.low[group].item(), survey.high[group].item()
    count = survey.numbers(group)
    mean = nan if above and below else inf if above else -inf if below else float(survey.mean[group])
    bins = bool(survey.bins) and survey.edges is not None and finite > 0 and not np.isnan(survey.edges[group, 0])
    return Numbers(
        count=count,
        nan=survey.of(NAN, group),
        infinite=above + below,
        nodata=survey.of(MISSING, group),
        min=None if not count else -inf if below else low if finite else inf,
        max=None if not count else inf if above else high if finite else -inf,
        mean=mean,
        std=nan if above or below else float(survey.std[group]),
        percentiles={p: survey.percentile(n, group) for n, p in enumerate(survey.percentiles)},
        edges=tuple(survey.edges[group].tolist()) if bins and survey.edges is not None else (),
        histogram=tuple(survey.histogram[group].tolist()) if bins else (),
        index={name: int(i) for name, i in zip(measurement.axes, index, strict=True)},
    )
