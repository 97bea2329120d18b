"""What a simulation measures as it goes: one row for each sample, in a CSV file and in the store's arrays.

The CSV file is the log: a row is with the system when `append` returns, so it outlives the process; once a second it is
on disk too. In an object store, where nothing can be added to, it is put whole every few seconds. The arrays are
written by `flush`, at checkpoints and at the end. To go on from a checkpoint, `truncate` cuts both back to its step;
rows that the file has lost come back from the arrays. Both hold the same float64 values.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import zarr

from gridstride.pipeline.errors import JobFailed, UsageError, first_line
from gridstride.pipeline.storage.paths import StorePath, replace, store_path, tag_of, zarr_store
from gridstride.pipeline.storage.regions import open_regions

GROUP = "diagnostics"
CSV = "diagnostics.csv"
SYNC_SECONDS, PUT_SECONDS = 1.0, 10.0  # between syncs of the file, between puts of the object


def header(columns: Iterable[str]) -> bytes:
    return (",".join(columns) + "\n").encode()


class Diagnostics:
    """The diagnostics of the run that writes `out`; one process at a time appends.

    columns: step, time, and the quantities      steps, times: of all samples of the run, computed or not
    """

    def __init__(self, out: str | StorePath) -> None:
        self.csv = store_path(out) / CSV
        self.folder = store_path(out).resolve() / GROUP
        try:
            group = zarr.open_group(zarr_store(self.folder), mode="r")
            self.columns: tuple[str, ...] = tuple(map(str, group.attrs["columns"]))  # type: ignore[arg-type]
            self.steps, self.times = (np.asarray(group[name][:]) for name in ("step", "time"))  # type: ignore[index]
        except Exception as error:
            raise UsageError(f"{out} has no diagnostics: {first_line(error)}") from None
        self._values = np.full((len(self.columns) - 2, self.steps.size), np.nan)
        self._tag = tag_of(self.csv)
        self._rows, self._bytes = self._read_csv()
        self._flushed = 0  # leading samples that are in the arrays as they are here
        self._dirty = self.steps.size  # samples that the arrays may hold something for
        self._file: Any = None
        self._kept, self._synced = True, 0.0  # whether all rows are on disk; when they last were

    def __len__(self) -> int:
        """Number of samples computed so far."""
        return self._rows

    def append(self, row: Mapping[str, float]) -> None:
        """Add the next sample: all quantities by name, and its step. Its time is the layout's.

        Raises ValueError if it is not the next, or has other quantities.
        """
        at = self._rows
        names = self.columns[2:]
        if at >= self.steps.size or int(row["step"]) != self.steps[at]:
            expected = f"step {self.steps[at]}" if at < self.steps.size else "no more"
            raise ValueError(f"diagnostics of step {int(row['step'])}: expected {expected}")
        if set(row) - {"step", "time"} != set(names):
            raise ValueError(f"diagnostics have {', '.join(sorted(row))}: expected {', '.join(self.columns)}")
        self._values[:, at] = [row[name] for name in names]
        if isinstance(self.csv, Path):
            self._write_line(self.csv, at)
        self._rows, self._kept = at + 1, False
        if time.monotonic() - self._synced >= (SYNC_SECONDS if self._file else PUT_SECONDS):
            self._sync()

    def truncate(self, step: int) -> None:
        """Forget the samples after `step`, to compute them again.

        Raises JobFailed if neither the file nor the arrays have all samples up to it.
        """
        self.close()
        keep = int(np.searchsorted(self.steps, step, side="right"))
        if keep > self._rows:
            self._restore(keep)
        self._values[:, keep:] = np.nan
        self._rows, self._flushed = keep, min(self._flushed, keep)
        if isinstance(self.csv, Path):
            for leftover in self.csv.parent.glob(f"{CSV}.*.tmp"):
                leftover.unlink()
        self._rewrite()

    def flush(self) -> None:
        """Bring the file to disk and the arrays up to date."""
        self._sync()
        start, stop = min(self._flushed, self._rows), max(self._rows, self._dirty)
        if stop > start:
            for name, values in zip(self.columns[2:], self._values, strict=True):
                open_regions(str(self.folder / name)).write([start], values[start:stop])
        self._flushed = self._dirty = self._rows

    def close(self) -> None:
        """Close the file; `append` opens it again."""
        self._sync()
        if self._file is not None:
            self._file.close()
            self._file = None

    def read(self) -> dict[str, np.ndarray]:
        """All columns of the samples computed so far."""
        done = slice(self._rows)
        quantities = dict(zip(self.columns[2:], self._values[:, done].copy(), strict=True))
        return {"step": self.steps[done].copy(), "time": self.times[done].copy(), **quantities}

    def _write_line(self, csv: Path, at: int) -> None:
        if self._file is None:
            if not self._bytes:
                self._rewrite()
            self._file = csv.open("r+b")
            self._file.truncate(self._bytes)  # a row that was cut short by a kill
            self._file.seek(self._bytes)
        line = self._line(at)
        self._file.write(line)
        self._file.flush()
        self._bytes += len(line)

    def _rewrite(self) -> None:
        """Write the file anew."""
        content = header(self.columns) + b"".join(map(self._line, range(self._rows)))
        self._tag, self._bytes = replace(self.csv, content, self._tag), len(content)

    def _sync(self) -> None:
        if self._kept:
            return
        if self._file is not None:
            os.fsync(self._file.fileno())
        else:
            self._rewrite()
        self._kept, self._synced = True, time.monotonic()

    def _line(self, at: int) -> bytes:
        numbers = (self.times[at], *self._values[:, at])
        return f"{self.steps[at]},{','.join(repr(float(n)) for n in numbers)}\n".encode()

    def _read_csv(self) -> tuple[int, int]:
        """Take over the rows of the file up to the first that is not whole: their number, and their bytes."""
        try:
            lines = self.csv.read_bytes().splitlines(keepends=True)
        except FileNotFoundError:
            return 0, 0
        if not lines or lines[0] != header(self.columns):
            return 0, 0
        rows, size = 0, len(lines[0])
        for line in lines[1 : self.steps.size + 1]:
            try:
                step, _, *numbers = line.decode().split(",")
                whole = line.endswith(b"\n") and len(numbers) == len(self._values)
                if not whole or int(step) != self.steps[rows]:
                    break
                self._values[:, rows] = [float(number) for number in numbers]
            except ValueError:
                break
            rows, size = rows + 1, size + len(line)
        return rows, size

    def _restore(self, keep: int) -> None:
        """Take the first `keep` samples from the arrays."""
        for name, values in zip(self.columns[2:], self._values, strict=True):
            values[:keep] = open_regions(str(self.folder / name)).read([0], [keep])
        if self._values.size and np.isnan(self._values[:, :keep]).all(0).any():
            raise JobFailed(
                f"{self.csv} lacks samples up to step {self.steps[keep - 1]}: use --overwrite to start again"
            )
