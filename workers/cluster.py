"""Starting a Dask cluster, or joining one. Everything listens on loopback unless cluster.yaml says otherwise."""

from __future__ import annotations

import importlib.util
import logging
import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import dask

# How long a scheduler at a given address may take to answer.
CONNECT_TIMEOUT = "20s"


@dataclass(frozen=True)
class Size:
    """Workers, threads of each, and bytes of host memory for all processes together (None: no limit known)."""

    workers: int
    threads: int
    memory: int | None


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
def start(
    device: str,
    size: Size,
    *,
    kind: str = "auto",
    address: str | None = None,
    protocol: str = "tcp",
    rmm_pool: float = 0.3,
    local_directory: str | None = None,
    dashboard: str = "127.0.0.1:0",
    debug: bool = False,
) -> Iterator[Any]:
    """A `distributed.Client` of a cluster that lives as long as the context."""
    from distributed import Client

    level = logging.WARNING if debug else logging.CRITICAL
    logging.getLogger("distributed").setLevel(level)
    with dask.config.set(settings()):
        if kind == "address":
            with Client(address, timeout=CONNECT_TIMEOUT) as client:
                yield client
            return
        with _workers_ignore_interrupts():
            local = _local(device, size, protocol, rmm_pool, local_directory, dashboard, level)
        with local as cluster, Client(cluster) as client:
            client.wait_for_workers(size.workers, timeout=120)
            yield client


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


def _local(
    device: str,
    size: Size,
    protocol: str,
    rmm_pool: float,
    local_directory: str | None,
    dashboard: str,
    level: int,
) -> Any:
    common: dict[str, Any] = {
        "n_workers": size.workers,
        "threads_per_worker": size.threads,
        "host": "127.0.0.1",
        "dashboard_address": dashboard,
        "local_directory": local_directory,
        "silence_logs": level,
        # The planner bounds memory; Dask's own limit is only the last resort against a leak.
        "memory_limit": 0 if size.memory is None else max(size.memory, 2**29),
    }
    if device == "gpu":
        from dask_cuda import LocalCUDACluster

        rmm: dict[str, Any] = {}
        if rmm_pool > 0 and importlib.util.find_spec("rmm"):
            rmm = {"rmm_pool_size": rmm_pool, "rmm_allocator_external_lib_list": ["cupy"]}
        return LocalCUDACluster(protocol=protocol, device_memory_limit=None, **rmm, **common)
    from distributed import LocalCluster

    return LocalCluster(protocol=protocol, processes=True, **common)


def settings() -> dict[str, Any]:
    """Dask's settings for our workers, in one place."""
    return {
        # Blocks are planned to fit: spilling them would write what is about to be written anyway.
        "distributed.worker.memory.target": False,
        "distributed.worker.memory.spill": False,
        "distributed.worker.memory.pause": False,
        "distributed.worker.memory.terminate": False,
        # A worker may be busy for minutes in one kernel call.
        "distributed.scheduler.worker-ttl": None,
        "distributed.scheduler.allowed-failures": 3,
        "distributed.comm.timeouts.connect": "30s",
        "distributed.admin.large-graph-warning-threshold": "100MB",
        "array.query-planning": False,
    }


def answers(address: str) -> bool:
    """Whether a Dask scheduler answers at an address."""
    from distributed import Client

    try:
        with Client(address, timeout=CONNECT_TIMEOUT):
            return True
    except (OSError, ValueError):
        return False


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
