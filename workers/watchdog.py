"""Ends a worker that is stuck in a read or a write: a hung file server, a dead disk, a store that never answers.

The worker answers the scheduler all the while, so nobody else would notice; and nothing but the end of the process
takes back a thread that waits in the system.
"""

from __future__ import annotations

import asyncio
import os
import threading
import time
from contextlib import suppress
from typing import Any

from distributed.diagnostics.plugin import WorkerPlugin

from gridstride.workers import buffers
from gridstride.workers.identity import JOB
from gridstride.workers.stages import Open, stages

DOING = {"read + decode": "reading", "encode + write": "writing"}
LOOK_SECONDS = 5.0
TELL_SECONDS = 5.0


class Watchdog(WorkerPlugin):
    """Ends the worker's process once a read or a write of one job's tasks has taken `seconds`. Those who listen to the
    topic of the job's name are told which."""

    def __init__(self, job: str, seconds: float) -> None:
        self.name, self.seconds = job, seconds

    def setup(self, worker: Any) -> None:
        self._over = threading.Event()
        threading.Thread(target=self._watch, args=(worker,), name="watchdog", daemon=True).start()

    def teardown(self, worker: Any) -> None:
        self._over.set()
        buffers.release()

    def _watch(self, worker: Any) -> None:
        while not self._over.wait(min(LOOK_SECONDS, self.seconds / 4)):
            now = time.perf_counter()
            late = [entry for entry in stages.open() if _watched(entry) and now - entry[3] > self.seconds]
            if stuck := [entry for entry in late if self._ours(worker, entry)]:
                for entry in stuck:
                    with suppress(Exception):  # the worker ends, whoever hears why
                        _tell(worker, self.name, entry, now)
                os._exit(1)

    def _ours(self, worker: Any, entry: Open) -> bool:
        task = worker.state.tasks.get(worker.active_threads.get(entry[0]))
        return task is not None and (task.annotations or {}).get(JOB) == self.name


def _watched(entry: Open) -> bool:
    """Whether it is a read or a write of something named. A kernel may take as long as it likes."""
    return entry[1] in DOING and bool(entry[2])


def _tell(worker: Any, topic: str, entry: Open, now: float) -> None:
    """Returns when the scheduler knows."""
    thread, stage, what, begin = entry
    news = {
        "action": "stuck",
        "worker": worker.address,
        "task": str(worker.active_threads.get(thread)),
        "stage": stage,
        "doing": DOING[stage],
        "what": what,
        "seconds": now - begin,
    }
    telling = worker.scheduler.log_event(topic=topic, msg=news)
    asyncio.run_coroutine_threadsafe(telling, worker.loop.asyncio_loop).result(TELL_SECONDS)
