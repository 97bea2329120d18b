"""The processes of a cluster on this machine: dask-cuda's LocalCUDACluster, or Dask's LocalCluster."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from multiprocessing import resource_tracker
from typing import Any

from gridstride.workers import security
from gridstride.workers.clusters.base import CannotStart, Deployment

CLOSE_SECONDS = 10.0


@contextmanager
def running(deployment: Deployment) -> Iterator[dict[str, Any]]:
    """Keywords of a `distributed.Client` of the cluster, whose scheduler and nannies are in this process.

    Raises CannotStart.
    """
    with _closed_in_time() as started:
        with signals_for_client():
            try:
                started.append(_start(deployment))
            except (OSError, RuntimeError, ValueError) as error:
                raise CannotStart(
                    f"the cluster does not start on {deployment.config.host}: {_first_cause(error)}"
                ) from error
        yield {"address": started[0]}


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


def _first_cause(error: BaseException) -> str:
    """In one line; Dask wraps what happened in errors of its own."""
    while error.__cause__ is not None:
        error = error.__cause__
    return " ".join(str(error).split()) or type(error).__name__


@contextmanager
def _closed_in_time() -> Iterator[list[Any]]:
    """Close the cluster that is put into the list, after use. Dask waits for ever where a nanny's worker was killed
    while it started."""
    started: list[Any] = []
    try:
        yield started
    finally:
        for local in started:
            try:
                local.close(timeout=CLOSE_SECONDS)
            except TimeoutError:
                for nanny in list(local.workers.values()):
                    with suppress(OSError, TypeError):
                        os.kill(nanny.pid, signal.SIGKILL)


@contextmanager
def signals_for_client() -> Iterator[None]:
    """Ctrl-C, a closing terminal, systemd and SLURM send their signals to every process, but only the client is to
    answer them. Threads and processes inherit which signals are blocked, so these are while the cluster starts; one
    that comes meanwhile is delivered afterwards."""
    signals = {signal.SIGINT, signal.SIGTERM, signal.SIGHUP}
    before = signal.pthread_sigmask(signal.SIG_BLOCK, signals)
    try:
        resource_tracker.ensure_running()
        signal.pthread_sigmask(signal.SIG_BLOCK, signals)  # Python 3.11 unblocks two where it starts the tracker
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
