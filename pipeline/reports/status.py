"""The status of a job, read from its markers, its lock and its event log. Nothing here writes or waits."""

from __future__ import annotations

import json
import os
import shlex
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from math import prod
from typing import Any

import numpy as np
from rich.table import Table
from rich.text import Text

from gridstride.pipeline.errors import UsageError
from gridstride.pipeline.events.events import read_events, seconds
from gridstride.pipeline.events.story import Run, faults_text, runs
from gridstride.pipeline.simulations.states import read_checkpoint
from gridstride.pipeline.simulations.store import FlowStore
from gridstride.pipeline.storage.journal import Journal, marked_box
from gridstride.pipeline.storage.lock import is_held
from gridstride.pipeline.storage.paths import StorePath
from gridstride.pipeline.storage.remote import Remote
from gridstride.pipeline.text import clock, counted, duration, one_line
from gridstride.workers.families.user_code import split_program

MOST_REASONS = 10


@dataclass
class Status:
    """The status of a job. Times are seconds of the Unix epoch; `rate` is in `unit` per second.

    state: running, finished, stopped, failed, or killed; why: how the last run ended, if it did not finish
    last: when the last block was done or the last step logged; left: seconds until the end at this rate
    failed: {block: reason} of the last run; faults: those of the last run, counted in words
    more: further lines about a simulation
    """

    out: str
    what: str
    job: str
    state: str
    done: int
    total: int
    unit: str
    started: float | None = None
    runs: int = 0
    last: float | None = None
    rate: float | None = None
    left: float | None = None
    why: str = ""
    process: str = ""
    workers: int | None = None
    faults: str = ""
    failed: dict[str, str] = field(default_factory=dict)
    more: dict[str, str] = field(default_factory=dict)

    @property
    def resume(self) -> str | None:
        """The command that resumes it; None if it is running or finished."""
        return None if self.state in ("running", "finished") else resume_command(self.out)

    def plain(self) -> dict[str, Any]:
        """The fields as a dict, for JSON."""
        return {**asdict(self), "resume": self.resume}


def status(out: str | StorePath) -> Status:
    """The status of the job that writes `out`. Raises UsageError if there is no job."""
    journal = Journal(out)
    if not journal.exists():
        if not journal.out.exists():
            raise UsageError(f"{journal.out} does not exist")
        raise UsageError(f"{journal.out} is not the output of a gridstride job")
    record, past = journal.read(), runs(read_events(journal.folder))
    running = is_held(journal.folder / "lock")
    look = _simulation if record.get("kind") == "simulation" else _job
    found = look(journal, record, past, running)
    found.runs = len(past)
    if past:
        begun, last = past[-1].begun, past[-1]
        found.started = past[0].begin
        found.process = f"process {begun.get('pid')} on {begun.get('machine', {}).get('host')}"
        found.faults = faults_text(last.faults)
        found.failed = {str(e.get("block")): str(e.get("reason", e["text"])) for e in last.named("block-lost")}
        found.workers = _workers(last)
    if running:
        found.state = "running"
        if found.rate and found.done < found.total:
            found.left = (found.total - found.done) / found.rate
    elif found.total and found.done >= found.total:
        found.state = "finished"
    elif ending := past[-1].ending if past else None:
        found.state, found.why = ending["event"], ending["text"]
        if found.state == "finished":
            found.state, found.why = "killed", "it was finished, but markers or checkpoints are missing"
    else:
        found.state, found.why = "killed", "it ended without a message"
    return found


def _job(journal: Journal, record: dict[str, Any], past: list[Run], running: bool) -> Status:
    counts, times = _markers(journal)
    total = prod(record["grid"])
    done = int(counts.sum())
    found = Status(str(journal.out), record["request"]["command"], record["hash"], "", done, total, "blocks")
    if done < total and (before := list(_sweeps_before(journal))):
        found.more["sweeps before"] = ", ".join(f"{n} of {counted(of, 'block')}" for n, of in before)
    if times.size:
        found.last = float(times.max())
        since = past[-1].begin - 1 if past else 0.0
        found.rate = recent_rate(counts, times, since, time.time() if running else found.last)
    elif past:
        found.last, found.rate = _logged_rate(past[-1])
    return found


def _sweeps_before(journal: Journal) -> Iterator[tuple[int, int]]:
    """Finished and all blocks of each sweep that comes before the one that writes the result."""
    for part in journal.parts():
        with suppress(FileNotFoundError, ValueError, KeyError):
            work = json.loads((journal.folder / part / "sweep.json").read_bytes())
            edges = work["fields"]["plan"]["fields"]["edges"]
            yield int(_markers(Journal(journal.out, part))[0].sum()), prod(len(line) - 1 for line in edges)


def _simulation(journal: Journal, record: dict[str, Any], past: list[Run], running: bool) -> Status:
    checkpoint = read_checkpoint(journal.out)
    reached = 0 if checkpoint is None else checkpoint.step
    name = record["case"].get("name") or "simulation"
    found = Status(str(journal.out), f"simulation {name}", record["hash"], "", reached, 0, "steps")
    if past:
        found.total = int(past[-1].begun.get("total", 0))
        found.last, found.rate = _logged_rate(past[-1])
        if running and past[-1].progress:
            found.done = max(reached, int(past[-1].progress[-1]["done"]))
    with suppress(UsageError):  # its arrays are not created yet
        store = FlowStore.open(journal.out)
        about = store.attributes["gridstride"]
        dt, found.total = float(about["dt"]), int(about["steps"])
        written = sum(1 for _ in store.written(store.fields))
        found.more["time"] = f"t = {found.done * dt:.4g} of {found.total * dt:.4g}"
        found.more["checkpoint"] = f"step {reached}, t = {reached * dt:.4g}" if checkpoint else "none yet"
        found.more["snapshots"] = f"{written} of {store.times.size} written"
    return found


def _logged_rate(run: Run) -> tuple[float | None, float | None]:
    """Time of the last progress event of a run, and the rate from the first one to it."""
    said = run.progress
    if not said:
        return None, None
    amount, span = said[-1]["done"] - said[0]["done"], seconds(said[-1]) - seconds(said[0])
    return seconds(said[-1]), amount / span if span > 0 and amount > 0 else None


def _markers(journal: Journal) -> tuple[np.ndarray, np.ndarray]:
    """The number of blocks that each marker stands for, and, if markers are files, the time each was made."""

    def count(marker: str) -> int:
        return prod(b - a + 1 for a, b in zip(*marked_box(marker), strict=True))

    counts, times = [], []
    if isinstance(journal.blocks, Remote):
        counts = [count(name) for name in journal.markers()]
    elif journal.blocks.is_dir():
        with os.scandir(journal.blocks) as entries:
            for entry in entries:
                with suppress(FileNotFoundError, ValueError):  # removed meanwhile; not a marker
                    blocks, at = count(entry.name), entry.stat().st_mtime
                    counts.append(blocks)
                    times.append(at)
    return np.array(counts, np.int64), np.array(times)


def recent_rate(counts: np.ndarray, times: np.ndarray, since: float, until: float) -> float | None:
    """Blocks per second, over the later half of those finished after `since`."""
    order = np.argsort(times)
    order = order[times[order] >= since]
    middle = order.size // 2 - 1
    span = until - float(times[order[middle]]) if order.size > 1 else 0.0
    return float(counts[order[middle + 1 :]].sum()) / span if span > 0 else None


def _workers(run: Run) -> int | None:
    """Number of workers that the run had last; None if it logged none."""
    known = None
    for event in run.named("cluster", "worker-lost", "worker-joined", "worker-restarted"):
        if event["event"] == "cluster":
            known = int(event["count"])
        elif known is not None:
            known += -1 if event["event"] == "worker-lost" else 1
    return known


def shortened(blocks: list[str], most: int = 6) -> str:
    """The names of the first blocks, and the number of others."""
    more = f" and {len(blocks) - most} more" if len(blocks) > most else ""
    return ", ".join(blocks[:most]) + more


def resume_command(out: str | StorePath) -> str:
    """What to type to go on with a job; a program of the user's must be named, in Python if it is no file."""
    try:
        request = Journal(out).read().get("request", {})
    except UsageError:
        request = {}
    programs = [step["file"] for step in request.get("steps", [request]) if "code" in step]
    files = {name: found[0] for name in programs if (found := split_program(name))}
    if len(files) < len(set(programs)):
        named = ", ".join(repr(files[name]) if name in files else name for name in dict.fromkeys(programs))
        return f"gridstride.resume({str(out)!r}, code=[{named}]) in Python"
    named = "".join(f" --code {shlex.quote(file)}" for file in dict.fromkeys(files.values()))
    return f"gridstride resume {shlex.quote(str(out))}{named}"


def kept(out: str | StorePath) -> str:
    """What a job that was stopped leaves behind, and how to go on with it, as the end of a sentence."""
    try:
        found = status(out)
    except (UsageError, OSError):
        return "; nothing was written"
    if found.unit == "blocks":
        before = f" (sweeps before: {found.more['sweeps before']})" if "sweeps before" in found.more else ""
        what = f"{found.done} of {counted(found.total, 'block')}{before} are kept"
    else:
        what = (
            f"the checkpoint at step {found.done} of {found.total} is kept"
            if found.done
            else "there was no checkpoint yet"
        )
    return f"; {what}; go on with: {resume_command(out)}"


def table(found: Status) -> Table:
    """A status as a table for people."""
    now = time.time()
    share = f" ({100 * found.done / found.total:.3g} %)" if found.total else ""
    rows = {found.unit: f"{found.done} of {found.total or '?'}{share}", **found.more}
    if found.rate and found.state == "running":
        left = f", about {duration(found.left)} left" if found.left else ""
        rows["rate"] = f"{found.rate:.3g} {found.unit}/s{left}"
    if found.started:
        again = f", in {found.runs} runs" if found.runs > 1 else ""
        rows["started"] = f"{clock(found.started)} ({duration(now - found.started)} ago{again})"
    if found.last:
        rows[f"last {found.unit[:-1]}"] = f"{clock(found.last)} ({duration(now - found.last)} ago)"
    if found.state == "running":
        rows["run by"] = found.process + ("" if found.workers is None else f", workers: {found.workers}")
    rows |= {"faults": found.faults, "ended": found.why, "failed": "\n".join(failures(found.failed))}
    rows["resume with"] = found.resume or ""
    shown = Table(show_header=False)
    for name, text in rows.items():
        if text:
            shown.add_row(name, Text("\n".join(map(one_line, text.split("\n")))))
    return shown


def failures(failed: dict[str, str]) -> list[str]:
    """A line for each reason, with the blocks that failed for it: one bad chunk fails many blocks."""
    blocks: dict[str, list[str]] = {}
    for block, why in failed.items():
        blocks.setdefault(why, []).append(block)
    lines = [f"block {shortened(names)}: {one_line(why)}" for why, names in blocks.items()]
    left = len(lines) - MOST_REASONS
    return lines[:MOST_REASONS] + ([f"... and {counted(left, 'more reason')}"] if left > 0 else [])


def title(found: Status) -> str:
    """A status on one line."""
    return one_line(f"{found.out}: {found.what}, {found.state}")
