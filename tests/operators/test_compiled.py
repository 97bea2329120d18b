"""Compiled kernels that are kept: those that an update may have made wrong are compiled again."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from gridstride.workers import compiling


@pytest.mark.parametrize(
    ("changed", "gone"),
    [
        ("vectors.py", {"families/a.nbc", "models/b.nbc", "models/edac/c.nbc"}),
        ("families/sums.py", {"families/a.nbc"}),
        ("models/threads.py", {"models/b.nbc", "models/edac/c.nbc"}),
        ("models/edac/steps.py", {"models/edac/c.nbc"}),
        ("operators/gaussian.py", set()),
    ],
)
def test_kernels_are_compiled_again_where_what_they_use_has_changed(
    changed: str, gone: set[str], tmp_path: Path
) -> None:
    sources = ["vectors.py", "loops.py", "families/sums.py", "models/threads.py", "models/edac/steps.py"]
    kernels = {
        name: (tmp_path / name).parent / "__pycache__" / Path(name).name
        for name in ("families/a.nbc", "models/b.nbc", "models/edac/c.nbc")
    }
    for second, paths in enumerate([[tmp_path / s for s in sources], kernels.values(), [tmp_path / changed]]):
        for path in paths:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.touch()
            os.utime(path, (second, second))
    compiling.forget_stale(tmp_path)
    assert {name for name, path in kernels.items() if not path.exists()} == gone


def test_numba_is_there_for_every_thread_that_goes_on_to_a_kernel() -> None:
    """Several threads that import Numba at a time may wait for ever."""
    done = subprocess.run([sys.executable, "-c", THREADS], capture_output=True, text=True, timeout=100)
    assert done.stdout.split() == ["True"] * 8, done.stderr


THREADS = """
import sys, threading
from gridstride.workers.compiling import announce
at_once = threading.Barrier(8)
def task():
    at_once.wait()
    announce()
    ready = hasattr(sys.modules.get("numba"), "njit") and "numba.core.event" in sys.modules
    sys.stdout.write(f"{ready}\\n")
threads = [threading.Thread(target=task) for _ in range(8)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
"""
