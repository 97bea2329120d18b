"""How far a job is, seen from outside: from its markers, its lock and its events. Nothing here writes or waits."""

from __future__ import annotations

import json
import os
import time
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from math import prod
from typing import Any

import numpy as np
from rich.table import Table
from rich.text import Text

from gridstride.pipeline.errors import UsageError
from gridstride.pipeline.events.events import one_line, read_events, seconds
from gridstride.pipeline.events.story import Run, clock, duration, faults_text, runs
from gridstride.pipeline.storage.journal import Journal, marked_box
from gridstride.pipeline.storage.lock import is_held
from gridstride.pipeline.storage.paths import Place
from gridstride.pipeline.storage.remote import Remote

MOST_REASONS = 10


@dataclass
class Status:
    """A job as it stands. Times are seconds of the Unix epoch; rate is in `unit` a second.

    state: running, finished, stopped, failed, or killed; why: how the last run ended, where it was not well
    last: when the last block was finished, or the last step told; left: seconds to go at this rate
    failed: {block: reason} of the last run; faults: what went wrong in it, in words
    more: lines of a simulation
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
        """The command that goes on with it; None where nothing is to do."""
        return None if self.state in ("running", "finished") else f"gridstride resume {self.out}"

    def plain(self) -> dict[str, Any]:
        """For machines."""
        return {**asdict(self), "resume": self.resume}


def status(out: str | Place) -> Status:
    """How far the job that writes `out` is. Raises UsageError if there is none."""
    journal = Journal(out)
    out = journal.out
    if not journal.exists():
        raise UsageError(f"{out} holds no gridstride job")
    record = journal.read()
    told = runs(read_events(journal.folder))
    running = is_held(journal.folder / "lock")
    if record.get("kind") == "simulation":
        found = _simulation(out, record, told, running)
    else:
        found = _job(journal, record, told, running)
    found.runs = len(told)
    if told:
        found.started = told[0].begin
        last = told[-1]
        begun = last.begun
        found.process = f"process {begun.get('pid')} on {begun.get('machine', {}).get('host')}"
        found.faults = faults_text(last.faults)
        found.failed = {str(e.get("block")): str(e.get("reason", e["text"])) for e in last.named("block-lost")}
        found.workers = _workers(last)
    if found.total and found.done >= found.total:
        found.state = "running" if running else "finished"
    elif running:
        found.state = "running"
        if found.rate:
            found.left = (found.total - found.done) / found.rate
    else:
        ending = told[-1].ending if told else None
        found.state = ending["event"] if ending else "killed"
        found.why = ending["text"] if ending else "it ended without a word"
        if found.state == "finished":
            found.state, found.why = "killed", "it had finished, but markers or checkpoints of it are gone"
    return found


def _job(journal: Journal, record: dict[str, Any], told: list[Run], running: bool) -> Status:
    request = record["request"]
    found = Status(str(journal.out), request["command"], record["hash"], "", 0, _blocks(journal.folder), "blocks")
    counts, times = _markers(journal)
    found.done = int(counts.sum())
    if times.size:
        found.last = float(times.max())
        since = told[-1].begin - 1 if told else 0.0
        found.rate = recent_rate(counts, times, since, time.time() if running else found.last)
    elif told:
        found.last, found.rate = _told_rate(told[-1])
    return found


def _told_rate(run: Run) -> tuple[float | None, float | None]:
    """When a run last told of its progress, and what it did a second between the first time and that."""
    said = run.progress
    if not said:
        return None, None
    amount, span = said[-1]["done"] - said[0]["done"], seconds(said[-1]) - seconds(said[0])
    return seconds(said[-1]), amount / span if span > 0 and amount > 0 else None


def _markers(journal: Journal) -> tuple[np.ndarray, np.ndarray]:
    """Of each marker: how many blocks it stands for; and when it was made, where they are files."""
    counts, times = [], []
    if isinstance(journal.blocks, Remote):
        counts = [_count(name) for name in journal.markers()]
    elif journal.blocks.is_dir():
        with os.scandir(journal.blocks) as entries:
            for entry in entries:
                with suppress(FileNotFoundError, ValueError):  # removed meanwhile; not a marker
                    blocks, at = _count(entry.name), entry.stat().st_mtime
                    counts.append(blocks)
                    times.append(at)
    return np.array(counts, np.int64), np.array(times)


def _count(marker: str) -> int:
    return prod(b - a + 1 for a, b in zip(*marked_box(marker), strict=True))


def recent_rate(counts: np.ndarray, times: np.ndarray, since: float, until: float) -> float | None:
    """Blocks a second, over the later half of those finished after `since`."""
    recent = times >= since
    counts, times = counts[recent], times[recent]
    if times.size < 2:
        return None
    order = np.argsort(times)
    first = times.size // 2 - 1
    span = until - float(times[order[first]])
    return float(counts[order[first + 1 :]].sum()) / span if span > 0 else None


def _blocks(folder: Place) -> int:
    """Number of blocks of a job's plan; 0 while that is not written yet."""
    try:
        edges = json.loads((folder / "work.json").read_bytes())["plan"]["edges"]
    except (OSError, ValueError, KeyError):
        return 0
    return prod(len(axis) - 1 for axis in edges)


def _simulation(out: Place, record: dict[str, Any], told: list[Run], running: bool) -> Status:
    from gridstride.pipeline.simulations.states import read_checkpoint
    from gridstride.pipeline.simulations.store import FlowStore

    checkpoint = read_checkpoint(out)
    reached = 0 if checkpoint is None else checkpoint.step
    name = record["case"].get("name") or "simulation"
    found = Status(str(out), f"simulation {name}", record["hash"], "", reached, 0, "steps")
    if told:
        found.total = int(told[-1].begun.get("total", 0))
        found.last, found.rate = _told_rate(told[-1])
        if running and told[-1].progress:
            found.done = max(reached, int(told[-1].progress[-1]["done"]))
    try:
        store = FlowStore.open(out)
    except UsageError:  # not laid out yet
        return found
    about = store.attributes["gridstride"]
    dt, found.total = float(about["dt"]), int(about["steps"])
    written = sum(1 for _ in store.written(store.fields))
    found.more["time"] = f"t = {found.done * dt:.4g} of {found.total * dt:.4g}"
    found.more["checkpoint"] = f"step {reached}, t = {reached * dt:.4g}" if checkpoint else "none yet"
    found.more["snapshots"] = f"{written} of {store.times.size} written"
    return found


def by_reason(failed: dict[str, str]) -> dict[str, list[str]]:
    """The blocks that failed for each reason: one bad chunk takes many with it."""
    found: dict[str, list[str]] = {}
    for block, why in failed.items():
        found.setdefault(why, []).append(block)
    return found


def shortened(blocks: list[str], most: int = 6) -> str:
    """Some blocks by name, and how many more there are."""
    more = f" and {len(blocks) - most} more" if len(blocks) > most else ""
    return ", ".join(blocks[:most]) + more


def _workers(run: Run) -> int | None:
    """Workers that the run last knew of."""
    known = None
    for event in run.named("cluster", "worker-lost", "worker-joined", "worker-restarted"):
        if event["event"] == "cluster":
            known = int(event["count"])
        elif known is not None:
            known += -1 if event["event"] == "worker-lost" else 1
    return known


def title(found: Status) -> str:
    """A status in one line."""
    return one_line(f"{found.out}: {found.what}, {found.state}")


def table(found: Status) -> Table:
    """A status for people."""
    now = time.time()
    share = f" ({100 * found.done / found.total:.3g} %)" if found.total else ""
    shown = Table(show_header=False)
    rows = {found.unit: f"{found.done} of {found.total or '?'}{share}", **found.more}
    if found.rate and found.state == "running":
        rows["rate"] = f"{found.rate:.3g} {found.unit} a second"
        rows["rate"] += f", about {duration(found.left)} left" if found.left else ""
    if found.started:
        again = f", in {found.runs} runs" if found.runs > 1 else ""
        rows["started"] = f"{clock(found.started)} ({duration(now - found.started)} ago{again})"
    if found.last:
        rows[f"last {found.unit[:-1]}"] = f"{clock(found.last)} ({duration(now - found.last)} ago)"
    if found.state == "running":
        workers = "" if found.workers is None else f", workers: {found.workers}"
        rows["run by"] = f"{found.process}{workers}"
    if found.faults:
        rows["faults"] = found.faults
    if found.why:
        rows["ended"] = found.why
    reasons = [f"block {shortened(blocks)}: {' '.join(why.split())}" for why, blocks in by_reason(found.failed).items()]
    if len(reasons) > MOST_REASONS:
        reasons[MOST_REASONS:] = [f"... and for {len(reasons) - MOST_REASONS} more reasons"]
    if reasons:
        rows["given up"] = "\n".join(reasons)
    if found.resume:
        rows["go on with"] = found.resume
    for name, text in rows.items():
        shown.add_row(name, Text("\n".join(one_line(line) for line in text.split("\n"))))
    return shown
