"""The event log of a job: one line for each event, on the terminal for people, as JSON for machines (`--log-json`,
`--log`), and in OUT/.gridstride/events.jsonl, which keeps the events of all runs of the job.

An event is a dict: time (ISO 8601, UTC), level, event (its name), job (hash), text (for people), and further facts such
as block (its index), worker and counts. The names:

    note waiting started resumed cluster progress checkpoint finished failed stopped
    block-failed block-retried block-alone block-lost
    worker-joined worker-lost worker-restarted worker-stuck state-lost job-replaced cluster-warning
    case-warning result-warning
"""

from __future__ import annotations

import json
import logging
import math
import os
import re
import shlex
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.text import Text

from gridstride.pipeline.errors import UsageError
from gridstride.pipeline.events.lines import LinesFile, read_lines
from gridstride.pipeline.events.machine import machine, versions
from gridstride.pipeline.events.spans import Spans
from gridstride.pipeline.storage.paths import StorePath, at_home
from gridstride.pipeline.text import one_line

if TYPE_CHECKING:
    from gridstride.pipeline.options import RunOptions

FILE = "events.jsonl"
# Lines shown to people for each event name; the file has them all.
MOST_SHOWN = 5
NAMES = ("time", "level", "event", "text")  # what every event has
# Not printed for people: the plan, the progress bar or the summary shows these; Python warns of them.
SHOWN_ELSEWHERE = (
    "started", "resumed", "cluster", "progress", "checkpoint", "finished", "failed", "stopped", "block-lost",
    "case-warning", "result-warning",
)  # fmt: skip
COLOURS = {"info": "", "warning": "yellow", "error": "red"}
# Credentials in addresses: scheme://user:password@host, and values of a query that grant access.
USERINFO = re.compile(r"(?<=://)[^/@\s]*@")
QUERY = re.compile(r"(?i)([?&](?:[a-z0-9_.-]*(?:signature|credential|token|secret|password|key|sig))=)[^&\s\"']+")


def redact(text: str) -> str:
    """Replace credentials in addresses by ***."""
    return QUERY.sub(r"\1***", USERINFO.sub("***@", text))


class Events:
    """The event log of one run of a job. Without arguments it writes nowhere.

    folder: the job's journal; job: its hash; show: print for people; as_json: print JSON lines on stderr
    log: another file that gets the JSON lines
    """

    def __init__(
        self,
        folder: Path | None = None,
        job: str = "",
        show: bool = False,
        as_json: bool = False,
        log: str | Path | None = None,
    ) -> None:
        self.job, self.show, self.as_json = job, show and not as_json, as_json
        self.console = Console(stderr=True)
        self.spans = Spans(folder)
        self.faults: Counter[str] = Counter()
        self._files = [LinesFile(at_home(path)) for path in (folder and folder / FILE, log) if path]
        self._lock = threading.Lock()
        self._begin = self._progressed = time.monotonic()
        # The clock is read once, so that setting it during a run neither repeats nor skips a time.
        self._epoch = time.time() - self._begin

    def __enter__(self) -> Events:
        return self

    def __exit__(self, *_: object) -> None:
        self.spans.close()
        with self._lock:
            for file in self._files:
                file.close()
            self._files = []

    def say(self, event: str, text: str, level: str = "info", **facts: Any) -> None:
        """Log an event. A line that cannot be written is dropped; the job continues."""
        text = redact(one_line(text))
        line = {"time": self._now(), "level": level, "event": event, "job": self.job, "text": text, **facts}
        data = redact(json.dumps(finite(line), default=str))
        with self._lock:
            self.faults[event] += level != "info"
            for file in self._files:
                file.append(data, sync=level != "info" or event != "progress")
        if self.as_json:
            print(data, file=sys.stderr, flush=True)
        elif self.show and event not in SHOWN_ELSEWHERE:
            self._print(event, text, level)

    def _now(self) -> str:
        at = datetime.fromtimestamp(self._epoch + time.monotonic(), UTC)
        return at.isoformat(timespec="milliseconds").replace("+00:00", "Z")

    def _print(self, event: str, text: str, level: str) -> None:
        count = self.faults[event]
        if count > MOST_SHOWN:
            return
        if count == MOST_SHOWN:
            text += f" (further {event} lines are not shown; all are in .gridstride/{FILE})"
        clock = datetime.now().strftime("%H:%M:%S")
        word = "" if level == "info" else f"{level}: "
        self.console.print(Text(f"{clock} {word}{text}", style=COLOURS[level]), soft_wrap=True)

    def progress(self, done: int, total: int, unit: str, text: str, **facts: Any) -> None:
        """Log the progress of the job, less and less often the longer it runs, so that the log stays small."""
        at = time.monotonic()
        if at - self._progressed >= max(0.5, (at - self._begin) / 100) or done == total:
            self._progressed = at
            self.say("progress", text, done=done, total=total, unit=unit, **facts)


def say_waiting(options: RunOptions) -> Callable[[str], None]:
    """A function that tells what a job waits for before its event log is open."""
    return lambda text: Events(show=options.watched, as_json=options.log_json).say("waiting", text)


@contextmanager
def open_events(
    folder: Path, job: str, options: RunOptions, device: str, begun: bool, **facts: Any
) -> Iterator[Events]:
    """Open the event log of one run of a job; log its start, and how it ended if it was stopped or failed.

    begun: whether an earlier run has done a part of it. Raises UsageError if the log cannot be written.
    """
    try:
        events = Events(folder, job, options.watched, options.log_json, options.log)
    except OSError as error:
        raise UsageError(f"{error.filename} cannot be written: {error.strerror}") from None
    with events, _cluster_log(events):
        name, what = ("resumed", "job resumed") if begun else ("started", "job started")
        events.say(
            name,
            f"{what}: {facts['done']} of {facts['total']} {facts['unit']} done",
            command=command_line(),
            pid=os.getpid(),
            device=device,
            versions=versions(),
            machine=machine(device),
            **facts,
        )
        try:
            yield events
        except KeyboardInterrupt as error:
            events.say("stopped", f"stopped by {str(error) or 'the user'}", "warning")
            raise
        except BaseException as error:
            events.say("failed", str(error) or type(error).__name__, "error")
            raise


@contextmanager
def _cluster_log(events: Events) -> Iterator[None]:
    """Turn log records of the logger gridstride.cluster into events, so that they do not go to stderr on their own."""

    class Forward(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            level = "error" if record.levelno >= logging.ERROR else "warning"
            events.say(getattr(record, "event", "cluster-warning"), record.getMessage(), level)

    logger, forward = logging.getLogger("gridstride.cluster"), Forward(logging.WARNING)
    logger.addHandler(forward)
    before, logger.propagate = logger.propagate, False
    try:
        yield
    finally:
        logger.propagate = before
        logger.removeHandler(forward)


def command_line() -> str | None:
    """The gridstride command of this process, or None if another program imported gridstride."""
    program, *arguments = sys.argv or [""]
    ours = Path(program).name == "gridstride" or Path(program).parts[-2:] == ("commands", "main.py")
    return shlex.join(["gridstride", *arguments]) if ours else None


def finite(value: Any) -> Any:
    """The value with NaN and infinities, which JSON lacks, replaced by None."""
    if isinstance(value, dict):
        return {str(k): finite(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [finite(v) for v in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def seconds(event: dict[str, Any]) -> float:
    """An event's time, in seconds of the Unix epoch."""
    return datetime.fromisoformat(event["time"]).timestamp()


def read_events(folder: StorePath) -> Iterator[dict[str, Any]]:
    """The events in a journal's folder, in order, without lines that are not events: a kill may cut one short."""
    for line in read_lines(folder / FILE):
        if isinstance(line, dict) and all(isinstance(line.get(name), str) for name in NAMES):
            with suppress(ValueError, OverflowError):
                seconds(line)
                yield line
