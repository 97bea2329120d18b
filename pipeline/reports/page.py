"""The page about a job: its texts, tables and charts, put into the template page.html."""

from __future__ import annotations

import time

import yaml
from jinja2 import Environment, PackageLoader, StrictUndefined

import gridstride
from gridstride.pipeline.events.events import redact, seconds
from gridstride.pipeline.events.story import REMARKS, Event, Run, faults_text, is_fault
from gridstride.pipeline.reports import charts
from gridstride.pipeline.reports.history import History
from gridstride.pipeline.reports.pictures import flow_pictures, image_pictures
from gridstride.pipeline.reports.status import shortened
from gridstride.pipeline.text import base_name, clock, counted, duration, megabytes

OUTCOMES = {
    "finished": ("good", "Finished"), "running": ("busy", "Running"), "failed": ("bad", "Failed"),
    "stopped": ("warn", "Stopped"), "killed": ("warn", "Cut short"),
}  # fmt: skip
MOST_FAULTS = 200  # lines of the table
MOST_WORKERS = 16  # named


def render(job: History, generator: str = "") -> str:
    """The page as HTML. generator: the mark by which a later report knows the file as one of ours."""
    found, begun = job.status, job.begun
    kind, word = OUTCOMES[found.state]
    if found.state == "finished" and job.faults:
        word += ", after faults"
    faults = fault_rows(job)
    templates = Environment(
        loader=PackageLoader("gridstride.pipeline.reports", "."), autoescape=True, undefined=StrictUndefined,
        trim_blocks=True, lstrip_blocks=True,
    )  # fmt: skip
    return templates.get_template("page.html").render(
        generator=generator,
        version=gridstride.__version__,
        written=clock(time.time()),
        job=found.job,
        title=title(job),
        outcome={"kind": kind, "word": word},
        lead=lead(job),
        tiles=tiles(job),
        pictures=flow_pictures(job.out) if job.simulation else image_pictures(job.input, job.out),
        faults=faults[:MOST_FAULTS],
        faults_left_out=max(0, len(faults) - MOST_FAULTS),
        charts=[
            ("stages", "Where the time went", charts.stage_chart(job)),
            ("throughput", "Throughput", charts.rate_chart(job)),
            ("timeline", "Workers", charts.lanes_chart(job)),
        ],
        plan={**begun.get("plan", {}), **parameters(job)},
        unit=found.unit,
        runs=[run_row(job, number, run) for number, run in enumerate(job.runs, start=1)],
        machine=machine(begun, job.runs),
        case=yaml.safe_dump(job.record["case"], sort_keys=False) if job.simulation else "",
        out=redact(str(job.out)),
    )


def title(job: History) -> str:
    if job.simulation:
        return str(job.record["case"].get("name") or base_name(job.out))
    return f"{job.status.what}: {base_name(job.record['input'])} → {base_name(job.out)}"


def lead(job: History) -> str:
    """The progress of the job, its times, and the command that resumes it."""
    found = job.status
    if found.state == "finished":
        times = [f" {word} {clock(at)}" for word, at in (("started", found.started), ("finished", found.last)) if at]
        return f"{found.total} {found.unit}" + "".join(f",{text}" for text in times)
    if found.state == "running":
        return f"{found.done} of {found.total} {found.unit} so far"
    return f"{found.why}; resume with: {found.resume}"


def tiles(job: History) -> dict[str, tuple[str, str]]:
    """The figures at the top: {id: (name, value)}."""
    found, spent = job.status, job.total("seconds")
    shown = {"done": (found.unit.capitalize(), f"{found.done} of {found.total}")}
    shown["work"] = ("Time at work", duration(job.span))
    if job.simulation:
        shown["time"] = ("Simulated time", found.more.get("time", "none yet"))
        work, unit = (job.total("last") - job.total("first")) * job.cells, "Mcell-steps/s"
    else:
        work, unit = job.total("voxels"), "Mvoxel/s"
    if spent:
        shown["rate"] = ("Rate", f"{work / spent / 1e6:.1f} {unit}")
        if not job.simulation:
            moved = (megabytes(job.total(name)) for name in ("bytes_in", "bytes_out"))
            shown["data"] = ("Read, written", ", ".join(moved))
    if job.runs and (cluster := job.runs[-1].named("cluster")):
        threads = sum(int(worker.get("threads") or 0) for worker in cluster[-1]["workers"])
        shown["workers"] = ("Workers", f"{cluster[-1]['count']} ({counted(threads, 'thread')})")
    shown["faults"] = ("Faults", faults_text(job.faults) or "none")
    if job.runs and (remarks := job.runs[-1].named(*REMARKS)):
        shown["remarks"] = ("Remarks", "; ".join(dict.fromkeys(str(event["text"]) for event in remarks)))
    return shown


def fault_rows(job: History) -> list[tuple[str, ...]]:
    """Faults with the same name and reason on one line: one bad chunk fails many blocks."""
    if not job.faults:
        return []
    mended = ("block-retried", "worker-restarted", "worker-joined")
    groups: dict[tuple[str, str], list[Event]] = {}
    for event in (event for run in job.runs for event in run.events):
        if is_fault(event) or event["event"] in mended:
            groups.setdefault((event["event"], str(event.get("reason", event["text"]))), []).append(event)
    rows: list[tuple[str, ...]] = []
    for (name, reason), events in groups.items():
        text = events[0]["text"] if len(events) == 1 else reason
        where = shortened([str(e["block"]) for e in events if "block" in e] or [str(events[0].get("name", ""))])
        rows.append((clock(seconds(events[0])), name.replace("-", " "), str(len(events)), where, text))
    return rows


def run_row(job: History, number: int, run: Run) -> tuple[str, ...]:
    """A run's line in the table of runs."""
    if end := run.ending:
        how = f"failed: {end['text']}" if end["event"] == "failed" else end["text"]
    elif number == len(job.runs) and job.status.state == "running":
        how = "still running"
    else:
        how = "ended without a message: killed, or the machine went down"
    command = str(run.begun.get("command") or "called from Python")
    lasted, faults = duration(run.last - run.begin), faults_text(run.faults) or "none"
    return str(number), clock(run.begin), lasted, str(run.begun["done"]), how, faults, command


def parameters(job: History) -> dict[str, str]:
    """The user's own parameters, and the paths."""
    request = job.record.get("request", {})
    given = ", ".join(f"{name}={value}" for name, value in request.items() if name != "command")
    paths = {} if job.simulation else {"from": str(job.record["input"])}
    return {**({"parameters": given} if given else {}), **paths, "to": redact(str(job.out))}


def machine(begun: Event, runs: list[Run]) -> dict[str, str]:
    """The machine, the versions and the workers of the last run."""
    known = begun.get("machine", {})
    rows = {name: str(known[name]) for name in ("host", "system", "processor", "cores") if name in known}
    if "memory" in known:
        rows["memory"] = megabytes(known["memory"])
    if known.get("gpus"):
        rows["GPUs"] = ", ".join(map(str, known["gpus"]))
    rows["versions"] = ", ".join(f"{name} {version}" for name, version in begun.get("versions", {}).items())
    for event in runs[-1].named("cluster")[-1:] if runs else ():
        workers = [
            f"{w.get('name')} at {w.get('worker')}, {counted(int(w.get('threads') or 0), 'thread')}"
            for w in event["workers"][:MOST_WORKERS]
        ]
        more = f" and {event['count'] - MOST_WORKERS} more" if event["count"] > MOST_WORKERS else ""
        rows["workers"] = "; ".join(workers) + more
    return rows
