"""What a job's journal tells after the fact, or from another process: its runs, and how each went and ended.

Nothing here writes.
"""

from __future__ import annotations

import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from gridstride.pipeline.events.events import seconds

Event = dict[str, Any]
BEGINNINGS, ENDINGS = ("started", "resumed"), ("finished", "failed", "stopped")


@dataclass
class Run:
    """One run of a job: the event it began with, and all events since. Times are asked for when all are known."""

    begun: Event
    events: list[Event] = field(default_factory=list)

    @cached_property
    def begin(self) -> float:
        return seconds(self.begun)

    @cached_property
    def last(self) -> float:
        """When it was last heard of."""
        return max(map(seconds, [self.begun, *self.events]))

    @property
    def ending(self) -> Event | None:
        """The event it ended with; None if it was killed, or goes on."""
        return next((e for e in reversed(self.events) if e["event"] in ENDINGS), None)

    @property
    def summary(self) -> dict[str, Any]:
        """Its figures; empty if it did not come to its end."""
        found = (self.ending or {}).get("summary")
        return found if isinstance(found, dict) else {}

    @property
    def told(self) -> dict[str, Any]:
        """Figures of a run without a summary, from what it last told of its progress."""
        if not self.progress:
            return {}
        ready = self.named("cluster")[-1:] or [self.begun]
        last = self.progress[-1]
        spent = seconds(last) - seconds(ready[0])
        return {**last, "first": self.begun["done"], "last": last["done"], "seconds": spent}

    @property
    def faults(self) -> list[Event]:
        return [e for e in self.events if e["level"] != "info" and e["event"] not in ENDINGS]

    @property
    def progress(self) -> list[Event]:
        return self.named("progress")

    def named(self, *names: str) -> list[Event]:
        return [e for e in self.events if e["event"] in names]


def runs(events: Iterable[Event]) -> list[Run]:
    """The runs that events tell of, in order."""
    found: list[Run] = []
    for event in events:
        if event["event"] in BEGINNINGS:
            found.append(Run(event))
        elif found:
            found[-1].events.append(event)
    return found


def name_of(place: Any) -> str:
    """The last part of a path or an address."""
    return str(place).rstrip("/").rpartition("/")[2]


def counted(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def faults_text(events: Iterable[Event]) -> str:
    """How many faults of each kind, in words."""
    kinds = {
        "worker-lost": "worker lost",
        "worker-stuck": "worker stuck",
        "block-failed": "block failed",
        "block-alone": "block tried alone",
        "block-lost": "block given up",
        "state-lost": "state lost",
    }
    counts: dict[str, int] = {}
    for event in events:
        counts[event["event"]] = counts.get(event["event"], 0) + 1
    words = []
    for name, count in counts.items():
        noun, _, rest = kinds.get(name, name).partition(" ")
        words.append(f"{counted(count, noun)} {rest}".strip())
    return ", ".join(words)


def duration(span: float) -> str:
    """Seconds for people: 0.42 s, 12 s, 3 min 20 s, 2 h 10 min, 3 d 4 h."""
    if span < 10:
        return f"{max(span, 0):.2g} s"
    whole = round(span)
    for unit, small, size, least in (("d", "h", 86_400, 3600), ("h", "min", 3600, 60), ("min", "s", 60, 1)):
        if whole >= size:
            big, rest = divmod(whole, size)
            return f"{big} {unit} {rest // least} {small}" if rest // least else f"{big} {unit}"
    return f"{whole} s"


def clock(at: float) -> str:
    """Local date and time for people."""
    return time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(at))
