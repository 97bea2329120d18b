"""A look at another Python, before anything is started there: its versions, cores, memory and GPUs.

Dask has a table of versions, but not gridstride's, and it fails later and at length.
"""

from __future__ import annotations

import json
import platform
from collections.abc import Mapping
from typing import Any

from gridstride.workers.clusters.base import CannotStart, last_line

# Tells the line of a probe from what a shell prints when it starts.
MARK = "gridstride-look:"
# As text, because it must run where gridstride may not be.
LOOK = """
def look(devices=True):
    import importlib.util as u, os, platform
    f = {"python": platform.python_version(), "cores": len(os.sched_getaffinity(0)), "gpus": 0, "gpu_memory": None}
    for n in ("gridstride", "distributed"):
        try:
            f[n] = __import__(n).__version__
            __import__({"gridstride": "gridstride.workers.device"}.get(n, n))
        except Exception as e:
            f[n], f["error"] = None, "%s: %s" % (type(e).__name__, e)
    if f["distributed"]:
        from distributed.system import MEMORY_LIMIT
        import psutil
        f["memory"] = min(psutil.virtual_memory().available, MEMORY_LIMIT)
    f["missing"] = [n for n in ("cupy", "dask_cuda") if u.find_spec(n) is None]
    if f["gridstride"] and devices:
        from gridstride.workers import device
        f["gpus"] = device.gpu_count()
        if f["gpus"] and "cupy" not in f["missing"]:
            f["gpu_memory"] = device.device_memory()
    return f
"""
# The same as a program, for python -c.
PROGRAM = f'{LOOK}\nimport json; print("{MARK}" + json.dumps(look()))'


def read(where: str, code: int, out: str, err: str) -> dict[str, Any]:
    """The findings that `PROGRAM` printed, checked. Raises CannotStart naming `where`."""
    lines = [line for line in out.splitlines() if line.startswith(MARK)]
    if not lines:
        raise CannotStart(f"{where} does not run: {last_line(err) or last_line(out) or f'exit code {code}'}")
    found: dict[str, Any] = json.loads(lines[-1].removeprefix(MARK))
    check(where, found)
    return found


def check(where: str, found: Mapping[str, Any], packages: tuple[str, ...] = ("gridstride", "distributed")) -> None:
    """Compare what `look` found with this process. Raises CannotStart naming `where`, and what to install."""
    for name in packages:
        version = __import__(name).__version__
        if found[name] is None:
            error = f"{where} cannot import {name} ({found['error']})"
            raise CannotStart(f"{error}: install {name} {version} there, or use another python")
        if found[name] != version:
            raise CannotStart(f"{where} has {name} {found[name]}, this process {version}: install the same version")
    # Functions travel as bytecode, which differs between versions of Python.
    if found["python"].split(".")[:2] != platform.python_version().split(".")[:2]:
        raise CannotStart(
            f"{where} is Python {found['python']}, this process {platform.python_version()}: use the same"
        )
