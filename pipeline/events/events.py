"""What happens to a job, one line for each event: on the terminal for people, as JSON for machines (`--log-json`,
`--log`), and in OUT/.gridstride/events.jsonl, where the story of all runs of a job outlives them.

An event is a dict: time (ISO 8601, UTC), level, event (its name), job (hash), text (for people), and what else there is
to say: block (its index), worker, counts. The names:

    waiting started resumed cluster progress checkpoint finished failed stopped
    block-failed block-retried block-alone block-lost
    worker-joined worker-lost worker-restarted worker-stuck state-lost job-replaced cluster-warning
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
from contextlib import contextmanager
from datetime import UTC, datetime
from io import StringIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.text import Text

from gridstride.pipeline.errors import UsageError
from gridstride.pipeline.events.machine import machine, versions
from gridstride.pipeline.events.spans import Spans
from gridstride.pipeline.storage.paths import Place
from gridstride.pipeline.storage.remote import Remote

if TYPE_CHECKING:
    from gridstride.pipeline.options import RunOptions

FILE = "events.jsonl"
SYNC_SECONDS = 1.0
# Of one name, so many lines are shown to people; the file has them all.
MOST_SHOWN = 5
# The plan, the bar and the summary say these to people already.
SAID_ELSEWHERE = {
    "started",
    "resumed",
    "cluster",
    "progress",
    "checkpoint",
    "finished",
    "failed",
    "stopped",
    "block-lost",
}
COLOURS = {"info": "", "warning": "yellow", "error": "red"}
# Credentials in addresses: scheme://user:password@host, and values of a query that grant access.
USERINFO = re.compile(r"(?<=://)[^/@\s]*@")
QUERY = re.compile(r"(?i)([?&](?:[a-z0-9_.-]*(?:signature|credential|token|secret|password|key|sig))=)[^&\s\"']+")


def redact(text: str) -> str:
    """The text without credentials that addresses in it may hold."""
    return QUERY.sub(r"\1***", USERINFO.sub("***@", text))


def one_line(text: str) -> str:
    """The text on one line, without what would move a terminal's cursor."""
    return "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in " ".join(str(text).split()))


class Events:
    """Where one run of a job says what happens. Without arguments: nowhere.

    folder: of the job's journal; job: its hash; show: whether people watch; as_json: lines for machines on stderr
    log: a file that gets these lines too
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
        self._files = [_Lines(Path(path)) for path in (folder and folder / FILE, log) if path]
        self._lock = threading.Lock()
        self._begin = self._progressed = time.monotonic()
        # The clock is read once: where it is set anew, a run has no second twice, and none that never was.
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
        """Say what happened. Where a line cannot be written it is left out: the job goes on."""
        text = redact(one_line(text))
        line = {"time": self._now(), "level": level, "event": event, "job": self.job, "text": text, **facts}
        data = redact(json.dumps(finite(line), default=str))
        with self._lock:
            self.faults[event] += level != "info"
            for file in self._files:
                file.append(data, sync=level != "info" or event != "progress")
        if self.as_json:
            print(data, file=sys.stderr, flush=True)
        elif self.show and event not in SAID_ELSEWHERE:
            self._print(event, text, level)

    def _now(self) -> str:
        at = datetime.fromtimestamp(self._epoch + time.monotonic(), UTC)
        return at.isoformat(timespec="milliseconds").replace("+00:00", "Z")

    def _print(self, event: str, text: str, level: str) -> None:
        count = self.faults[event]
        if count > MOST_SHOWN:
            return
        if count == MOST_SHOWN:
            text += f" (the last {event} line shown; all are in .gridstride/{FILE})"
        clock = datetime.now().strftime("%H:%M:%S")
        word = "" if level == "info" else f"{level}: "
        self.console.print(Text(f"{clock} {word}{text}", style=COLOURS[level]), soft_wrap=True)

    def progress(self, done: int, total: int, unit: str, text: str, **facts: Any) -> None:
        """Say how far the job is, once in a while: less and less often, so that no job says it too many times."""
        at = time.monotonic()
        if at - self._progressed >= max(0.5, (at - self._begin) / 100) or done == total:
            self._progressed = at
            self.say("progress", text, done=done, total=total, unit=unit, **facts)


def say_waiting(options: RunOptions) -> Callable[[str], None]:
    """Says for what a job waits before its events are open."""
    return lambda text: Events(show=options.watched, as_json=options.log_json).say("waiting", text)


@contextmanager
def open_events(
    folder: Path, job: str, options: RunOptions, device: str, begun: bool, **facts: Any
) -> Iterator[Events]:
    """The events of one run of a job: says that it began, and how it ended where it was not to the end.

    begun: whether an earlier run has done a part of it. Raises UsageError if the log cannot be written.
    """
    try:
        events = Events(folder, job, options.watched, options.log_json, options.log)
    except OSError as error:
        raise UsageError(f"{error.filename} cannot be written: {error.strerror}") from None
    with events, _told_of_clusters(events):
        what = "goes on" if begun else "begins"
        events.say(
            "resumed" if begun else "started",
            f"the job {what}: {facts['done']} of {facts['total']} {facts['unit']} done",
            command=command_line(),
            pid=os.getpid(),
            device=device,
            versions=versions(),
            machine=machine(device),
            **facts,
        )
        try:
            yield events
        except KeyboardInterrupt:
            events.say("stopped", "stopped by hand", "warning")
            raise
        except BaseException as error:
            events.say("failed", str(error) or type(error).__name__, "error")
            raise


@contextmanager
def _told_of_clusters(events: Events) -> Iterator[None]:
    """What those who start and watch clusters log is said as events too, instead of past them on stderr."""

    class Tell(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            level = "error" if record.levelno >= logging.ERROR else "warning"
            events.say(getattr(record, "event", "cluster-warning"), record.getMessage(), level)

    logger, tell = logging.getLogger("gridstride.cluster"), Tell(logging.WARNING)
    logger.addHandler(tell)
    before, logger.propagate = logger.propagate, False
    try:
        yield
    finally:
        logger.propagate = before
        logger.removeHandler(tell)


def command_line() -> str | None:
    """The command that a person gave, or None where there was none."""
    program, *arguments = sys.argv or [""]
    return shlex.join(["gridstride", *arguments]) if Path(program).name in ("gridstride", "cli.py") else None


def finite(value: Any) -> Any:
    """The value with None for numbers that JSON does not have."""
    if isinstance(value, dict):
        return {str(k): finite(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [finite(v) for v in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def seconds(event: dict[str, Any]) -> float:
    """An event's time, in seconds of the Unix epoch."""
    return datetime.fromisoformat(event["time"]).timestamp()


def read_events(folder: Place) -> Iterator[dict[str, Any]]:
    """The events in a journal's folder, in order; lines that a kill or a full disk cut short are left out."""
    for line in read_lines(folder / FILE):
        if isinstance(line, dict) and isinstance(line.get("event"), str) and _timed(line):
            yield line


def _timed(line: dict[str, Any]) -> bool:
    try:
        return seconds(line) > 0
    except (KeyError, TypeError, ValueError):
        return False


def read_lines(path: Place) -> Iterator[Any]:
    """The values in a file of JSON lines; those that are none are left out."""
    try:
        file = StringIO(path.read_text()) if isinstance(path, Remote) else path.open(encoding="utf-8", errors="replace")
    except FileNotFoundError:
        return
    with file:
        for line in file:
            try:
                yield json.loads(line)
            except ValueError:
                continue


class _Lines:
    """A file that lines are added to. A line is with the system when `append` returns, and soon on disk."""

    def __init__(self, path: Path) -> None:
        self._handle = os.open(path, os.O_CREAT | os.O_RDWR | os.O_APPEND | os.O_CLOEXEC, 0o644)
        size = os.fstat(self._handle).st_size
        # A line that a kill cut short must not take the next one with it.
        self._torn = size > 0 and os.pread(self._handle, 1, size - 1) != b"\n"
        self._synced = 0.0

    def append(self, line: str, sync: bool) -> None:
        data = ("\n" if self._torn else "") + line + "\n"
        try:
            self._torn = os.write(self._handle, data.encode()) < len(data.encode())
            if sync and time.monotonic() - self._synced >= SYNC_SECONDS:
                os.fsync(self._handle)
                self._synced = time.monotonic()
        except OSError:
            self._torn = True

    def close(self) -> None:
        try:
            os.fsync(self._handle)
        except OSError:
            pass
        finally:
            os.close(self._handle)
