"""The figures of a job over all its runs, for its report: rates, stages and threads over the time at work.

Time at work is the time of the runs one after another, without the time between them.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from math import inf, prod
from typing import Any

import numpy as np

from gridstride.pipeline.events.events import read_events, redact, seconds
from gridstride.pipeline.events.lines import read_lines
from gridstride.pipeline.events.spans import FILE, Row, read_spans
from gridstride.pipeline.events.story import Event, Run, runs
from gridstride.pipeline.reports.status import Status, status
from gridstride.pipeline.storage.journal import Journal
from gridstride.pipeline.storage.paths import StorePath

LEAST_SECONDS = 0.2  # of an interval that has a rate: blocks of many threads may be counted at once
MOST_INTERVALS = 200


@dataclass(frozen=True)
class Pace:
    """The rate of one run between one time and the next (one rate less than times). Times are seconds at work."""

    times: Sequence[float]
    rates: np.ndarray


@dataclass(frozen=True)
class Lane:
    """One worker thread: its spans, and the times at which its worker was lost. Times are seconds at work."""

    name: str
    rows: Sequence[Row]
    lost: Sequence[float] = ()


class History:
    """A job's journal, read: its record without credentials, its status, its runs and its threads' spans."""

    def __init__(self, out: str | StorePath) -> None:
        self.status: Status = status(out)
        journal = Journal(out)
        stored = journal.read()
        self.out, self.input = journal.out, stored.get("input")
        self.record: dict[str, Any] = json.loads(redact(json.dumps(stored)))
        self.runs: list[Run] = runs(read_events(journal.folder))
        self.rows = read_spans(read_lines(journal.folder / FILE))
        self.simulation = self.record.get("kind") == "simulation"
        self.begun: Event = self.runs[-1].begun if self.runs else {}

    @cached_property
    def borders(self) -> list[float]:
        """Time at work at which each run began."""
        spans = [run.last - run.begin for run in self.runs]
        return [sum(spans[:number]) for number in range(len(spans))]

    @property
    def span(self) -> float:
        return sum(run.last - run.begin for run in self.runs)

    def at_work(self, at: float) -> float:
        """A time of the clock as time at work."""
        for run, border in zip(reversed(self.runs), reversed(self.borders), strict=True):
            if at >= run.begin:
                return border + min(at, run.last) - run.begin
        return 0.0

    @property
    def faults(self) -> list[Event]:
        return [fault for run in self.runs for fault in run.faults]

    @property
    def cells(self) -> int:
        """Cells of a simulation's grid; 0 for other jobs."""
        return prod(self.record["case"]["grid"]["cells"].values()) if self.simulation else 0

    def total(self, name: str) -> float:
        """A figure of the summaries, summed over the runs; of a run without one, that of its last progress."""
        return sum(float((run.summary or run.so_far).get(name) or 0) for run in self.runs)

    def stages(self) -> dict[str, float]:
        """Seconds by stage over all runs: from a run's summary, else from its spans."""
        found: Counter[str] = Counter()
        ends = [*(run.begin for run in self.runs[1:]), inf]
        for run, until in zip(self.runs, ends, strict=False):
            if spent := run.summary.get("stages"):
                found.update({**spent, "idle": run.summary.get("idle") or 0.0})
                continue
            for row in self.rows:
                if run.begin <= row.begin < until:
                    found.update(row.stages)
        return {stage: spent for stage, spent in found.items() if spent > 0}

    def paces(self) -> tuple[list[Pace], str]:
        """The rate of each run over time, and its unit."""
        name, scale, unit = ("done", self.cells / 1e6, "Mcell-steps/s") if self.cells else ("voxels", 1e-6, "Mvoxel/s")
        found = []
        for run in self.runs:
            ready = run.named("cluster")[-1:] or [run.begun]
            points = [(seconds(ready[0]), float(run.begun["done"]) if self.cells else 0.0)]
            points += [(seconds(event), float(event.get(name, 0))) for event in run.progress]
            times, amounts = np.transpose(spaced(points, max(LEAST_SECONDS, self.span / MOST_INTERVALS)))
            if times.size > 1:
                rates = np.diff(amounts).clip(0) * scale / np.diff(times).clip(1e-3)
                found.append(Pace([self.at_work(at) for at in times], rates))
        return found, unit

    def lanes(self) -> list[Lane]:
        """A lane for each thread of each worker. A worker that is restarted, also in a later run, keeps its lane."""
        names: dict[str, str] = {}
        lost: dict[str, list[float]] = {}
        for run in self.runs:
            for event in run.named("cluster", "worker-joined", "worker-restarted", "worker-lost"):
                for worker in event.get("workers", [event]):
                    if worker.get("name"):
                        names[str(worker.get("worker"))] = str(worker["name"])
                if event["event"] == "worker-lost":
                    lost.setdefault(str(event.get("name")), []).append(self.at_work(seconds(event)))
        threads: dict[str, list[int]] = {}
        lanes: dict[tuple[str, int], list[Row]] = {}
        for row in self.rows:
            known = threads.setdefault(row.worker, [])
            if row.thread not in known:
                known.append(row.thread)
            placed = replace(row, begin=self.at_work(row.begin), end=self.at_work(row.end))
            lanes.setdefault((names.get(row.worker, row.worker), known.index(row.thread)), []).append(placed)
        return [
            Lane(f"{'worker ' if len(name) < 6 else ''}{name}, thread {thread + 1}", rows,
                 lost.get(name, ()) if thread == 0 else ())
            for (name, thread), rows in sorted(lanes.items(), key=lambda lane: (len(lane[0][0]), lane[0]))
        ]  # fmt: skip


def spaced(points: list[tuple[float, float]], least: float) -> list[tuple[float, float]]:
    """The first and the last of the points, and of those between as many as are `least` seconds apart."""
    kept = points[:1]
    for point in points[1:]:
        if point[0] - kept[-1][0] >= least:
            kept.append(point)
    if len(points) > 1 and kept[-1] is not points[-1]:
        kept[1:] = [*kept[1:-1], points[-1]]
    return kept
