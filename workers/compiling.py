"""Says that a worker compiles kernels, as a first run does: they are kept for later ones."""

from __future__ import annotations

import threading
from typing import Any

from gridstride.workers.identity import JOB

_lock = threading.Lock()
_listens = False


def announce() -> None:
    """From now on tell jobs, under the topic of their name, that a worker compiles. Call it in a task."""
    global _listens
    with _lock:
        if _listens:
            return
        _listens = True
    from numba.core import event

    class Compiling(event.Listener):
        def on_start(self, event: Any) -> None:
            _tell()

        def on_end(self, event: Any) -> None:
            pass

    event.register("numba:compile", Compiling())


def _tell() -> None:
    """Of a kernel that is compiled in a task of a job. Elsewhere nobody waits for it."""
    from distributed import get_worker

    try:
        worker = get_worker()
        task = worker.state.tasks.get(worker.get_current_task())
    except ValueError:
        return
    job = (task.annotations or {}).get(JOB) if task is not None else None
    if job is not None:
        worker.log_event(job, {"action": "compile", "worker": worker.address})
