"""Time that threads spend in each stage of a block: always measured, for the summary and the report."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager

SPANS_KEPT = 1000  # by a process, until the next call of `spans`

# (thread, stage, begin, end): when a thread of this process was in a stage, in seconds of the Unix epoch.
Span = tuple[int, str, float, float]
# (thread, stage, what, begin): the stage that a thread is in, and since when by time.perf_counter.
Open = tuple[int, str, str, float]


class Stages:
    """Seconds that the threads of this process spent in each stage (`drain`), when that was (`spans`), and the stages
    that they are in now (`open`)."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._seconds: dict[str, float] = {}
        self._spans: deque[Span] = deque(maxlen=SPANS_KEPT)
        self._open: dict[int, Open] = {}
        # Wall time is read once, so that no span is negative if the clock is set.
        self._epoch = time.time() - time.perf_counter()

    @contextmanager
    def __call__(self, name: str, what: str = "") -> Iterator[None]:
        """Measure a stage of this thread. what: the store that is read or written, if `watchdog` limits its time"""
        with self.unmeasured(name, what) as begin:
            try:
                yield
            finally:
                end = time.perf_counter()
                span = threading.get_ident(), name, self._epoch + begin, self._epoch + end
                with self._lock:
                    self._seconds[name] = self._seconds.get(name, 0.0) + end - begin
                    self._spans.append(span)

    @contextmanager
    def unmeasured(self, name: str, what: str = "") -> Iterator[float]:
        """The same, not counted by `drain` and `spans`; gives the time it began."""
        thread, begin = threading.get_ident(), time.perf_counter()
        with self._lock:
            outer = self._open.get(thread)
            self._open[thread] = thread, name, what, begin
        try:
            yield begin
        finally:
            with self._lock:
                self._open.pop(thread)
                if outer is not None:
                    self._open[thread] = outer

    def open(self) -> list[Open]:
        """The innermost stage that each thread is in now."""
        with self._lock:
            return list(self._open.values())

    def drain(self) -> dict[str, float]:
        """Seconds by stage since the last call."""
        with self._lock:
            seconds, self._seconds = self._seconds, {}
        return seconds

    def spans(self) -> list[Span]:
        """Spans since the last call, the last `SPANS_KEPT` at most."""
        with self._lock:
            spans = list(self._spans)
            self._spans.clear()
        return spans


stages = Stages()
