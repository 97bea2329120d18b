"""When each thread of each worker was in which stage: OUT/.gridstride/spans.jsonl, for the report's timeline.

A row is [worker, thread, begin, end, {stage: seconds}], times in seconds of the Unix epoch. Short spans of a thread
that follow each other are joined into one row, the longer the job runs the more of them, so that the file stays small:
about `ROWS` rows, and as many again each time the job takes 2.7 times as long.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

FILE = "spans.jsonl"
ROWS = 5000


@dataclass
class Row:
    """What one thread did from `begin` to `end`: seconds by stage; what is missing from them it did nothing."""

    worker: str
    thread: int
    begin: float
    end: float
    stages: dict[str, float] = field(default_factory=dict)


class Spans:
    """Writes the spans of one run to the journal's folder; nowhere without one."""

    def __init__(self, folder: Path | None = None) -> None:
        self._path = folder and folder / FILE
        self._file: Any = None
        self._open: dict[tuple[str, int], Row] = {}
        self._begin = time.monotonic()

    def take(self, worker: str, spans: Iterable[tuple[int, str, float, float]]) -> None:
        """Take in what a worker says of its threads: (thread, stage, begin, end), in the order of their ends."""
        if self._path is None:
            return
        joined = (time.monotonic() - self._begin) * max(1, len(self._open)) / ROWS
        for thread, stage, begin, end in spans:
            lane = worker, thread
            row = self._open.get(lane)
            if row is None or max(end, row.end) - row.begin > joined:
                if row is not None:
                    self._write(row)
                row = self._open[lane] = Row(worker, thread, begin, end)
            row.begin, row.end = min(row.begin, begin), max(row.end, end)
            row.stages[stage] = row.stages.get(stage, 0.0) + end - begin

    def _write(self, row: Row) -> None:
        assert self._path is not None
        stages = {name: round(seconds, 4) for name, seconds in row.stages.items()}
        line = json.dumps([row.worker, row.thread, round(row.begin, 4), round(row.end, 4), stages])
        try:
            if self._file is None:
                # Begins with an empty line: the last one may have been cut short by a kill.
                self._file = self._path.open("a", encoding="utf-8")
                self._file.write("\n")
            self._file.write(line + "\n")
        except OSError:  # of a full disk: the job goes on
            pass

    def close(self) -> None:
        """Write what is left."""
        for row in self._open.values():
            self._write(row)
        self._open.clear()
        try:
            if self._file is not None:
                self._file.close()
        except OSError:
            pass
        self._file = None


def read_spans(lines: Iterable[Any]) -> list[Row]:
    """The rows in the lines of the file."""
    rows = []
    for line in lines:
        try:
            worker, thread, begin, end, stages = line
            rows.append(
                Row(str(worker), int(thread), float(begin), float(end), {str(k): float(v) for k, v in stages.items()})
            )
        except (TypeError, ValueError, AttributeError):
            continue
    return rows
