"""A cluster on this machine: one process for each GPU, or for every eight cores.

Python starts processes that import the `__main__` of their parent again: a program without a guard would run once more
in every worker. Where `__main__` is a program of somebody's, the cluster is therefore in a process between
(`separate`); in a notebook there is nothing to import, and our own command line can be imported, so it is in this one.
"""

from __future__ import annotations

import sys
import sysconfig
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from gridstride.workers import device, security
from gridstride.workers.clusters import processes, separate
from gridstride.workers.clusters.base import CannotStart, Deployment, Size, cpu_count, per_host, wait_for_workers

# Packages whose `python -m NAME` does nothing when it is imported.
GUARDED = ("gridstride", "pytest")


def free_memory() -> int:
    """Bytes of host memory that are free, within the container's limit if there is one."""
    import psutil
    from distributed.system import MEMORY_LIMIT

    return min(psutil.virtual_memory().available, MEMORY_LIMIT)


def size(deployment: Deployment) -> Size:
    """One worker for each GPU, or for every eight cores. Beside a GPU, threads decode and encode while one computes."""
    workers, threads, memory = deployment.wanted
    gpu, cores = deployment.device == "gpu", cpu_count()
    gpus = device.gpu_count() if gpu else 0
    workers = workers or per_host(cores, gpus)
    if gpu and workers > gpus:
        raise CannotStart(f"{workers} workers for {gpus} GPUs: expected at most one for each")
    threads = threads or max(2 if gpu else 1, min(8, cores // workers) if gpu else cores // workers)
    memory = int(0.6 * free_memory()) if memory is None else memory
    return Size(workers, threads, memory, device.device_memory() if gpu else None)


def check(deployment: Deployment) -> None:
    security.make(deployment.config)


def script(deployment: Deployment) -> str:
    raise CannotStart(f"kind {deployment.config.kind} starts processes on this machine: there is no script")


@contextmanager
def client(deployment: Deployment) -> Iterator[Any]:
    from distributed import Client

    where = processes if can_import_main() else separate
    with where.running(deployment) as keywords, Client(**keywords) as there:
        wait_for_workers(there, deployment)
        yield there


def can_import_main() -> bool:
    """Whether worker processes may import the `__main__` of this one: there is none, or it does nothing then."""
    main = sys.modules["__main__"]
    module, file = getattr(main.__spec__, "name", None), getattr(main, "__file__", None)
    if module is not None:
        return str(module).partition(".")[0] in GUARDED
    # What pip makes of an entry point is guarded.
    return file is None or Path(file).resolve().parent == Path(sysconfig.get_path("scripts")).resolve()
