"""The sweep: one pass of an operator over a whole grid, Zarr to Zarr, in batches of blocks.

Blocks exchange halos (`exchange`), or each task reads its own (`own_halos`), as the plan says. Two batches are in
flight, so that no worker waits for the slowest block of one; of tasks that read their own halos, some for each thread.
"""

from __future__ import annotations

import time
from asyncio import CancelledError
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from gridstride.pipeline.errors import JobFailed
from gridstride.pipeline.events.events import Events
from gridstride.pipeline.storage.journal import marker_name
from gridstride.pipeline.sweep.block_task import Work, compute_boxes, name_of
from gridstride.pipeline.sweep.exchange import Exchange
from gridstride.pipeline.sweep.failures import IOTimeout, classify_error, explain, reason
from gridstride.pipeline.sweep.halo_timer import halo_timer
from gridstride.pipeline.sweep.own_halos import runs
from gridstride.pipeline.sweep.record import Box, Index, Record, Summary
from gridstride.pipeline.sweep.retry import Errors, retry, still_to_do
from gridstride.pipeline.sweep.waiting import Waiting
from gridstride.workers.code import CodeError, marked
from gridstride.workers.identity import job_name

BATCHES_IN_FLIGHT = 2
RUNS_IN_FLIGHT = 4  # for each thread
STUCK_TASKS = 2  # for each thread: so many that are stuck, and none that is done meanwhile, and the store is given up
PATIENCE = 300.0
RECORD_SECONDS = 10.0

Batch = dict[Any, list[Box]]  # futures, and the boxes of blocks that each is to finish


class Sweep:
    """Runs the blocks that the journal does not have yet.

    report: called with each record as it comes in; events: where failures are told
    patience: seconds to wait for a first or another worker
    """

    def __init__(
        self,
        client: Any,
        work: Work,
        run_id: str,
        report: Callable[[Record], None],
        events: Events | None = None,
        patience: float = PATIENCE,
    ) -> None:
        self.client, self.work, self.report = client, work, report
        self.run_id = marked(run_id, work.operator)
        self.patience, self.events = patience, events or Events()
        self.plan, self.summary = work.plan, Summary()
        self.stuck: set[str] = set()

    def run(self) -> Summary:
        begin = time.perf_counter()
        self.lanes = sum(self.client.nthreads().values())
        done = self.work.journal.done_mask(self.plan.grid)
        self.summary.skipped = int(done.sum())
        if self.plan.halos == "read":
            tasks = (self._send(boxes) for boxes in runs(self.plan, done))
            self._retry(self._drain(tasks, max(RUNS_IN_FLIGHT * self.lanes, BATCHES_IN_FLIGHT)))
        else:
            self._exchange(done)
        self.summary.seconds = time.perf_counter() - begin
        return self.summary

    def _exchange(self, done: np.ndarray) -> None:
        """Batches whose blocks exchange halos, and what that costs."""
        exchange = Exchange(self.client, self.work, self.run_id)
        with halo_timer(self.client) as halo:
            errors = self._drain(exchange.batches(done), BATCHES_IN_FLIGHT)
            exchange.reads.clear()
            self._retry(errors)
            measured = halo()
        # Dask joins a block's edges in the task that computes it: what our own stages do not explain is halo.
        stages = self.summary.stages
        inside = sum(stages.get(name, 0.0) for name in ("wait", "upload", "kernel", "download", "encode + write"))
        stages["transfer"] = measured.get("transfer", 0.0)
        stages["halo"] = measured.get("cut", 0.0) + max(0.0, measured.get("block", 0.0) - inside)

    def _send(self, boxes: list[Box], name: str = "run", low_memory: bool = False) -> Batch:
        """A task that reads what its boxes of blocks need."""
        key = f"{name}-{self.run_id}-{boxes[0]}"
        where = self.work.out, self.work.part, self.run_id
        return {self.client.submit(compute_boxes, *where, boxes, low_memory, key=key, pure=False): boxes}

    def _drain(self, batches: Iterator[Batch], in_flight: int, again: bool = False) -> dict[Box, BaseException]:
        """Keep some batches in flight until there are none left; what failed."""
        errors: dict[Box, BaseException] = {}
        flying: dict[Any, Batch] = {}
        count = 0
        waiting = Waiting(self.client, self.patience)
        while True:
            while count < in_flight and (batch := next(batches, None)) is not None:
                count += 1
                flying.update(dict.fromkeys(batch, batch))
                waiting.add(batch)
            if not flying:
                return errors
            future = waiting.next()
            batch = flying.pop(future)
            boxes = batch.pop(future)
            error = self._receive(future)
            if error is not None:
                self._check_fatal(error, again, list(flying))
                for box in boxes:
                    errors[box] = error
                    if not again:
                        why = reason(error)
                        self._tell("failed", box, f"failed ({why}); retrying at the end", reason=why)
            count -= not batch

    def _check_fatal(self, error: BaseException, again: bool, flying: list[Any]) -> None:
        """Raise JobFailed where no other block could be written either, or the user's own program is at fault."""
        fatal: JobFailed | None = error if isinstance(error, JobFailed) else None
        if isinstance(error, CodeError):
            fatal = JobFailed(str(error))
        if not again and isinstance(error, IOTimeout) and len(self.stuck) > max(3, STUCK_TASKS * self.lanes):
            fatal = JobFailed(f"{len(self.stuck)} tasks one after another, the last of them {reason(error)}")
        if fatal is not None:
            self.client.cancel(flying)
            raise fatal

    def _receive(self, future: Any) -> BaseException | None:
        """Count what a finished task did; else, why it failed."""
        if future.status == "error":
            news = (news for _, news in self.client.get_events(job_name(self.client)))
            error = classify_error(future.exception(), news)
            if isinstance(error, IOTimeout):
                self.stuck.add(str(future.key))
            return error
        self.stuck.clear()
        try:
            self._take(future.result(timeout=RECORD_SECONDS))
        except (TimeoutError, CancelledError):
            # Its worker was lost with the record, which Dask may wait for in vain. The journal knows what was written.
            return RuntimeError("its worker was lost just after it")
        return None

    def _take(self, result: Any) -> None:
        """Count what a task did: its result is a list of records, or an array of one."""
        for record in result if isinstance(result, list) else result.flat:
            self.summary.take(record)
            if record.shortages:
                text = f"memory was short on {record.worker}: blocks were halved {record.shortages} times; same result"
                self.events.say("memory-short", text, "warning", worker=record.worker, times=record.shortages)
            self.report(record)

    def _retry(self, errors: dict[Box, BaseException]) -> None:
        """Try again what failed, and say what failed for good."""
        if not errors:
            return
        failed, written = still_to_do(errors, self.work.journal.done_mask(self.plan.grid))
        self._take([Record((index, index), skipped=True) for index in written])
        how = "alone, in smaller pieces" if self.plan.exact else "alone"

        def alone(index: Index) -> None:
            self._tell("alone", (index, index), f"its workers were lost; retrying {how}")

        lost = retry(failed, self._again, BATCHES_IN_FLIGHT * max(1, self.lanes), alone)
        for index, error in sorted(lost.items(), key=lambda item: item[0]):
            reasons = explain(error, self.work, self.plan.region(index))
            self.summary.failed[marker_name(index)] = reasons
            why = "; ".join(reasons)
            self._tell("lost", (index, index), f"failed again: {why}", "error", reason=why)

    def _again(self, blocks: list[Index], name: str, in_flight: int, low_memory: bool) -> Errors:
        """Try blocks again, each in a task of its own; those that fail."""
        tasks = (self._send([(index, index)], name, low_memory) for index in blocks)
        failed = {first: error for (first, _), error in self._drain(tasks, in_flight, again=True).items()}
        for index in blocks:
            if index not in failed:
                self.summary.retried += 1
                self._tell("retried", (index, index), "succeeded on retry", "info")
        return failed

    def _tell(self, what: str, box: Box, text: str, level: str = "warning", **facts: Any) -> None:
        self.events.say(f"block-{what}", f"{name_of(box)} {text}", level, block=marker_name(*box), **facts)
