"""The page about a job: which sections it has, and what they say."""

from __future__ import annotations

import time
from math import prod
from typing import Any

import yaml

import gridstride
from gridstride.pipeline.errors import megabytes
from gridstride.pipeline.events.events import redact, seconds
from gridstride.pipeline.events.story import clock, counted, duration, faults_text, name_of
from gridstride.pipeline.reports import charts
from gridstride.pipeline.reports import page as html
from gridstride.pipeline.reports.figures import Figures
from gridstride.pipeline.reports.pictures import flow_pictures, image_pictures
from gridstride.pipeline.reports.status import shortened

KINDS = {"finished": "good", "running": "busy", "failed": "bad", "stopped": "warn", "killed": "warn"}
MOST_FAULTS = 200  # lines of the table


class Story(Figures):
    """The page about a job."""

    def page(self) -> str:
        page = html.Page(self.title())
        page.header(f"gridstride report · job {self.status.job}", *self.outcome(), self.lead(), self.tiles())
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
