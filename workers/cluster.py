"""Starting a Dask cluster, or joining one. Everything listens on loopback unless cluster.yaml says otherwise."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import dask

from gridstride.workers.clusters import WORKER_TIMEOUT, Deployment, Size, module
from gridstride.workers.clusters.base import flat

# Under this name the scheduler tells clients what becomes of workers.
TOPIC = "gridstride-workers"


def cpu_count() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def free_memory() -> int:
    """Bytes of host memory that are free, within the container's limit if there is one."""
    import psutil
    from distributed.system import MEMORY_LIMIT

    return min(psutil.virtual_memory().available, MEMORY_LIMIT)


def local_size(device: str, workers: int | None, threads: int | None, memory: int | None, gpus: int) -> Size:
    """How large a local cluster is to be: one worker for each GPU, or for every eight cores."""
    cores = cpu_count()
    if workers is None:
        workers = max(1, gpus) if device == "gpu" else max(1, -(-cores // 8))
    if threads is None:
        # Beside a GPU, threads decode and encode while one of them computes.
        threads = max(2, min(8, cores // workers)) if device == "gpu" else max(1, cores // workers)
    return Size(workers, threads, memory if memory is not None else int(0.6 * free_memory()))


@contextmanager
def start(device: str, size: Size, **how: Any) -> Iterator[Any]:
    """A `distributed.Client` of a cluster that lives as long as the context. Keywords: those of `Deployment`.

    Raises CannotStart with one line that says why.
    """
    with running(Deployment(device=device, size=size, **how)) as client:
        yield client


@contextmanager
def running(deployment: Deployment) -> Iterator[Any]:
    """A `distributed.Client` of a deployment, which is started, or joined, and stopped with the context."""
    import distributed  # noqa: F401  its defaults first, or they would go when our settings do

    from gridstride.workers import clocks

    for name in ("distributed", "distributed.client"):  # which has a level of its own
        logging.getLogger(name).setLevel(deployment.level)
    ours, theirs = dask.config.set(settings(deployment.worker_timeout)), dask.config.set(flat(deployment.dask))
    with ours, theirs, module(deployment.kind).client(deployment) as client:
        clocks.keep_steady_in(client)
        yield client


def settings(worker_timeout: float = WORKER_TIMEOUT) -> dict[str, Any]:
    """Dask's settings for our workers, in one place.

    worker_timeout: seconds without a sign of life after which a worker is killed and started again
    """
    return {
        # Blocks are planned to fit: spilling them would write what is about to be written anyway.
        "distributed.worker.memory.target": False,
        "distributed.worker.memory.spill": False,
        "distributed.worker.memory.pause": False,
        "distributed.worker.memory.terminate": False,
        # A worker busy in a kernel gives signs of life all the same: kernels and codecs hold no lock of Python's.
        "distributed.scheduler.worker-ttl": f"{worker_timeout} s",
        "distributed.scheduler.allowed-failures": 3,
        "distributed.comm.timeouts.connect": "30s",
        "distributed.admin.large-graph-warning-threshold": "100MB",
        "array.query-planning": False,
    }


def this_worker() -> str:
    """Address of the Dask worker that runs this task; "" outside one."""
    from distributed import get_worker

    try:
        return get_worker().address
    except ValueError:
        return ""


def describe(client: Any) -> list[dict[str, Any]]:
    """One row for each worker: address, threads, memory, device and versions."""

    def look() -> dict[str, Any]:
        import platform

        import numpy
        import zarr

        import gridstride
        from gridstride.workers.device import gpu_count

        name, memory = "CPU", None
        if gpu_count():
            try:
                import cupy

                properties = cupy.cuda.runtime.getDeviceProperties(0)
                name, memory = properties["name"].decode(), int(properties["totalGlobalMem"])
            except Exception as error:
                name = f"GPU without CuPy ({type(error).__name__})"
        versions = {"gridstride": gridstride.__version__, "python": platform.python_version()}
        versions |= {"numpy": numpy.__version__, "zarr": zarr.__version__}
        return {"device": name, "device_memory": memory, "pid": os.getpid(), "versions": versions}

    looks = client.run(look)
    rows = []
    for address, worker in client.scheduler_info(n_workers=-1)["workers"].items():
        rows.append(
            {
                "address": address,
                "threads": worker["nthreads"],
                "memory": worker["memory_limit"],
                **looks[address],
            }
        )
    return rows
