"""What happened to a job, as one HTML page: made from what lies in OUT, during the job, after it, or after it died."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from functools import wraps
from math import prod
from pathlib import Path
from typing import Any, TypeVar

import yaml

import gridstride
from gridstride.pipeline import report_page as html
from gridstride.pipeline.errors import JobFailed, UsageError, megabytes
from gridstride.pipeline.events import read_events, read_lines, redact, seconds
from gridstride.pipeline.journal import Journal
from gridstride.pipeline.places import Place, durable_write
from gridstride.pipeline.spans import FILE, Row, read_spans
from gridstride.pipeline.status import Status, shortened, status
from gridstride.pipeline.stores import first_line
from gridstride.pipeline.story import clock, counted, duration, faults_text, name_of, runs

KINDS = {"finished": "good", "running": "busy", "failed": "bad", "stopped": "warn", "killed": "warn"}
MOST_FAULTS = 200  # lines of the table
T = TypeVar("T")


def check_report(file: str | Path) -> Path:
    """The path of a report to be written. Raises UsageError for a file that is there and is none of our reports."""
    path = Path(file)
    try:
        with path.open("rb") as there:
            ours = html.GENERATOR.encode() in there.read(1000)
    except OSError:
        ours = False
    if path.is_file() and not ours:
        raise UsageError(f"{path} exists and is no report of gridstride: give another name")
    from gridstride.pipeline.picture_files import check_file

    return check_file(path, ours, (".html", ".htm"))


def reported(run: Callable[..., T]) -> Callable[..., T]:
    """A function that runs a job, and then writes the report that its options ask for, however the job ends."""

    @wraps(run)
    def run_and_report(prepared: Any, client: Any = None) -> T:
        file = prepared.options.report
        if file is None:
            return run(prepared, client)
        path = check_report(file)
        try:
            summary = run(prepared, client)
        except UsageError:  # nothing was begun
            raise
        except BaseException:
            try:
                write_report(prepared.out, path)
            except Exception as error:  # how the job ended is the news
                print(f"gridstride: {path} was not written: {first_line(error)}", file=sys.stderr)
            raise
        try:
            write_report(prepared.out, path)
        except UsageError as error:
            raise JobFailed(f"the job is done, but not its report: {error}") from error
        return summary

    return run_and_report


def write_report(out: str | Place, file: str | Path) -> Path:
    """Write the report about the job at `out` into an HTML file. Raises UsageError if either cannot be."""
    path = check_report(file)
    content = Story(out).page()
    try:
        durable_write(path, content.encode())
    except OSError as error:
        raise UsageError(f"{path} cannot be written: {first_line(error)}") from error
    return path


class Story:
    """What is known of a job."""

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

    @property
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

    def paces(self) -> tuple[list[Any], str]:
        """The rate of each run over time, and its unit."""
        from gridstride.pipeline.report_charts import Pace

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

    def lanes(self) -> list[Any]:
        """A lane for each thread of each worker. Workers that are started again, or in the next run, keep theirs."""
        from gridstride.pipeline.report_charts import Lane

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

    # --- the page ---------------------------------------------------------------------------------------------------

    def page(self) -> str:
        page = html.Page(self.title())
        page.header(f"gridstride report · job {self.status.job}", *self.outcome(), self.lead(), self.tiles())
        from gridstride.pipeline.report_pictures import flow_pictures, image_pictures

        shown = flow_pictures(self.out) if self.simulation else image_pictures(self.input, self.out)
        page.section("pictures", "Flow" if self.simulation else "Input and result", *shown)
        if self.faults:
            page.section("events", "Faults and retries", self.fault_table())
        self.charts(page)
        page.section("plan", "Plan", html.facts({**self.begun.get("plan", {}), **self.parameters()}))
        page.section("runs", "Runs", self.run_table())
        page.section("machine", "Software and machine", html.facts(self.machine()))
        if self.simulation:
            case = html.code(yaml.safe_dump(self.record["case"], sort_keys=False))
            page.section("case", "Case", html.folded("All fields, as resolved", case))
        return page.render(f"Written by gridstride {gridstride.__version__} on {clock(time.time())}, from {self.out}.")

    def title(self) -> str:
        if self.simulation:
            return str(self.record["case"].get("name") or name_of(self.out))
        return f"{self.status.what}: {name_of(self.record['input'])} → {name_of(self.out)}"

    def outcome(self) -> tuple[str, str]:
        state, faults = self.status.state, self.faults
        word = {"killed": "Cut short", "stopped": "Stopped"}.get(state, state.capitalize())
        if state == "finished" and faults:
            word += ", after faults"
        return KINDS[state], word

    def lead(self) -> str:
        found = self.status
        if found.state == "finished":
            begin, end = found.started, found.last
            when = f" on {clock(end)}" if end else ""
            return f"{found.total} {found.unit}{when}" + (f", begun on {clock(begin)}" if begin else "")
        if found.state == "running":
            return f"{found.done} of {found.total} {found.unit} so far"
        return f"{found.why}; go on with: {found.resume}"

    def tiles(self) -> dict[str, tuple[str, str]]:
        found, spent = self.status, self.total("seconds")
        tiles = {"done": (found.unit.capitalize(), f"{found.done} of {found.total}")}
        tiles["work"] = ("Time at work", duration(self.span))
        if self.simulation:
            tiles["time"] = ("Simulated time", found.more.get("time", "none yet"))
            cells = prod(self.record["case"]["grid"]["cells"].values())
            steps = self.total("last") - self.total("first")
            if spent:
                tiles["rate"] = ("Rate", f"{steps * cells / spent / 1e6:.1f} Mcell-steps/s")
        elif spent:
            tiles["rate"] = ("Rate", f"{self.total('voxels') / spent / 1e6:.1f} Mvoxel/s")
            tiles["data"] = (
                "Taken in, written", f"{megabytes(self.total('bytes_in'))}, {megabytes(self.total('bytes_out'))}"
            )  # fmt: skip
        if self.runs and (cluster := self.runs[-1].named("cluster")):
            threads = sum(int(worker.get("threads") or 0) for worker in cluster[-1]["workers"])
            tiles["workers"] = ("Workers", f"{cluster[-1]['count']} ({counted(threads, 'thread')})")
        tiles["faults"] = ("Faults", faults_text(self.faults) or "none")
        return tiles

    def charts(self, page: html.Page) -> None:
        from gridstride.pipeline import report_charts as charts

        if stages := self.stages():
            drawn = charts.stage_chart(stages)
            caption = "Each thread's time by what it did; stages of different threads overlap."
            page.section("stages", "Where the time went", html.chart(drawn, caption))
        paces, label = self.paces()
        if paces:
            faults = sorted({round(self.at_work(seconds(fault)), 2) for fault in self.faults})
            drawn = charts.rate_chart(paces, label, faults, self.borders[1:], self.span)
            caption = "From one report of progress to the next. Time at work leaves out the time between runs."
            page.section("throughput", "Throughput", html.chart(drawn, caption))
        if lanes := self.lanes():
            shown = lanes[: charts.MOST_LANES]
            drawn = charts.lanes_chart(shown, self.borders[1:], self.span)
            caption = "Short spans are drawn joined." + (
                f" {len(shown)} of {len(lanes)} threads are shown." if len(shown) < len(lanes) else ""
            )
            page.section("timeline", "Workers", html.chart(drawn, caption))

    def fault_table(self) -> str:
        """Faults with the same name and reason on one line: one bad chunk fails many blocks."""
        groups: dict[tuple[str, str], list[dict[str, Any]]] = {}
        told = [event for run in self.runs for event in run.events]
        for event in told:
            if event in self.faults or event["event"] in ("block-retried", "worker-restarted", "worker-joined"):
                groups.setdefault((event["event"], str(event.get("reason", event["text"]))), []).append(event)
        lines = []
        for (name, reason), events in groups.items():
            text = events[0]["text"] if len(events) == 1 else reason
            where = shortened([str(e["block"]) for e in events if "block" in e] or [str(events[0].get("name", ""))])
            lines.append((clock(seconds(events[0])), name.replace("-", " "), str(len(events)), where, text))
        left = len(lines) - MOST_FAULTS
        more = [html.paragraph(f"{left} more are in .gridstride/events.jsonl.", "soft")] if left > 0 else []
        head = ("first", "event", "times", "block or worker", "what happened")
        return html.table(head, lines[:MOST_FAULTS], ("times",), ("first", "event")) + "".join(more)

    def run_table(self) -> str:
        lines = []
        for number, run in enumerate(self.runs, start=1):
            end = run.ending
            last = number == len(self.runs) and self.status.state == "running"
            how = (
                end["text"] if end else "still running" if last else "ended without a word: killed, or the machine died"
            )
            word = {"finished": "", "failed": "failed: ", "stopped": ""}[end["event"]] if end else ""
            lines.append(
                (str(number), clock(run.begin), duration(run.last - run.begin), str(run.begun["done"]), word + how,
                 faults_text(run.faults) or "none", str(run.begun.get("command") or "called from Python"))
            )  # fmt: skip
        head = ("run", "began", "lasted", f"{self.status.unit} before", "how it ended", "faults", "command")
        return html.table(head, lines, ("run", f"{self.status.unit} before"), ("began", "lasted", "faults"))

    def parameters(self) -> dict[str, str]:
        """What the user asked for."""
        request = self.record.get("request", {})
        asked = ", ".join(f"{name}={value}" for name, value in request.items() if name != "command")
        places = {} if self.simulation else {"from": str(self.record["input"])}
        return {**({"asked for": asked} if asked else {}), **places, "to": redact(str(self.out))}

    def machine(self) -> dict[str, str]:
        """Of the last run."""
        known = self.begun.get("machine", {})
        rows = {name: str(known[name]) for name in ("host", "system", "processor", "cores") if name in known}
        if "memory" in known:
            rows["memory"] = megabytes(known["memory"])
        if known.get("gpus"):
            rows["GPUs"] = ", ".join(map(str, known["gpus"]))
        versions = self.begun.get("versions", {})
        rows["versions"] = ", ".join(f"{name} {version}" for name, version in versions.items())
        for event in self.runs[-1].named("cluster")[-1:] if self.runs else ():
            rows["workers"] = "; ".join(
                f"{w.get('name')} at {w.get('worker')}, {counted(int(w.get('threads') or 0), 'thread')}"
                for w in event["workers"][:16]
            ) + (f" and {event['count'] - 16} more" if event["count"] > 16 else "")
        return rows


def lane_name(worker: str, thread: int) -> str:
    return f"{'worker ' if len(worker) < 6 else ''}{worker}, thread {thread + 1}"
