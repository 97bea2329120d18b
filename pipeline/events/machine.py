"""The machine and the versions that a job runs with. No environment variables and no user: nothing secret."""

from __future__ import annotations

import os
import platform
import socket
from contextlib import suppress
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
    """Versions of Python and of the packages that influence results."""
    found = {"python": platform.python_version()}
    for name in PACKAGES:
        with suppress(metadata.PackageNotFoundError):
            found[name] = metadata.version(name)
    return found


def machine(device: str) -> dict[str, Any]:
    """Host, system, processor, cores and memory of this process; its GPUs too if `device` is "gpu"."""
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
    with suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.machine()


def _gpus() -> list[str]:
    """Names of the GPUs that CUDA_VISIBLE_DEVICES leaves to this process; none if NVML does not find them."""
    try:
        import pynvml

        pynvml.nvmlInit()
        shown = os.environ.get("CUDA_VISIBLE_DEVICES")
        chosen = map(str, range(pynvml.nvmlDeviceGetCount())) if shown is None else filter(None, shown.split(","))
        handles = [
            pynvml.nvmlDeviceGetHandleByIndex(int(gpu)) if gpu.isdecimal() else pynvml.nvmlDeviceGetHandleByUUID(gpu)
            for gpu in chosen
        ]
        names = [pynvml.nvmlDeviceGetName(handle) for handle in handles]
        return [name.decode() if isinstance(name, bytes) else str(name) for name in names]
    except Exception:
        return []
