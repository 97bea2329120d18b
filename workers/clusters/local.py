"""A cluster on this machine: one process for each GPU (dask-cuda), or for every eight CPU cores."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

from gridstride.workers import cluster, device, security
from gridstride.workers.clusters.base import CannotStart, Deployment, Size, connected

CLOSE_SECONDS = 10.0


def size(deployment: Deployment) -> Size:
    workers, threads, memory = deployment.wanted
    gpus = device.gpu_count() if deployment.device == "gpu" else 0
    found = cluster.local_size(deployment.device, workers, threads, memory, gpus)
    if deployment.device != "gpu":
        return found
    if found.workers > gpus:
        raise CannotStart(f"{found.workers} workers for {gpus} GPUs: expected at most one for each")
    return Size(found.workers, found.threads, found.memory, device.device_memory())


def check(deployment: Deployment) -> None:
    if deployment.security == "tls":
        security.make(deployment)


@contextmanager
def client(deployment: Deployment) -> Iterator[Any]:
    with _workers_ignore_interrupts():
        local = _start(deployment)
    with _closed_in_time(local), connected(local, deployment) as there:
        yield there


@contextmanager
def _closed_in_time(local: Any) -> Iterator[None]:
    """Close a cluster after use. A nanny whose worker was killed while it started may wait for it for ever."""
    try:
        yield
    finally:
        try:
            local.close(timeout=CLOSE_SECONDS)
        except TimeoutError:
            for nanny in list(local.workers.values()):
                with suppress(OSError, TypeError):
                    os.kill(nanny.pid, signal.SIGKILL)


def script(deployment: Deployment) -> str:
    raise CannotStart(f"kind {deployment.kind} starts processes on this machine: there is no script")


@contextmanager
def _workers_ignore_interrupts() -> Iterator[None]:
    """Ctrl-C reaches every process of a terminal. Only the client is to answer it: processes inherit that a signal is
    ignored, so it is while the workers are started."""
    if threading.current_thread() is not threading.main_thread():  # where no signal can be set
        yield
        return
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def _start(deployment: Deployment) -> Any:
    size = deployment.size
    common: dict[str, Any] = {
        "n_workers": size.workers,
        "threads_per_worker": size.threads,
        "host": deployment.host,
        "protocol": deployment.scheme,
        "dashboard_address": deployment.dashboard,
        "local_directory": deployment.local_directory,
        "silence_logs": deployment.level,
        # The planner bounds memory; Dask's own limit is only the last resort against a leak.
        "memory_limit": 0 if size.memory is None else max(size.memory, 2**29),
    }
    if deployment.security == "tls":
        common["security"] = security.make(deployment)
    if deployment.device == "gpu":
        from dask_cuda import LocalCUDACluster

        return LocalCUDACluster(device_memory_limit=None, **deployment.rmm, **common)
    from distributed import LocalCluster

    return LocalCluster(processes=True, **common)
