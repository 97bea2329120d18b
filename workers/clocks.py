"""Dask in a time that no one sets: its timers and deadlines go on when a clock is set back while a job runs.

Tornado's periodic callbacks, by which workers give signs of life and the scheduler looks for them, are due at a wall
time, and so is the next message of each of Dask's streams (`distributed.batched`): where the clock is set back by an
hour they wait for an hour (tornado's issue 2333).
"""

from __future__ import annotations

import sys
import time
from typing import Any

from distributed import metrics
from distributed.diagnostics.plugin import WorkerPlugin
from tornado.ioloop import IOLoop

_epoch: float | None = None


def steady_time(*_: Any) -> float:
    """Seconds of the Unix epoch by the clock as it was set when `keep_steady` was called first."""
    assert _epoch is not None
    return _epoch + time.monotonic()


def keep_steady() -> None:
    """In this process, for Dask and Tornado; deadlines that are set already hold."""
    global _epoch
    if _epoch is not None:
        return
    _epoch = time.time() - time.monotonic()
    wall = metrics.time
    for name, module in list(sys.modules.items()):
        if name.partition(".")[0] == "distributed" and vars(module).get("time") is wall:
            module.time = steady_time  # type: ignore[attr-defined]
    IOLoop.time = steady_time  # type: ignore[method-assign, assignment]


class Steady(WorkerPlugin):
    """The same in a worker."""

    name = "gridstride-clock"

    def setup(self, worker: Any) -> None:
        keep_steady()


def keep_steady_in(client: Any) -> None:
    """In the client, the scheduler, and all workers of now and later."""
    keep_steady()
    client.run_on_scheduler(keep_steady)
    client.register_plugin(Steady())
