"""Which machine and which versions of what a job runs with. No environment, no user: nothing that is secret."""

from __future__ import annotations

import platform
import socket
from functools import lru_cache
from importlib import metadata
from pathlib import Path
from typing import Any

PACKAGES = (
    "gridstride", "dask", "distributed", "dask-cuda", "numpy", "numba", "zarr", "tensorstore",
    "cupy-cuda13x", "cupy-cuda12x",
)  # fmt: skip


@lru_cache(maxsize=1)
def versions() -> dict[str, str]:
    """Of Python and of the packages that decide what is computed."""
    found = {"python": platform.python_version()}
    for name in PACKAGES:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return found


def machine(device: str) -> dict[str, Any]:
    """Of this process: host, system, processor, cores, memory; and its GPUs where the job uses them."""
    import psutil

    from gridstride.workers.clusters.base import cpu_count

    found: dict[str, Any] = {
        "host": socket.gethostname(),
        "system": f"{platform.system()} {platform.release()}",
        "processor": _processor(),
        "cores": cpu_count(),
        "memory": psutil.virtual_memory().total,
    }
    if device == "gpu":
        found["gpus"] = _gpus()
    return found


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        lines = []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()


def _gpus() -> list[str]:
    try:
        import pynvml

        pynvml.nvmlInit()
        handles = [pynvml.nvmlDeviceGetHandleByIndex(i) for i in range(pynvml.nvmlDeviceGetCount())]
        names = [pynvml.nvmlDeviceGetName(handle) for handle in handles]
        return [name.decode() if isinstance(name, bytes) else str(name) for name in names]
    except Exception:
        return []
