"""The workers' side of a sweep: read what blocks need, compute and write them, and mark in the journal that they are
done."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from gridstride.pipeline.errors import UsageError
from gridstride.pipeline.planning.plan import Plan
from gridstride.pipeline.storage.journal import FOLDER, Journal, journal, marker_name
from gridstride.pipeline.storage.paths import StorePath, durable_write, store_path
from gridstride.pipeline.storage.regions import open_regions, read_wrapped, sync_chunk_folders
from gridstride.pipeline.sweep.record import Box, Index, Record
from gridstride.workers import buffers, code, saving
from gridstride.workers import device as devices
from gridstride.workers.identity import this_worker
from gridstride.workers.operators.base import Grid, Operator, Window
from gridstride.workers.region import Region
from gridstride.workers.split import parts
from gridstride.workers.stages import stages

# A block whose workers were lost is computed in 2^3 parts: lack of memory may be what ended them.
HALVINGS = 3


class JobReplaced(RuntimeError):
    """Another job writes where this one did."""


@dataclass(frozen=True)
class Work:
    """What a worker needs to compute any block of a sweep. In the output's journal it is sweep.json.

    input:  address of the array that is read
    out:    address of the job's output, in which the journal is; part: of the journal, "" or "first-N"
    target: address of the array that is written; "" if the sweep only reports
    job:    the job's hash
    """

    input: str
    out: str
    part: str
    target: str
    job: str
    device: str
    plan: Plan
    operator: Operator
    grid: Grid

    @property
    def journal(self) -> Journal:
        return journal(self.out, self.part, self.job)

    def needed(self, region: Region) -> Region:
        return self.operator.needed(region, self.grid)


def write_work(work: Work) -> None:
    """Put a sweep's work into its journal, where the workers read it, and a job that goes on."""
    saving.save(work, work.journal.folder, "sweep", durable_write)


def begun_work(out: StorePath, part: str) -> Work | None:
    """The work of a sweep that an earlier run began, if there is any. Raises UsageError if it cannot be read."""
    folder = Journal(out, part).folder
    try:
        return saving.load(folder, "sweep") if (folder / "sweep.json").is_file() else None
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UsageError(f"{folder} is damaged ({error}): use --overwrite to start again") from None


@lru_cache(maxsize=4)
def open_work(out: str, part: str, run_id: str) -> Work:
    """Read a sweep's work, once per process. `run_id` tells one run from the next, and which programs it may run."""
    code.allow_marked(run_id)
    buffers.release()
    folder = store_path(out) / FOLDER
    with stages.unmeasured("read + decode", "what is to be computed"):
        return saving.load(folder / part if part else folder, "sweep")


class Active:
    """The jobs whose blocks threads of this process compute now: out, hash and how many."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self.jobs: Counter[tuple[str, str]] = Counter()

    @contextmanager
    def __call__(self, work: Work) -> Iterator[None]:
        key = work.out, work.job
        with self._lock:
            self.jobs[key] += 1
        try:
            yield
        finally:
            with self._lock:
                self.jobs[key] -= 1


active = Active()


def foreign_jobs(out: str, job: str) -> int:
    """Blocks of other jobs that this process computes for the same output: of a client that is gone, say."""
    return sum(count for (where, whose), count in active.jobs.items() if where == out and whose != job)


def read_region(path: str, region: Region, what: str | None = None) -> np.ndarray:
    """A region of the input. what: it is read for; itself by default."""
    text = what or " x ".join(f"{a}:{b}" for a, b in region.spans)
    with stages("read + decode", text):
        return read_wrapped(path, region.start, region.stop)


def compute_block(data: np.ndarray, out: str, part: str, run_id: str, first: Index, block_id: Index) -> np.ndarray:
    """Compute and write one block of a batch; `first` is the grid index of the batch array's first chunk.

    `map_overlap` has put the neighbours' edges around the block, on every side where there is a chunk.
    """
    work = open_work(out, part, run_id)
    index = tuple(f + i for f, i in zip(first, block_id, strict=True))
    spans = []
    for axis, (i, size) in enumerate(zip(block_id, data.shape, strict=True)):
        before = work.plan.halo.depth[axis][0] if i > 0 else 0
        start = 0 if work.plan.grid[axis] == 1 else work.plan.region(index).start[axis] - before
        spans.append((start, start + size))
    record = np.empty((1,) * data.ndim, object)
    record[(0,) * data.ndim] = _finish(work, (index, index), data, Region(tuple(spans)))
    return record


def compute_boxes(out: str, part: str, run_id: str, boxes: Sequence[Box], low_memory: bool = False) -> list[Record]:
    """Compute and write boxes of blocks, each as one, reading just what they need. low_memory: in parts, each with its
    own halo, where the operator's results do not depend on it."""
    work = open_work(out, part, run_id)
    records = []
    for box in boxes:
        if _has(work, box):
            records.append(_record(box, skipped=True))
        elif low_memory and work.operator.exact:
            with active(work):
                records.append(_write(work, box, _in_parts(work, box)))
        else:
            have = work.needed(work.plan.region(*box))
            records.append(_finish(work, box, read_region(work.input, have, name_of(box)), have))
    return records


def name_of(box: Box) -> str:
    """A block, or a box of blocks, for people."""
    return f"{'block' if box[0] == box[1] else 'blocks'} {marker_name(*box)}"


def _has(work: Work, box: Box) -> bool:
    with stages.unmeasured("read + decode", f"the marker of {name_of(box)}"):
        return work.journal.has(*box)


def _in_parts(work: Work, box: Box) -> devices.Result:
    """The result for a block or box of blocks, with the memory that a part of it takes, the result's own aside."""
    want, grid = work.plan.region(*box), work.grid
    values = np.empty(want.shape, work.operator.out_grid(grid).dtype) if work.operator.writes() else None
    result = devices.Result(values, [])
    for part in parts(work.operator, want, grid, HALVINGS):
        have = work.needed(part)
        window = Window(read_region(work.input, have, name_of(box)), have, part, grid)
        made = devices.compute(work.operator, window, work.device)
        result.reports += made.reports
        if values is not None:
            values[part.within(want)] = made.values
        del window, made  # before the next is read
    return result


def _finish(work: Work, box: Box, data: np.ndarray, have: Region) -> Record:
    """Compute, write and mark a block, or a box of blocks."""
    if _has(work, box):
        return _record(box, skipped=True)
    with active(work):
        window = Window(data, have, work.plan.region(*box), work.grid)
        return _write(work, box, devices.compute(work.operator, window, work.device))


def _write(work: Work, box: Box, result: devices.Result) -> Record:
    """Write and mark a block, or a box of blocks.

    Raises JobReplaced, and writes nothing, where another job has taken the output meanwhile.
    """
    want = work.plan.region(*box)
    with stages("encode + write", name_of(box)):
        if not work.journal.is_current(work.job):
            raise JobReplaced(f"{work.out} belongs to another job now: {name_of(box)} is not written")
        if result.values is None:
            work.journal.write_reports(*box, result.reports)
        else:
            open_regions(work.target).write(want.start, result.values)
            sync_chunk_folders(work.target, want.start, want.stop)
        work.journal.mark(*box)
    written = 0 if result.values is None else result.values.nbytes
    # Halos do not count: what is read for them is read for a neighbour too.
    taken = want if work.plan.in_shape == work.plan.shape else work.needed(want)
    return _record(box, voxels=want.size, bytes_in=taken.size * work.plan.itemsize, bytes_out=written)


def _record(box: Box, skipped: bool = False, voxels: int = 0, bytes_in: int = 0, bytes_out: int = 0) -> Record:
    """A record with what this process measured since it last made one."""
    return Record(
        box, skipped, voxels, bytes_in, bytes_out, this_worker(), stages.drain(), stages.spans(),
        devices.shortages.drain(),
    )  # fmt: skip
