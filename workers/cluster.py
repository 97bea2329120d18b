"""A running Dask cluster: started or joined, and described. What its kinds do is in `clusters`."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import dask

from gridstride.workers.clusters import Deployment, Size, module
from gridstride.workers.clusters.base import flat, settings
from gridstride.workers.clusters.config import ClusterConfig


@contextmanager
def start(device: str, size: Size, debug: bool = False, **config: Any) -> Iterator[Any]:
    """A `distributed.Client` of a cluster that lives as long as the context. Keywords: those of `ClusterConfig`.

    Raises CannotStart with one line that says why.
    """
    with running(Deployment(device, size, ClusterConfig(**config), debug=debug)) as client:
        yield client


@contextmanager
def running(deployment: Deployment) -> Iterator[Any]:
    """A `distributed.Client` of a deployment, which is started, or joined, and stopped with the context."""
    import distributed  # noqa: F401  its defaults first, or they would go when our settings do

    config = deployment.config
    ours, theirs = dask.config.set(settings(config.worker_timeout)), dask.config.set(flat(config.dask))
    with quiet(deployment.level), ours, theirs, module(config.kind).client(deployment) as client:
        yield client


@contextmanager
def quiet(level: int) -> Iterator[None]:
    """Of this process's Dask, only lines of `level` and above are shown by Dask's own log handlers. Levels, which are
    the user's, stay as they are."""

    def loud(record: logging.LogRecord) -> bool:
        return record.levelno >= level

    handlers = [h for name in ("distributed", "distributed.client") for h in logging.getLogger(name).handlers]
    for handler in handlers:
        handler.addFilter(loud)
    try:
        yield
    finally:
        for handler in handlers:
            handler.removeFilter(loud)


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
    workers = client.scheduler_info(n_workers=-1)["workers"]
    return [
        {"address": address, "threads": worker["nthreads"], "memory": worker["memory_limit"], **looks[address]}
        for address, worker in workers.items()
    ]
