"""What all kinds of cluster share: the request, its errors, Dask's settings, and waiting for workers."""

from __future__ import annotations

import importlib.util
import logging
import os
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from gridstride.workers.clusters.config import WORKER_TIMEOUT, ClusterConfig

log = logging.getLogger("gridstride.cluster")
# Says why workers do not come. Given False, only if none will ever come, else None.
Why = Callable[[bool], str | None]


class CannotStart(RuntimeError):
    """A cluster cannot be started, or its workers do not come; the message is one line with the reason."""

    exit_code = 2


class ClusterLost(RuntimeError):
    """A running cluster is lost, and no worker will come back; the message is one line with the reason."""

    exit_code = 1


@dataclass(frozen=True)
class Size:
    """Workers, threads of each, and bytes of host memory for all processes together (None: no limit known);
    device_memory: bytes that are free on each GPU (None: no GPUs)."""

    workers: int
    threads: int
    memory: int | None
    device_memory: int | None = None


@dataclass(frozen=True)
class Deployment:
    """A request for a cluster.

    device: gpu or cpu; wanted: (workers, threads, memory) as asked for, each None to be found out
    """

    device: str
    size: Size
    config: ClusterConfig
    wanted: tuple[int | None, int | None, int | None] = (None, None, None)
    debug: bool = False

    @property
    def level(self) -> int:
        """Dask's log lines from this level on are shown."""
        return logging.WARNING if self.debug else logging.CRITICAL

    @property
    def gpus(self) -> bool:
        return self.size.device_memory is not None

    @property
    def rmm(self) -> dict[str, Any]:
        """Keywords of dask-cuda's workers for a pool of RMM; none where it is not installed."""
        if self.config.rmm_pool <= 0 or importlib.util.find_spec("rmm") is None:
            return {}
        return {"rmm_pool_size": self.config.rmm_pool, "rmm_allocator_external_lib_list": ["cupy"]}

    @property
    def cuda_arguments(self) -> list[str]:
        """The same for the command line of dask-cuda's workers, with no limit for stored results."""
        pool = ["--rmm-pool-size", str(self.config.rmm_pool), "--set-rmm-allocator-for-libs", "cupy"]
        return ["--device-memory-limit", "0", *(pool if self.rmm else [])]

    @property
    def environment(self) -> dict[str, str]:
        """Dask's settings as environment variables, for workers that inherit nothing from this process."""
        return environment({**settings(self.config.worker_timeout), **flat(self.config.dask)})


def cpu_count() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def per_host(cores: int, gpus: int = 0, processes: int | None = None) -> int:
    """Worker processes of one host or job: one for each GPU, or for every eight cores."""
    return processes or gpus or max(1, -(-cores // 8))


def size_of_equals(deployment: Deployment, count: int, each: int) -> Size:
    """Size of `count` equal jobs or pods with `each` workers; 20 % of their memory is left to Python and Dask. Raises
    CannotStart where GPUs are wanted and none is asked for."""
    config, (workers, threads, memory) = deployment.config, deployment.wanted
    section = config.section
    if deployment.device == "gpu" and not section.gpus:
        raise CannotStart(f"--device gpu needs GPUs of the cluster: expected '{config.kind}: {{gpus: ...}}'")
    gpu = section.gpus and deployment.device != "cpu"
    count = -(-workers // each) if workers else count
    return Size(
        workers=count * each,
        threads=threads or max(2 if gpu else 1, section.cores // each),
        memory=memory or int(0.8 * section.memory) * count,
        device_memory=section.gpu_memory if gpu else None,
    )


@contextmanager
def connected(cluster: Any, deployment: Deployment, why: Why | None = None) -> Iterator[Any]:
    """A client of a cluster, once its workers have come."""
    from distributed import Client

    with Client(cluster) as client:
        wait_for_workers(client, deployment, why)
        yield client


def wait_for_workers(client: Any, deployment: Deployment, why: Why | None = None, poll: float = 0.5) -> None:
    """Wait until all workers are connected. If only some are when the time is over, the job begins with those. Raises
    CannotStart with the reason if there is none."""
    wanted, timeout = deployment.size.workers, deployment.config.timeout
    end = time.monotonic() + timeout
    while (here := len(client.scheduler_info(n_workers=-1)["workers"])) < wanted:
        late = time.monotonic() > end
        reason = why(late) if why else None
        if reason and not late:
            raise CannotStart(reason)
        if late and here:
            more = f" ({reason})" if reason else ""
            log.warning(
                "%d of %d workers connected within %g s; the job starts with those%s", here, wanted, timeout, more
            )
            return
        if late:
            raise CannotStart(f"no worker connected within {timeout:g} s: {reason or 'the reason is not known'}")
        time.sleep(poll)


def output_of(*command: str, timeout: float = 30.0) -> tuple[int, str, str]:
    """(exit code, stdout, stderr) of a command; 127 if there is none of that name, 124 if it does not end."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=timeout)
    except FileNotFoundError:
        return 127, "", f"{command[0]} is not installed"
    except subprocess.TimeoutExpired:
        return 124, "", f"{command[0]} does not answer within {timeout:g} s"
    return done.returncode, done.stdout, done.stderr


def last_line(text: str) -> str:
    """The last line of an output that is not empty: where programs say what went wrong."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return lines[-1][:300] if lines else ""


def settings(worker_timeout: float = WORKER_TIMEOUT) -> dict[str, Any]:
    """Dask's settings for our workers.

    worker_timeout: seconds without a sign of life after which a worker is killed and restarted
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


def environment(settings: Mapping[str, Any]) -> dict[str, str]:
    """Settings of Dask as the environment variables that it reads."""
    return {f"DASK_{name.upper().replace('.', '__').replace('-', '_')}": str(v) for name, v in flat(settings).items()}


def flat(settings: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested settings as one mapping of dotted names."""
    result: dict[str, Any] = {}
    for name, value in settings.items():
        if isinstance(value, Mapping):
            result |= flat(value, f"{prefix}{name}.")
        else:
            result[f"{prefix}{name}"] = value
    return result
