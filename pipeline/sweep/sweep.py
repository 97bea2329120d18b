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
from asyncio import CancelledError
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import product
from math import prod
from pathlib import Path
from typing import Any

import numpy as np

from gridstride.pipeline.errors import JobFailed, first_line
from gridstride.pipeline.events.events import Events
from gridstride.pipeline.events.story import duration
from gridstride.pipeline.storage.journal import journal, marker_name
from gridstride.pipeline.storage.regions import regions, unreadable_chunks
from gridstride.pipeline.sweep.block_task import (
    Box,
    Index,
    Work,
    compute_block,
    compute_boxes,
    count,
    name_of,
    read_region,
    skipped,
)
from gridstride.pipeline.sweep.halo_timer import halo_timer
from gridstride.pipeline.sweep.waiting import Waiting
from gridstride.workers.cluster import TOPIC

Region = tuple[Index, Index]
BATCHES_IN_FLIGHT = 2
RUNS_IN_FLIGHT = 4  # for each thread
RETRIES = 2
RETRY_PAUSE = 1.0  # seconds before the second
STUCK_TASKS = 2  # for each thread: so many that are stuck, and none that is done meanwhile, and the store is given up
PATIENCE = 300.0
RECORD_SECONDS = 10.0


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


@dataclass
class _Batch:
    """Futures of a batch, and the boxes of blocks that each is to finish."""

    futures: dict[Any, list[Box]]


class Stuck(RuntimeError):
    """A task whose workers were ended because its reading or writing did not."""


class Sweep:
    """Runs the blocks that the journal does not have yet.

    report: called with the record of each block, or box of blocks, as it comes in
    events: where failures are told
    patience: seconds to wait for a first or another worker
    """

    def __init__(
        self,
        client: Any,
        work: Work,
        run_id: str,
        report: Callable[[dict[str, Any]], None],
        events: Events | None = None,
        patience: float = PATIENCE,
    ) -> None:
        self.client, self.work, self.run_id, self.report = client, work, run_id, report
        self.patience = patience
        self.events = events or Events()
        self.plan = work.plan
        self.outcome = Outcome()
        self.reads: dict[Region, Any] = {}
        self.stuck: set[str] = set()

    def run(self) -> Outcome:
        begin = time.perf_counter()
        self.lanes = sum(self.client.nthreads().values())
        done = journal(self.work.out).done_mask(self.plan.grid)
        self.outcome.skipped = int(done.sum())
        if self.plan.halos == "store":
            errors = self._drain(self._runs(done), max(RUNS_IN_FLIGHT * self.lanes, BATCHES_IN_FLIGHT))
            self._retry(errors)
        else:
            with halo_timer(self.client) as halo:
                errors = self._drain(self._batches(done), BATCHES_IN_FLIGHT)
                self.reads.clear()
                self._retry(errors)
                measured = halo()
            # Dask joins a block's edges in the task that computes it: what our own stages do not explain is halo.
            stages = self.outcome.stages
            inside = sum(stages.get(name, 0.0) for name in ("wait", "upload", "kernel", "download", "encode + write"))
            stages["transfer"] = measured.get("transfer", 0.0)
            stages["halo"] = measured.get("cut", 0.0) + max(0.0, measured.get("block", 0.0) - inside)
        self.outcome.seconds = time.perf_counter() - begin
        return self.outcome

    def _drain(self, batches: Iterator[_Batch], in_flight: int, again: bool = False) -> dict[Box, BaseException]:
        """Keep some batches in flight until there are none left; what failed."""
        errors: dict[Box, BaseException] = {}
        flying: dict[Any, _Batch] = {}
        count = 0
        waiting = Waiting(self.client, self.patience)
        while True:
            while count < in_flight and (batch := next(batches, None)) is not None:
                count += 1
                flying.update(dict.fromkeys(batch.futures, batch))
                waiting.add(batch.futures)
            if not flying:
                return errors
            future = waiting.next()
            batch = flying.pop(future)
            boxes = batch.futures.pop(future)
            error = self._receive(future)
            if isinstance(error, JobFailed):  # no other block could be written either
                self.client.cancel([*flying, *self.reads.values()])
                raise error
            if error is not None:
                why = _reason(error)
                if not again and isinstance(error, Stuck) and len(self.stuck) > max(3, STUCK_TASKS * self.lanes):
                    self.client.cancel([*flying, *self.reads.values()])
                    raise JobFailed(f"{len(self.stuck)} tasks one after another, the last of them {why}")
                for box in boxes:
                    errors[box] = error
                    if not again:
                        self._tell("failed", box, f"failed ({why}): it is tried again at the end", reason=why)
            count -= not batch.futures

    def _receive(self, future: Any) -> BaseException | None:
        """Count what a finished task did; else, why it failed."""
        if future.status == "error":
            return self._understood(future.exception())
        self.stuck.clear()
        try:
            self._take(future.result(timeout=RECORD_SECONDS))
        except (TimeoutError, CancelledError):
            # Its worker was lost with the record, which Dask may wait for in vain. The journal knows what was written.
            return RuntimeError("its worker was lost just after it")
        return None

    def _understood(self, error: BaseException) -> BaseException:
        """Why a task failed, where Dask knows no more than that its workers died."""
        if not _killed(error):
            return error
        task, worker = str(error.task), error.last_worker.address  # type: ignore[attr-defined]
        for _, news in self.client.get_events(TOPIC):
            if news["action"] == "stuck" and (news["task"], news["worker"]) == (task, worker):
                self.stuck.add(task)
                what, span = f"{news['doing']} {news['what']}", duration(news["seconds"])
                return Stuck(f"stuck in {what} for {span} on each worker that it was on: does the store answer?")
        return error

    def _runs(self, done: np.ndarray) -> Iterator[_Batch]:
        """One task for each box of blocks with work left, which reads its halos itself."""
        collected: list[Box] = []
        room = prod(self.plan.batch)
        for box in self.plan.boxes():
            for whole in _unfinished(box, done, self.plan.exact):
                size = count(*whole)
                if collected and size > room:
                    yield self._send(collected)
                    collected, room = [], prod(self.plan.batch)
                collected.append(whole)
                room -= size
        if collected:
            yield self._send(collected)

    def _send(self, boxes: list[Box], name: str = "run", sparing: bool = False) -> _Batch:
        key = f"{name}-{self.run_id}-{boxes[0]}"
        future = self.client.submit(compute_boxes, self.work.out, self.run_id, boxes, sparing, key=key, pure=False)
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
        meta = np.empty((0,) * ndim, regions(self.work.input).read((0,) * ndim, (0,) * ndim).dtype)
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
            if times := record.get("shortages"):
                worker = record["worker"]
                text = f"memory ran short on {worker}: blocks were halved {times} times, and are exact all the same"
                self.events.say("memory-short", text, "warning", worker=worker, times=times)
            for name, seconds in record["stages"].items():
                o.stages[name] = o.stages.get(name, 0.0) + seconds
            self.report(record)

    def _retry(self, errors: dict[Box, BaseException]) -> None:
        """Try again what failed, block by block: a bad chunk must not take its neighbours with it, and disks and
        networks have bad moments. Blocks whose workers died come last, one at a time: one of them may kill whatever
        worker it is on, and with it what others do there. What kills may be the memory that it takes: it is computed
        in parts then."""
        if not errors:
            return
        done = journal(self.work.out).done_mask(self.plan.grid)
        waiting: dict[Index, BaseException] = {}
        deadly: dict[Index, BaseException] = {}
        for (first, last), error in sorted(errors.items(), key=lambda item: item[0]):
            for index in product(*(range(a, b + 1) for a, b in zip(first, last, strict=True))):
                if done[index]:
                    self._take([skipped(index, index)])
                else:
                    waiting[index] = error
        stuck: dict[Index, BaseException] = {}  # these are tried once: each time is long
        for attempt in range(RETRIES):
            deadly |= {index: error for index, error in waiting.items() if _killed(error)}
            stuck |= {index: error for index, error in waiting.items() if attempt and isinstance(error, Stuck)}
            waiting = {index: error for index, error in waiting.items() if index not in deadly | stuck}
            if waiting:
                time.sleep(RETRY_PAUSE * attempt)
                waiting = self._again(sorted(waiting), f"again{attempt}", BATCHES_IN_FLIGHT * max(1, self.lanes))
        deadly |= {index: error for index, error in waiting.items() if _killed(error)}
        waiting = {index: error for index, error in waiting.items() if index not in deadly}
        how = "alone, and in parts that need less memory" if self.plan.exact else "alone"
        for index in sorted(deadly):
            self._tell("alone", (index, index), f"had workers that died: it is tried {how}")
        waiting |= stuck | self._again(sorted(deadly), "alone", 1, sparing=True)
        for index, error in sorted(waiting.items(), key=lambda item: item[0]):
            self.outcome.failed[index] = self._explain(index, error)
            why = "; ".join(self.outcome.failed[index])
            self._tell("lost", (index, index), f"failed again: {why}", "error", reason=why)

    def _again(
        self, blocks: list[Index], name: str, in_flight: int, sparing: bool = False
    ) -> dict[Index, BaseException]:
        """Try blocks again, each in a task of its own; those that fail."""
        errors = self._drain((self._send([(index, index)], name, sparing) for index in blocks), in_flight, again=True)
        failed = {first: error for (first, _), error in errors.items()}
        for index in blocks:
            if index not in failed:
                self.outcome.retried += 1
                self._tell("retried", (index, index), "is written after all: it was tried again", "info")
        return failed

    def _tell(self, what: str, box: Box, text: str, level: str = "warning", **facts: Any) -> None:
        self.events.say(f"block-{what}", f"{name_of(*box)} {text}", level, block=marker_name(*box), **facts)

    def _explain(self, index: Index, error: BaseException) -> list[str]:
        """What is wrong with a block: the chunks it cannot read, else the error itself."""
        if _killed(error) or isinstance(error, Stuck):
            return [_reason(error)]  # to look for it here would be the end of this process too
        start, stop = self.plan.needed(index)
        try:
            bad = [f"chunk {key}: {why}" for key, why in unreadable_chunks(self.work.input, start, stop)]
        except Exception:
            bad = []
        where = traceback.extract_tb(error.__traceback__)
        place = f" ({Path(where[-1].filename).name}:{where[-1].lineno})" if where else ""
        return bad or [f"{_reason(error)}{place}"]


def _killed(error: BaseException) -> bool:
    return type(error).__name__ == "KilledWorker"


def _reason(error: BaseException) -> str:
    if _killed(error):
        return "every worker that it was on died: too little memory, or a fault in native code"
    if isinstance(error, Stuck):
        return str(error)
    return f"{type(error).__name__}: {first_line(error)}"


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
