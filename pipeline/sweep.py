"""The sweep: one pass of an operator over a whole grid, Zarr to Zarr, in batches of blocks.

A batch is a box of blocks with a ring of neighbours around it. Each block is read once, as one task; `map_overlap`
hands its edges to the neighbours, wherever those run; each result is written by the task that made it, then marked in
the journal. Nothing but small records comes back.

        ring    the batch's blocks    ring         A ring is as thick as the halo, except where the blocks next to
      +------+------+------+------+------+         the batch belong to the batch before or after it: those are read
      |      |  0   |  1   |  2   |      |         whole, once, for both (`shared`).
      +------+------+------+------+------+

Two batches are in flight, so that no worker waits for the slowest block of one.
"""

from __future__ import annotations

import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from functools import lru_cache
from itertools import product
from math import prod
from pathlib import Path
from typing import Any

import numpy as np

from gridstride.pipeline import stores
from gridstride.pipeline.errors import UsageError
from gridstride.pipeline.events import Events
from gridstride.pipeline.journal import FOLDER, journal
from gridstride.pipeline.plan import Plan
from gridstride.workers import device as devices
from gridstride.workers import operators
from gridstride.workers.cluster import this_worker
from gridstride.workers.operators.base import Block

Index = tuple[int, ...]
Region = tuple[Index, Index]
BATCHES_IN_FLIGHT = 2


@dataclass(frozen=True)
class Work:
    """What a worker needs to compute any block of a sweep."""

    input: str
    out: str
    device: str
    plan: Plan
    operator: Any


@dataclass
class Outcome:
    """How a sweep went: counts of blocks, seconds by stage summed over threads, and the blocks that failed."""

    computed: int = 0
    skipped: int = 0
    retried: int = 0
    voxels: int = 0
    bytes_in: int = 0
    bytes_out: int = 0
    seconds: float = 0.0
    stages: dict[str, float] = field(default_factory=dict)
    failed: dict[Index, list[str]] = field(default_factory=dict)


# --- on the workers ---------------------------------------------------------------------------------------------


def write_work(out: str, input: str, device: str, plan: Plan) -> None:
    """Put beside the operator what else the workers need; they read it from the output's folder."""
    content = {"input": input, "device": device, "plan": asdict(plan)}
    stores.durable_write(Path(out) / FOLDER / "work.json", stores.json_bytes(content))


@lru_cache(maxsize=4)
def open_work(out: str, run_id: str) -> Work:
    """Read a sweep's work, once per process. `run_id` tells one run from the next."""
    import json

    folder = Path(out) / FOLDER
    content = json.loads((folder / "work.json").read_bytes())

    def tuples(value: Any) -> Any:
        return tuple(tuples(v) for v in value) if isinstance(value, list) else value

    plan = Plan(**{name: tuples(value) for name, value in content["plan"].items()})
    return Work(content["input"], out, content["device"], plan, operators.load(folder))


def read_region(path: str, start: Index, stop: Index) -> np.ndarray:
    with devices.stages("read + decode"):
        return stores.read_wrapped(path, start, stop)


def compute_block(data: np.ndarray, out: str, run_id: str, first: Index, block_id: Index) -> np.ndarray:
    """Compute and write one block of a batch; `first` is the grid index of the batch array's first chunk.

    `map_overlap` has put the neighbours' edges around the block, on every side where there is a chunk.
    """
    work = open_work(out, run_id)
    index = tuple(f + i for f, i in zip(first, block_id, strict=True))
    start = work.plan.start(index)
    lo = tuple(s - (before if i > 0 else 0) for s, i, (before, _) in zip(start, block_id, work.plan.depth, strict=True))
    record = np.empty((1,) * data.ndim, object)
    record[(0,) * data.ndim] = _finish(work, index, data, lo)
    return record


def compute_alone(out: str, run_id: str, index: Index) -> dict[str, Any]:
    """Compute and write one block by itself, reading just what it needs."""
    work = open_work(out, run_id)
    start, stop = work.plan.needed(index)
    return _finish(work, index, read_region(work.input, start, stop), start)


def _finish(work: Work, index: Index, data: np.ndarray, lo: Index) -> dict[str, Any]:
    book = journal(work.out)
    start, stop = work.plan.start(index), work.plan.stop(index)
    if book.has(index):  # a rerun after its worker died: what it wrote is final
        return {"index": index, "skipped": True, **_drained()}
    result = devices.compute(work.operator, Block(data, lo, start, stop, work.plan.shape), work.device)
    first, last = work.plan.out_range(index)
    with devices.stages("encode + write"):
        stores.regions(work.out).write(first, result)
        stores.sync_chunk_folders(work.out, first, last)
        book.mark(index)
    return {
        "index": index,
        "skipped": False,
        "voxels": result.size,
        "bytes_in": prod(b - a for a, b in zip(start, stop, strict=True)) * data.itemsize,
        "bytes_out": result.nbytes,
        **_drained(),
    }


def _drained() -> dict[str, Any]:
    """What this process measured since it was last asked, and which worker it is."""
    return {"worker": this_worker(), "stages": devices.stages.drain(), "spans": devices.stages.spans()}


# --- in the client ----------------------------------------------------------------------------------------------


@dataclass
class _Batch:
    box: tuple[tuple[int, int], ...]
    futures: dict[Any, Index]


class Sweep:
    """Runs the blocks that the journal does not have yet.

    report: called with each block's record as it comes in
    events: where failures are told
    """

    def __init__(
        self,
        client: Any,
        work: Work,
        run_id: str,
        report: Callable[[dict[str, Any]], None],
        events: Events | None = None,
    ) -> None:
        self.client, self.work, self.run_id, self.report = client, work, run_id, report
        self.events = events or Events()
        self.plan = work.plan
        self.outcome = Outcome()
        self.reads: dict[Region, Any] = {}

    def run(self) -> Outcome:
        from distributed import as_completed

        begin = time.perf_counter()
        done = journal(self.work.out).done()
        self.outcome.skipped = len(done)
        boxes = [box for box in self.plan.boxes() if any(i not in done for i in _indices(box))]
        waiting: Iterator[int] = iter(range(len(boxes)))
        errors: dict[Index, BaseException] = {}
        flying: list[_Batch] = []
        completed = as_completed()
        with halo_timer(self.client) as halo:
            while True:
                while len(flying) < BATCHES_IN_FLIGHT and (n := next(waiting, None)) is not None:
                    batch = self._submit(boxes[n], boxes[n + 1] if n + 1 < len(boxes) else None, done)
                    flying.append(batch)
                    completed.update(list(batch.futures))
                if not flying:
                    break
                future = next(completed)
                batch = next(b for b in flying if future in b.futures)
                index = batch.futures.pop(future)
                if future.status == "finished":
                    self._take(future.result()[(0,) * len(index)])
                else:
                    errors[index] = future.exception() or RuntimeError(future.status)
                    self._tell("failed", index, f"failed ({_reason(errors[index])}): it is tried again at the end")
                if not batch.futures:
                    flying.remove(batch)
            self.reads.clear()
            self._retry(errors)
            stages = self.outcome.stages
            measured = halo()
        # Dask joins a block's edges in the task that computes it: what our own stages do not explain of it is halo.
        inside = sum(stages.get(name, 0.0) for name in ("wait", "upload", "kernel", "download", "encode + write"))
        stages["transfer"] = measured.get("transfer", 0.0)
        stages["halo"] = measured.get("cut", 0.0) + max(0.0, measured.get("block", 0.0) - inside)
        self.outcome.seconds = time.perf_counter() - begin
        return self.outcome

    def _submit(self, box: Any, following: Any, done: set[Index]) -> _Batch:
        """Send one batch. Reads that the batch before made are used again; its others may now be forgotten."""
        import dask.array as da
        from dask.array.optimization import optimize

        plan, ndim = self.plan, len(self.plan.shape)
        spans = [self._spans(box, following, axis) for axis in range(ndim)]
        first = tuple(lo - ring for (lo, _), (_, ring) in zip(box, spans, strict=True))
        chunks = tuple(tuple(b - a for a, b in intervals) for intervals, _ in spans)
        pending = [i for i in _indices(box) if i not in done]
        near = {
            position
            for index in pending
            for position in product(
                *(
                    range(max(0, i - f - (1 if any(d) else 0)), min(len(c), i - f + (2 if any(d) else 1)))
                    for i, f, c, d in zip(index, first, chunks, plan.depth, strict=True)
                )
            )
        }
        reads: dict[Region, Any] = {}
        graph: dict[Any, Any] = {}
        name = f"batch-{self.run_id}-{'.'.join(str(lo) for lo, _ in box)}"
        for position in product(*(range(len(c)) for c in chunks)):
            if position not in near:
                graph[(name, *position)] = None  # nobody looks at it
                continue
            pieces = [spans[a][0][i] for a, i in enumerate(position)]
            region = (tuple(p[0] for p in pieces), tuple(p[1] for p in pieces))
            reads[region] = self.reads.get(region) or self.client.submit(
                read_region, self.work.input, *region, key=f"read-{self.run_id}-{region}", pure=False
            )
            graph[(name, *position)] = reads[region]
        self.reads = reads
        meta = np.empty((0,) * ndim, stores.regions(self.work.input).read((0,) * ndim, (0,) * ndim).dtype)
        array = da.Array(graph, name, chunks, meta=meta)
        result = da.map_overlap(
            compute_block,
            array,
            depth=dict(enumerate(plan.depth)),
            boundary="none",
            trim=False,
            allow_rechunk=False,
            meta=np.empty((0,) * ndim, object),
            dtype=object,
            chunks=tuple((1,) * len(c) for c in chunks),
            out=self.work.out,
            run_id=self.run_id,
            first=first,
        )
        # One graph for the batch: `client.compute` of its blocks one by one would merge a graph for each of them.
        wanted = [(result.name, *(i - f for i, f in zip(index, first, strict=True))) for index in pending]
        futures = self.client.get(optimize(result.dask, wanted), wanted, sync=False)
        return _Batch(box, dict(zip(futures, pending, strict=True)))

    def _spans(self, box: Any, following: Any, axis: int) -> tuple[list[tuple[int, int]], int]:
        """Intervals of the batch array's chunks along an axis, and how many of them (0 or 1) come before the box."""
        plan = self.plan
        lo, hi = box[axis]
        n = plan.grid[axis]
        before, after = plan.depth[axis]
        thin = max(before, after)
        periodic = plan.modes[axis] == "wrap"
        edges = plan.edges[axis]
        intervals = list(zip(edges[lo:hi], edges[lo + 1 : hi + 1], strict=True))
        ring = 0
        # Only whole rows of blocks are shared between batches, and only along the axis they follow each other on.
        row = all(a == axis or (b == 0 and e == plan.grid[a]) for a, (b, e) in enumerate(box))
        if before and (lo > 0 or periodic):
            whole = (edges[lo - 1], edges[lo]) if lo > 0 else None
            known = {(start[axis], stop[axis]) for start, stop in self.reads}
            intervals.insert(0, whole if whole and row and whole in known else (edges[lo] - thin, edges[lo]))
            ring = 1
        if after and (hi < n or periodic):
            shared = row and hi < n and following is not None and following[axis][0] == hi
            end = edges[hi]
            intervals.append((end, edges[hi + 1]) if shared else (end, end + thin))
        return intervals, ring

    def _take(self, record: dict[str, Any]) -> None:
        o = self.outcome
        if record["skipped"]:
            o.skipped += 1
        else:
            o.computed += 1
            o.voxels += record["voxels"]
            o.bytes_in += record["bytes_in"]
            o.bytes_out += record["bytes_out"]
        for name, seconds in record["stages"].items():
            o.stages[name] = o.stages.get(name, 0.0) + seconds
        self.report(record)

    def _retry(self, errors: dict[Index, BaseException]) -> None:
        """Blocks that failed are tried once more by themselves: a bad chunk must not take its neighbours with it."""
        if not errors:
            return
        futures = {
            index: self.client.submit(
                compute_alone,
                self.work.out,
                self.run_id,
                index,
                key=f"alone-{self.run_id}-{index}",
                pure=False,
            )
            for index in sorted(errors)
        }
        for index, future in futures.items():
            try:
                record = future.result()
            except Exception as error:
                self.outcome.failed[index] = self._explain(index, error)
                self._tell("lost", index, f"failed again: {'; '.join(self.outcome.failed[index])}", "error")
            else:
                self.outcome.retried += 1
                self._take(record)
                self._tell("retried", index, "is written after all: it was tried again", "info")

    def _tell(self, what: str, index: Index, text: str, level: str = "warning") -> None:
        name = ".".join(map(str, index))
        self.events.say(f"block-{what}", f"block {name} {text}", level, block=name)

    def _explain(self, index: Index, error: BaseException) -> list[str]:
        """What is wrong with a block: the chunks it cannot read, else the error itself."""
        start, stop = self.plan.needed(index)
        try:
            bad = [f"chunk {key}: {why}" for key, why in stores.unreadable_chunks(self.work.input, start, stop)]
        except Exception:
            bad = []
        where = traceback.extract_tb(error.__traceback__)
        place = f" ({Path(where[-1].filename).name}:{where[-1].lineno})" if where else ""
        return bad or [f"{_reason(error)}{place}"]


def _reason(error: BaseException) -> str:
    return f"{type(error).__name__}: {stores.first_line(error)}"


def _indices(box: Any) -> Iterator[Index]:
    return product(*(range(lo, hi) for lo, hi in box))


@contextmanager
def halo_timer(client: Any) -> Iterator[Callable[[], dict[str, float]]]:
    """Measures in the scheduler what `map_overlap` costs: seconds to cut edges, to move them, and in the tasks that
    join them and compute the block."""
    from distributed.diagnostics.plugin import SchedulerPlugin

    class HaloTimer(SchedulerPlugin):
        name = "gridstride-halo"

        def __init__(self) -> None:
            self.seconds = {"transfer": 0.0, "cut": 0.0, "block": 0.0}

        def transition(self, key: Any, start: str, finish: str, *args: Any, **kwargs: Any) -> None:
            if start != "processing" or finish != "memory":
                return
            prefix = str(key[0] if isinstance(key, tuple) else key)
            for span in kwargs.get("startstops") or ():
                if span["action"] == "transfer":
                    name = "transfer"
                elif span["action"] == "compute" and prefix.startswith("getitem"):
                    name = "cut"
                elif span["action"] == "compute" and prefix.startswith(("overlap", "concatenate")):
                    name = "block"
                else:
                    continue
                self.seconds[name] += span["stop"] - span["start"]

    def collect(dask_scheduler: Any = None) -> dict[str, float]:
        plugin = dask_scheduler.plugins.get("gridstride-halo")
        return plugin.seconds if plugin else {}

    try:
        client.register_plugin(HaloTimer())
    except Exception as error:
        raise UsageError(f"the scheduler does not take our timer: {stores.first_line(error)}") from error
    try:
        yield lambda: client.run_on_scheduler(collect)
    finally:
        client.unregister_scheduler_plugin("gridstride-halo")
