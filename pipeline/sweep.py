"""The sweep: one pass of an operator over a whole grid, Zarr to Zarr, in batches of blocks.

A batch is a box of blocks with a ring of neighbours around it. Each block is read once, as one task; `map_overlap`
hands its edges to the neighbours, wherever those run; each result is written by the task that made it, then marked in
the journal. Nothing but small records comes back.

        ring    the batch's blocks    ring         A ring is as thick as the halo, except where the blocks next to
      +------+------+------+------+------+         the batch belong to the batch before or after it: those are read
      |      |  0   |  1   |  2   |      |         whole, once, for both (`shared`).
      +------+------+------+------+------+

Two batches are in flight, so that no worker waits for the slowest block of one.

Where the plan says so (`batches.way`), a batch is instead one task that reads a box of blocks and its halo from the
store, and computes them as one; some for each thread are in flight.
"""

from __future__ import annotations

import time
import traceback
from collections.abc import Callable, Iterator, Sequence
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
from gridstride.pipeline.journal import FOLDER, journal, marker_name
from gridstride.pipeline.places import place
from gridstride.pipeline.plan import Plan
from gridstride.workers import device as devices
from gridstride.workers import operators
from gridstride.workers.cluster import this_worker
from gridstride.workers.operators.base import Block

Index = tuple[int, ...]
Region = tuple[Index, Index]
Box = tuple[Index, Index]  # of blocks: the first and the last
BATCHES_IN_FLIGHT = 2
RUNS_IN_FLIGHT = 4  # for each thread


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
    stores.durable_write(place(out) / FOLDER / "work.json", stores.json_bytes(content))


@lru_cache(maxsize=4)
def open_work(out: str, run_id: str) -> Work:
    """Read a sweep's work, once per process. `run_id` tells one run from the next."""
    import json

    folder = place(out) / FOLDER
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


def compute_boxes(out: str, run_id: str, boxes: Sequence[Box]) -> list[dict[str, Any]]:
    """Compute and write boxes of blocks, each as one, reading just what they need."""
    work = open_work(out, run_id)
    records = []
    for first, last in boxes:
        if journal(out).has(first, last):
            records.append(_skipped(first, last))
            continue
        start, stop = work.plan.needed(first, last)
        records.append(_finish(work, first, read_region(work.input, start, stop), start, last))
    return records


def _skipped(first: Index, last: Index) -> dict[str, Any]:
    """The record of what was done before: a rerun after its worker died. What it wrote is final."""
    return {"index": first, "blocks": _count(first, last), "skipped": True, **_drained()}


def _finish(work: Work, index: Index, data: np.ndarray, lo: Index, last: Index | None = None) -> dict[str, Any]:
    """Compute, write and mark a block, or the box of blocks up to `last`."""
    book, last = journal(work.out), last or index
    start, stop = work.plan.start(index), work.plan.stop(last)
    if book.has(index, last):
        return _skipped(index, last)
    result = devices.compute(work.operator, Block(data, lo, start, stop, work.plan.shape), work.device)
    written = work.plan.out_range(index, last)
    with devices.stages("encode + write"):
        stores.regions(work.out).write(written[0], result)
        stores.sync_chunk_folders(work.out, *written)
        book.mark(index, last)
    return {
        "index": index,
        "blocks": _count(index, last),
        "skipped": False,
        "voxels": result.size,
        "bytes_in": prod(b - a for a, b in zip(start, stop, strict=True)) * data.itemsize,
        "bytes_out": result.nbytes,
        **_drained(),
    }


def _drained() -> dict[str, Any]:
    """What this process measured since it was last asked, and which worker it is."""
    return {"worker": this_worker(), "stages": devices.stages.drain(), "spans": devices.stages.spans()}


def _count(first: Index, last: Index) -> int:
    return prod(b - a + 1 for a, b in zip(first, last, strict=True))


# --- in the client ----------------------------------------------------------------------------------------------


@dataclass
class _Batch:
    """Futures of a batch, and the boxes of blocks that each is to finish."""

    futures: dict[Any, list[Box]]


class Sweep:
    """Runs the blocks that the journal does not have yet.

    report: called with the record of each block, or box of blocks, as it comes in
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
        begin = time.perf_counter()
        done = journal(self.work.out).done_mask(self.plan.grid)
        self.outcome.skipped = int(done.sum())
        if self.plan.halos == "store":
            lanes = sum(self.client.nthreads().values())
            self._drain(self._runs(done), max(RUNS_IN_FLIGHT * lanes, BATCHES_IN_FLIGHT))
        else:
            with halo_timer(self.client) as halo:
                self._drain(self._batches(done), BATCHES_IN_FLIGHT)
                measured = halo()
            # Dask joins a block's edges in the task that computes it: what our own stages do not explain is halo.
            stages = self.outcome.stages
            inside = sum(stages.get(name, 0.0) for name in ("wait", "upload", "kernel", "download", "encode + write"))
            stages["transfer"] = measured.get("transfer", 0.0)
            stages["halo"] = measured.get("cut", 0.0) + max(0.0, measured.get("block", 0.0) - inside)
        self.outcome.seconds = time.perf_counter() - begin
        return self.outcome

    def _drain(self, batches: Iterator[_Batch], in_flight: int) -> None:
        """Keep some batches in flight until there are none left, then try again what failed."""
        from distributed import as_completed

        errors: dict[Box, BaseException] = {}
        flying: dict[Any, _Batch] = {}
        count = 0
        completed = as_completed()
        while True:
            while count < in_flight and (batch := next(batches, None)) is not None:
                count += 1
                flying.update(dict.fromkeys(batch.futures, batch))
                completed.update(list(batch.futures))
            if not flying:
                break
            future = next(completed)
            batch = flying.pop(future)
            boxes = batch.futures.pop(future)
            if future.status == "finished":
                self._take(future.result())
            else:
                error = future.exception() or RuntimeError(future.status)
                errors.update(dict.fromkeys(boxes, error))
                why = _reason(error)
                for box in boxes:
                    self._tell("failed", box, f"failed ({why}): it is tried again at the end", reason=why)
            count -= not batch.futures
        self.reads.clear()
        self._retry(errors)

    def _runs(self, done: np.ndarray) -> Iterator[_Batch]:
        """One task for each box of blocks with work left, which reads its halos itself."""
        collected: list[Box] = []
        room = prod(self.plan.batch)
        for box in self.plan.boxes():
            for whole in _unfinished(box, done, self.plan.exact):
                size = _count(*whole)
                if collected and size > room:
                    yield self._send(collected)
                    collected, room = [], prod(self.plan.batch)
                collected.append(whole)
                room -= size
        if collected:
            yield self._send(collected)

    def _send(self, boxes: list[Box]) -> _Batch:
        future = self.client.submit(
            compute_boxes, self.work.out, self.run_id, boxes, key=f"run-{self.run_id}-{boxes[0]}", pure=False
        )
        return _Batch({future: boxes})

    def _batches(self, done: np.ndarray) -> Iterator[_Batch]:
        """One graph for each box of blocks with work left."""
        boxes = (box for box in self.plan.boxes() if not done[_slices(box)].all())
        box = next(boxes, None)
        while box is not None:
            following = next(boxes, None)
            yield self._submit(box, following, done)
            box = following

    def _submit(self, box: Any, following: Any, done: np.ndarray) -> _Batch:
        """Send one batch. Reads that the batch before made are used again; its others may now be forgotten."""
        import dask.array as da
        from dask.array.optimization import optimize

        plan, ndim = self.plan, len(self.plan.shape)
        spans = [self._spans(box, following, axis) for axis in range(ndim)]
        first = tuple(lo - ring for (lo, _), (_, ring) in zip(box, spans, strict=True))
        chunks = tuple(tuple(b - a for a, b in intervals) for intervals, _ in spans)
        pending = [i for i in _indices(box) if not done[i]]
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
        return _Batch({future: [(index, index)] for future, index in zip(futures, pending, strict=True)})

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

    def _take(self, result: Any) -> None:
        """Count what a task did: its result is a list of records, or an array of one."""
        for record in result if isinstance(result, list) else result.flat:
            o = self.outcome
            if record["skipped"]:
                o.skipped += record["blocks"]
            else:
                o.computed += record["blocks"]
                o.voxels += record["voxels"]
                o.bytes_in += record["bytes_in"]
                o.bytes_out += record["bytes_out"]
            for name, seconds in record["stages"].items():
                o.stages[name] = o.stages.get(name, 0.0) + seconds
            self.report(record)

    def _retry(self, errors: dict[Box, BaseException]) -> None:
        """Blocks that failed are tried once more, each by itself: a bad chunk must not take its neighbours with it."""
        if not errors:
            return
        done = journal(self.work.out).done_mask(self.plan.grid)
        futures = {}
        for first, last in sorted(errors):
            for index in product(*(range(a, b + 1) for a, b in zip(first, last, strict=True))):
                if done[index]:
                    self._take([_skipped(index, index)])
                    continue
                futures[index] = self.client.submit(
                    compute_boxes,
                    self.work.out,
                    self.run_id,
                    [(index, index)],
                    key=f"alone-{self.run_id}-{index}",
                    pure=False,
                )
        for index, future in futures.items():
            box = index, index
            try:
                records = future.result()
            except Exception as error:
                self.outcome.failed[index] = self._explain(index, error)
                why = "; ".join(self.outcome.failed[index])
                self._tell("lost", box, f"failed again: {why}", "error", reason=why)
            else:
                self.outcome.retried += 1
                self._take(records)
                self._tell("retried", box, "is written after all: it was tried again", "info")

    def _tell(self, what: str, box: Box, text: str, level: str = "warning", **facts: Any) -> None:
        name, block = marker_name(*box), "block" if box[0] == box[1] else "blocks"
        self.events.say(f"block-{what}", f"{block} {name} {text}", level, block=name, **facts)

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


def _slices(box: Any) -> tuple[slice, ...]:
    return tuple(slice(lo, hi) for lo, hi in box)


def _unfinished(box: Any, done: np.ndarray, whole: bool) -> Iterator[Box]:
    """What is to be done of a box, as few boxes: halved until each is all to do (unless `whole`: one block)."""
    part = done[_slices(box)]
    if part.all():
        return
    sizes = [hi - lo for lo, hi in box]
    if not part.any() and (whole or max(sizes) == 1):
        yield tuple(lo for lo, _ in box), tuple(hi - 1 for _, hi in box)
        return
    axis = sizes.index(max(sizes))
    lo, hi = box[axis]
    for half in ((lo, (lo + hi) // 2), ((lo + hi) // 2, hi)):
        yield from _unfinished((*box[:axis], half, *box[axis + 1 :]), done, whole)


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
