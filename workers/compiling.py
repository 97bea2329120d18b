"""Kernels that Numba compiles in a first run and keeps for later ones."""

from __future__ import annotations

import contextlib
import threading
from pathlib import Path
from typing import Any

from gridstride.workers.identity import JOB

_lock = threading.Lock()
_listens = False


def forget_stale(package: Path = Path(__file__).parent) -> None:
    """Remove what was compiled before a file that it may use was changed, as when this package is updated by git: Numba
    looks at a kernel's own file only."""
    for kept in package.rglob("__pycache__"):
        compiled = list(kept.glob("*.nbc"))
        if not compiled:
            continue
        folders = {kept.parent, kept.parent.parent} - {package, package.parent}
        files = [package / "vectors.py", package / "loops.py", *(f for folder in folders for f in folder.glob("*.py"))]
        changed = max(file.stat().st_mtime for file in files)
        for code in compiled:
            with contextlib.suppress(OSError):  # another process may have removed it, or the folder is not ours
                if code.stat().st_mtime < changed:
                    code.unlink()


def announce() -> None:
    """From now on tell jobs, under the topic of their name, that a worker compiles. Call it in a task, before any
    kernel: it also sees to it that one thread alone imports Numba, which several at a time may do for ever."""
    global _listens
    with _lock:
        if _listens:
            return
        forget_stale()
        from numba.core import event

        class Compiling(event.Listener):
            def on_start(self, event: Any) -> None:
                _tell()

            def on_end(self, event: Any) -> None:
                pass

        event.register("numba:compile", Compiling())
        _listens = True


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
