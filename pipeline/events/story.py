"""The runs of a job, read from its event log: how each went and how it ended. Nothing here writes."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from gridstride.pipeline.events.events import seconds
from gridstride.pipeline.text import counted

Event = dict[str, Any]
BEGINNINGS, ENDINGS = ("started", "resumed"), ("finished", "failed", "stopped")
# Said of the input, of a flow's case or of its result.
REMARKS = ("note", "case-warning", "result-warning")


@dataclass
class Run:
    """One run of a job: its first event, and all events since. Read its times once all events are added."""

    begun: Event
    events: list[Event] = field(default_factory=list)

    @cached_property
    def begin(self) -> float:
        return seconds(self.begun)

    @cached_property
    def last(self) -> float:
        """Time of its latest event."""
        return max(map(seconds, [self.begun, *self.events]))

    @property
    def ending(self) -> Event | None:
        """The event it ended with; None if it was killed or is still running."""
        return next((e for e in reversed(self.events) if e["event"] in ENDINGS), None)

    @property
    def summary(self) -> dict[str, Any]:
        """Its figures; empty if it was killed."""
        found = (self.ending or {}).get("summary")
        return found if isinstance(found, dict) else {}

    @property
    def so_far(self) -> dict[str, Any]:
        """The figures of a run without a summary, from its last progress event."""
        if not self.progress:
            return {}
        ready = self.named("cluster")[-1:] or [self.begun]
        last = self.progress[-1]
        spent = seconds(last) - seconds(ready[0])
        return {**last, "first": self.begun["done"], "last": last["done"], "seconds": spent}

    @property
    def faults(self) -> list[Event]:
        return [e for e in self.events if is_fault(e)]

    @property
    def progress(self) -> list[Event]:
        return self.named("progress")

    def named(self, *names: str) -> list[Event]:
        return [e for e in self.events if e["event"] in names]


def is_fault(event: Event) -> bool:
    """Whether an event is a warning or an error of the run: neither its end, nor what is said of input or result."""
    return event["level"] != "info" and event["event"] not in (*ENDINGS, *REMARKS)


def runs(events: Iterable[Event]) -> list[Run]:
    """Group events into runs, in order."""
    found: list[Run] = []
    for event in events:
        if event["event"] in BEGINNINGS:
            found.append(Run(event))
        elif found:
            found[-1].events.append(event)
    return found


def faults_text(events: Iterable[Event]) -> str:
    """Faults counted by kind: 2 workers lost, 1 block failed."""
    kinds = {
        "worker-lost": "worker lost",
        "worker-stuck": "worker stuck",
        "block-failed": "block failed",
        "block-alone": "block retried alone",
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
