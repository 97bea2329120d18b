"""A cluster on this machine: one process for each GPU (LocalCUDACluster), or for every eight cores (LocalCluster)."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

from gridstride.workers import device, security
from gridstride.workers.clusters.base import CannotStart, Deployment, Size, connected, cpu_count, per_host

CLOSE_SECONDS = 10.0


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
    with _workers_ignore_interrupts():
        local = _start(deployment)
    with _closed_in_time(local), connected(local, deployment) as there:
        yield there


def _start(deployment: Deployment) -> Any:
    config, size = deployment.config, deployment.size
    common: dict[str, Any] = {
        "n_workers": size.workers,
        "threads_per_worker": size.threads,
        "host": config.host,
        "protocol": config.scheme,
        "security": security.make(config),
        "dashboard_address": config.dashboard,
        "local_directory": config.local_directory,
        "silence_logs": deployment.level,
        # The planner bounds memory; Dask's own limit is only the last resort against a leak.
        "memory_limit": 0 if size.memory is None else max(size.memory, 2**29),
    }
    if deployment.device == "gpu":
        from dask_cuda import LocalCUDACluster

        return LocalCUDACluster(device_memory_limit=None, **deployment.rmm, **common)
    from distributed import LocalCluster

    return LocalCluster(processes=True, **common)


@contextmanager
def _closed_in_time(local: Any) -> Iterator[None]:
    """Close a cluster after use. Dask waits for ever where a nanny's worker was killed while it started."""
    try:
        yield
    finally:
        try:
            local.close(timeout=CLOSE_SECONDS)
        except TimeoutError:
            for nanny in list(local.workers.values()):
                with suppress(OSError, TypeError):
                    os.kill(nanny.pid, signal.SIGKILL)


@contextmanager
def _workers_ignore_interrupts() -> Iterator[None]:
    """Ctrl-C reaches every process of a terminal, and Dask's workers end of it. Only the client is to answer it:
    processes inherit that a signal is ignored, so it is while the workers are started."""
    if threading.current_thread() is not threading.main_thread():  # where no signal can be set
        yield
        return
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
