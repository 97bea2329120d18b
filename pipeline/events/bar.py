"""The progress bar of work that takes a while."""

from __future__ import annotations

import sys
import time
from typing import Any

from rich.console import Console

from gridstride.pipeline.events.events import Events


class Bar:
    """A progress bar on a terminal, else a line every few seconds, nothing if `quiet`.

    name: of the work; unit: of what is counted from `first` to `total`; every: seconds between lines
    events: the log that gets the progress, too; its lines are printed above the bar
    """

    def __init__(
        self, name: str, unit: str, total: int, first: int = 0,
        quiet: bool = False, every: float = 5.0, events: Events | None = None,
    ) -> None:  # fmt: skip
        self.name, self.unit, self.total, self.first = name, unit, total, first
        self.quiet, self.every = quiet, every
        self.begin = self.printed = time.monotonic()
        self.events = events or Events()
        self.console: Console = self.events.console
        self.bar: Any = None
        if not quiet and self.console.is_terminal:
            from rich import progress

            self.bar = progress.Progress(
                progress.TextColumn("{task.description}"),
                progress.BarColumn(),
                progress.MofNCompleteColumn(),
                progress.TextColumn(unit + "  {task.fields[rate]}"),
                progress.TimeRemainingColumn(),
                console=self.console,
            )
            self.task = self.bar.add_task(name, total=total, completed=first, rate="")

    def __enter__(self) -> Any:
        if self.bar is not None:
            self.bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self.bar is not None:
            self.bar.stop()

    @property
    def seconds(self) -> float:
        return max(time.monotonic() - self.begin, 1e-9)

    def show(self, done: int, rate: str, **facts: Any) -> None:
        """Show and log the progress."""
        now = time.monotonic()
        self.events.progress(done, self.total, self.unit, f"{done}/{self.total} {self.unit}, {rate}", **facts)
        if self.bar is not None:
            self.bar.update(self.task, completed=done, rate=rate)
        elif not self.quiet and now - self.printed >= self.every and done > self.first:
            self.printed = now
            left = (now - self.begin) / (done - self.first) * (self.total - done)
            print(f"{done}/{self.total} {self.unit}, {rate}, {left:.0f} s left", file=sys.stderr, flush=True)
