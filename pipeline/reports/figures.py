"""The figures of a job that its report shows: of all its runs, over the time at work."""

from __future__ import annotations

import json
from dataclasses import replace
from functools import cached_property
from math import prod
from typing import Any

from gridstride.pipeline.events.events import read_events, read_lines, redact, seconds
from gridstride.pipeline.events.spans import FILE, Row, read_spans
from gridstride.pipeline.events.story import runs
from gridstride.pipeline.reports.charts import Lane, Pace
from gridstride.pipeline.reports.status import Status, status
from gridstride.pipeline.storage.journal import Journal
from gridstride.pipeline.storage.paths import Place


class Figures:
    """What is known of the job at `out`."""

    def __init__(self, out: str | Place) -> None:
        self.status: Status = status(out)
        journal = Journal(out)
        stored = journal.read()
        self.out, self.input = journal.out, stored.get("input")
        self.record = json.loads(redact(json.dumps(stored)))
        self.runs = runs(read_events(journal.folder))
        self.rows = read_spans(read_lines(journal.folder / FILE))
        self.simulation = self.record.get("kind") == "simulation"
        self.begun: dict[str, Any] = self.runs[-1].begun if self.runs else {}

    # --- time at work: the runs one after another, without the time between them -----------------------------------

    @cached_property
    def borders(self) -> list[float]:
        """When each run began."""
        at, found = 0.0, []
        for run in self.runs:
            found.append(at)
            at += run.last - run.begin
        return found

    @property
    def span(self) -> float:
        return sum(run.last - run.begin for run in self.runs)

    def at_work(self, at: float) -> float:
        """A time of the clock as time at work."""
        for run, border in zip(reversed(self.runs), reversed(self.borders), strict=True):
            if at >= run.begin:
                return border + min(at, run.last) - run.begin
        return 0.0

    # --- figures ----------------------------------------------------------------------------------------------------

    @property
    def faults(self) -> list[dict[str, Any]]:
        return [fault for run in self.runs for fault in run.faults]

    def total(self, name: str) -> float:
        """A figure of the summaries, summed over the runs; of one that was cut short, as far as it told."""
        return sum(float((run.summary or run.told).get(name) or 0) for run in self.runs)

    def stages(self) -> dict[str, float]:
        """Seconds by stage, of all runs: from their summaries, else from the spans."""
        found: dict[str, float] = {}
        for number, run in enumerate(self.runs):
            spent = dict(run.summary.get("stages") or {})
            if spent:
                spent["idle"] = run.summary.get("idle") or 0.0
            else:
                until = self.runs[number + 1].begin if number + 1 < len(self.runs) else float("inf")
                for row in self.rows:
                    if run.begin <= row.begin < until:
                        for stage, span in row.stages.items():
                            spent[stage] = spent.get(stage, 0.0) + span
            for stage, span in spent.items():
                found[stage] = found.get(stage, 0.0) + span
        return found

    def paces(self) -> tuple[list[Pace], str]:
        """The rate of each run over time, and its unit."""
        cells = prod(self.record["case"]["grid"]["cells"].values()) if self.simulation else 0
        name, scale, label = ("done", cells / 1e6, "Mcell-steps/s") if self.simulation else ("voxels", 1e-6, "Mvoxel/s")
        found = []
        least = max(0.2, self.span / 200)
        for run in self.runs:
            ready = run.named("cluster")[-1:]
            times, amounts = [seconds(ready[0]) if ready else run.begin], [float(run.begun["done"]) if cells else 0.0]
            # A rate needs some time: what many threads did may be counted at once.
            points = [(seconds(event), float(event.get(name, 0))) for event in run.progress]
            for number, (at, amount) in enumerate(points):
                last = number == len(points) - 1
                if at - times[-1] >= least or last:
                    if last and at - times[-1] < least and len(times) > 1:
                        times.pop()
                        amounts.pop()
                    times.append(at)
                    amounts.append(amount)
            rates = [
                max(0.0, b - a) * scale / max(end - begin, 1e-3)
                for a, b, begin, end in zip(amounts[:-1], amounts[1:], times[:-1], times[1:], strict=True)
            ]
            if rates:
                found.append(Pace([self.at_work(at) for at in times], rates))
        return found, label

    def lanes(self) -> list[Lane]:
        """A lane for each thread of each worker. Workers that are started again, or in the next run, keep theirs."""
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
            lane = names.get(row.worker, row.worker), known.index(row.thread)
            placed = replace(row, begin=self.at_work(row.begin), end=self.at_work(row.end))
            lanes.setdefault(lane, []).append(placed)
        return [
            Lane(lane_name(name, thread), rows, lost.get(name, ()) if thread == 0 else ())
            for (name, thread), rows in sorted(lanes.items(), key=lambda lane: (len(lane[0][0]), lane[0]))
        ]


def lane_name(worker: str, thread: int) -> str:
    return f"{'worker ' if len(worker) < 6 else ''}{worker}, thread {thread + 1}"
