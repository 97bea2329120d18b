"""The stages of each worker thread over time: OUT/.gridstride/spans.jsonl, for the report's timeline.

A row is [worker, thread, begin, end, {stage: seconds}], times in seconds of the Unix epoch. Short consecutive spans of
a thread are joined into one row, more of them the longer the job runs, so that the file stays small: about `ROWS` rows,
and as many again each time the job takes 2.7 times as long.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from gridstride.pipeline.events.lines import LinesFile

FILE = "spans.jsonl"
ROWS = 5000


@dataclass
class Row:
    """The stages of one thread from `begin` to `end`: seconds by stage; the rest of the time it was idle."""

    worker: str
    thread: int
    begin: float
    end: float
    stages: dict[str, float] = field(default_factory=dict)


class Spans:
    """Writes the spans of one run to the journal's folder; nowhere if it is None. Raises OSError if it cannot."""

    def __init__(self, folder: Path | None = None) -> None:
        self._file = LinesFile(folder / FILE) if folder else None
        self._open: dict[tuple[str, int], Row] = {}
        self._begin = time.monotonic()

    def take(self, worker: str, spans: Iterable[tuple[int, str, float, float]]) -> None:
        """Add the spans of a worker's threads: (thread, stage, begin, end), ordered by their ends."""
        joined = (time.monotonic() - self._begin) * max(1, len(self._open)) / ROWS
        for thread, stage, begin, end in spans if self._file else ():
            lane = worker, thread
            row = self._open.get(lane)
            if row is None or max(end, row.end) - row.begin > joined:
                if row is not None:
                    self._write(row)
                row = self._open[lane] = Row(worker, thread, begin, end)
            row.begin, row.end = min(row.begin, begin), max(row.end, end)
            row.stages[stage] = row.stages.get(stage, 0.0) + end - begin

    def _write(self, row: Row) -> None:
        assert self._file is not None
        stages = {name: round(seconds, 4) for name, seconds in row.stages.items()}
        line = json.dumps([row.worker, row.thread, round(row.begin, 4), round(row.end, 4), stages])
        self._file.append(line, sync=False)

    def close(self) -> None:
        """Write the rows that are still open."""
        for row in self._open.values():
            self._write(row)
        self._open.clear()
        if self._file is not None:
            self._file.close()
            self._file = None


def read_spans(lines: Iterable[Any]) -> list[Row]:
    """The rows in the lines of the file."""
    rows = []
    for line in lines:
        with suppress(TypeError, ValueError, AttributeError):  # a line that was cut short
            worker, thread, begin, end, stages = line
            spent = {str(stage): float(seconds) for stage, seconds in stages.items()}
            rows.append(Row(str(worker), int(thread), float(begin), float(end), spent))
    return rows
