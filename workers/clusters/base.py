"""What all kinds of deployment share: what is asked for, the error they raise, and waiting for workers."""

from __future__ import annotations

import importlib.util
import json
import logging
import os
import platform
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

log = logging.getLogger("gridstride.cluster")

# Seconds without a sign of life after which a worker is given up.
WORKER_TIMEOUT = 120.0

# What a python says of itself: run there with -c, before anything is started there. The mark tells its line from
# what a shell prints when it starts.
MARK = "gridstride-look:"
LOOK = f"""
import importlib.util as u, json, os, platform
f = {{"python": platform.python_version(), "cores": len(os.sched_getaffinity(0)), "gpus": 0, "gpu_memory": None}}
for n in ("gridstride", "distributed"):
    try:
        f[n] = __import__(n).__version__
        __import__({{"gridstride": "gridstride.workers.device"}}.get(n, n))
    except Exception as e:
        f[n], f["error"] = None, "%s: %s" % (type(e).__name__, e)
if f["distributed"]:
    from distributed.system import MEMORY_LIMIT
    import psutil
    f["memory"] = min(psutil.virtual_memory().available, MEMORY_LIMIT)
f["missing"] = [n for n in ("cupy", "dask_cuda") if u.find_spec(n) is None]
if f["gridstride"]:
    from gridstride.workers import device
    f["gpus"] = device.gpu_count()
    if f["gpus"] and not f["missing"]:
        f["gpu_memory"] = device.device_memory()
print("{MARK}" + json.dumps(f))
"""


class CannotStart(RuntimeError):
    """A cluster cannot be started, or its workers do not come; the message is one line with the reason."""

    exit_code = 2


class ClusterLost(RuntimeError):
    """A cluster that ran is lost, and no worker will come back; the message is one line with the reason."""

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
    """What is to be started.

    device: gpu or cpu; options: those of the kind (its `Options`); host: where the scheduler listens
    wanted: (workers, threads, memory) as asked for, each None to be found out
    security: none or tls; tls: certificate files, or None for temporary ones
    timeout: seconds that workers may take to come; worker_timeout: seconds after which a silent one is killed
    dask: the user's own settings for Dask
    """

    device: str
    size: Size
    kind: str = "auto"
    options: Any = None
    wanted: tuple[int | None, int | None, int | None] = (None, None, None)
    address: str | None = None
    protocol: str = "tcp"
    rmm_pool: float = 0.3
    local_directory: str | None = None
    host: str = "127.0.0.1"
    dashboard: str = "127.0.0.1:0"
    timeout: float = 120.0
    worker_timeout: float = WORKER_TIMEOUT
    security: str = "none"
    tls: Any = None
    dask: Mapping[str, Any] = field(default_factory=dict)
    debug: bool = False

    @property
    def level(self) -> int:
        return logging.WARNING if self.debug else logging.CRITICAL

    @property
    def rmm(self) -> dict[str, Any]:
        """Keywords of dask-cuda's workers for a pool of RMM; none where it is not installed."""
        if self.rmm_pool <= 0 or importlib.util.find_spec("rmm") is None:
            return {}
        return {"rmm_pool_size": self.rmm_pool, "rmm_allocator_external_lib_list": ["cupy"]}

    @property
    def rmm_arguments(self) -> list[str]:
        """The same for the command line of dask-cuda's workers."""
        return ["--rmm-pool-size", str(self.rmm_pool), "--set-rmm-allocator-for-libs", "cupy"] if self.rmm else []

    @property
    def scheme(self) -> str:
        """The transport's name in addresses."""
        return "tls" if self.security == "tls" else self.protocol


def size_of_equals(deployment: Deployment, count: int, each: int) -> Size:
    """What so many equal jobs (or pods) will have, each with `each` workers; 20 % of their memory is left to Python and
    Dask. Raises CannotStart where GPUs are wanted and none is asked for."""
    options, (workers, threads, memory) = deployment.options, deployment.wanted
    if deployment.device == "gpu" and not options.gpus:
        raise CannotStart(f"--device gpu needs GPUs of the cluster: expected '{deployment.kind}: {{gpus: ...}}'")
    gpu = options.gpus and deployment.device != "cpu"
    count = -(-workers // each) if workers else count
    return Size(
        workers=count * each,
        threads=threads or max(2 if gpu else 1, options.cores // each),
        memory=memory or int(0.8 * options.memory) * count,
        device_memory=options.gpu_memory if gpu else None,
    )


@contextmanager
def connected(cluster: Any, deployment: Deployment, why: Callable[[bool], str | None] | None = None) -> Iterator[Any]:
    """A client of a cluster, once its workers have come.

    why: says why workers do not come; with False only if none will ever come, else None
    """
    from distributed import Client

    with Client(cluster) as client:
        wait_for_workers(client, deployment, why)
        yield client


def wait_for_workers(
    client: Any, deployment: Deployment, why: Callable[[bool], str | None] | None = None, poll: float = 0.5
) -> None:
    """Wait until all workers are there. Raises CannotStart with the reason if none comes within the time limit; if only
    some come, the job begins with those."""
    wanted, end = deployment.size.workers, time.monotonic() + deployment.timeout
    while (here := len(client.scheduler_info(n_workers=-1)["workers"])) < wanted:
        late = time.monotonic() > end
        reason = why(late) if why else None
        if reason and not late:
            raise CannotStart(reason)
        if late and here:
            log.warning("%d of %d workers came within %g s: going on with those%s", here, wanted, deployment.timeout,
                        f" ({reason})" if reason else "")  # fmt: skip
            return
        if late:
            raise CannotStart(f"no worker came within {deployment.timeout:g} s: {reason or 'no reason is known'}")
        time.sleep(poll)


def output_of(*command: str, timeout: float = 30.0, stdin: str | None = None) -> tuple[int, str, str]:
    """(exit code, stdout, stderr) of a command; 127 if there is none of that name, 124 if it does not end."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=timeout, input=stdin)
    except FileNotFoundError:
        return 127, "", f"{command[0]} is not installed"
    except subprocess.TimeoutExpired:
        return 124, "", f"{command[0]} does not answer within {timeout:g} s"
    return done.returncode, done.stdout, done.stderr


def last_line(text: str) -> str:
    """The last line of an output that is not empty: where programs say what went wrong."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return lines[-1][:300] if lines else ""


def read_look(where: str, code: int, out: str, err: str) -> dict[str, Any]:
    """What `LOOK` printed, checked against this process. Raises CannotStart naming `where`."""
    lines = [line for line in out.splitlines() if line.startswith(MARK)]
    if not lines:
        raise CannotStart(f"{where} does not run: {last_line(err) or last_line(out) or f'exit code {code}'}")
    found: dict[str, Any] = json.loads(lines[-1].removeprefix(MARK))
    import distributed

    import gridstride

    ours = {"gridstride": gridstride.__version__, "distributed": distributed.__version__}
    for name, version in ours.items():
        if found[name] is None:
            raise CannotStart(
                f"{where} cannot import {name} ({found['error']}): install it there, or name another python"
            )
        if found[name] != version:
            raise CannotStart(f"{where} has {name} {found[name]} and this one has {version}: install the same there")
    # Functions travel as bytecode, which differs between versions of Python.
    if found["python"].split(".")[:2] != platform.python_version().split(".")[:2]:
        raise CannotStart(f"{where} is Python {found['python']} and this one {platform.python_version()}: use the same")
    return found


def environment(settings: Mapping[str, Any]) -> dict[str, str]:
    """Dask's settings as environment variables, for workers that are started by others."""
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


def per_host(cores: int, gpus: int, processes: int | None) -> int:
    """Worker processes of one host or job: one for each GPU, or for every eight cores."""
    return processes or gpus or max(1, -(-cores // 8))


def user() -> str:
    return os.environ.get("USER") or str(os.getuid())
