"""Timers that go on when a clock is set back while a job runs.

Tornado's periodic callbacks, by which Dask's workers give signs of life and its scheduler looks for them, are due at a
wall time: where the clock is set back by an hour they wait for an hour (tornado's issue 2333), and nobody would notice
a worker that hangs.
"""

from __future__ import annotations

from typing import Any

from distributed.diagnostics.plugin import WorkerPlugin
from tornado.ioloop import PeriodicCallback

_update_next = PeriodicCallback._update_next


def _update_from_now(timer: Any, now: float) -> None:
    if timer._next_timeout > now + timer.callback_time / 1000:
        timer._next_timeout = now
    _update_next(timer, now)


def keep_timers_going() -> None:
    """In this process, for the timers that it has as well as later ones."""
    PeriodicCallback._update_next = _update_from_now  # type: ignore[method-assign, assignment]


class TimersGoOn(WorkerPlugin):
    """The same in a worker."""

    name = "gridstride-timers"

    def setup(self, worker: Any) -> None:
        keep_timers_going()


def keep_timers_going_in(client: Any) -> None:
    """In the client, the scheduler, and all workers of now and later."""
    keep_timers_going()
    client.run_on_scheduler(keep_timers_going)
    client.register_plugin(TimersGoOn())
