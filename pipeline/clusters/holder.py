"""A cluster that outlives one command: a process holds it, and a state file tells others how to join it.

The state file is itself a cluster file of kind address (`--cluster STATE`), readable by its owner alone. It is there as
long as the cluster is.
"""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import yaml

from gridstride.pipeline.clusters import deployment
from gridstride.pipeline.errors import JobFailed, UsageError
from gridstride.pipeline.options import RunOptions, load_cluster
from gridstride.pipeline.storage.paths import durable_write
from gridstride.workers import security
from gridstride.workers.clusters import Size
from gridstride.workers.clusters.base import last_line
from gridstride.workers.clusters.config import ClusterConfig, Started

STOP_SECONDS = 60
# The command that holds a cluster in its own process: `gridstride cluster start --foreground`.
FOREGROUND = ("-m", "gridstride.pipeline.commands.main", "cluster", "start", "--foreground")


@dataclass(frozen=True)
class HeldCluster:
    """A cluster that was started: its state file, the scheduler's address, workers, and the log of what holds it.
    client: of the process that holds it, None elsewhere."""

    state: Path
    address: str
    workers: int
    log: Path
    client: Any = None


def start(options: RunOptions, state: Path) -> HeldCluster:
    """Start a cluster in a process of its own, and wait until it can be joined."""
    _check_free(state)
    config, _, _, _ = deployment.environment(options)  # what is wrong is said here, not in a log
    if config.kind == "address":
        raise UsageError(f"{options.cluster} joins a cluster that runs already: there is nothing to start")
    log = state.with_name(state.name + ".log")
    given = {"device": options.device, "cluster": options.cluster, "workers": options.workers, "memory": options.memory}
    words = [part for name, value in given.items() if value is not None for part in (f"--{name}", str(value))]
    with log.open("w") as file:
        # Its own session: Ctrl-C and the end of this terminal are not for it.
        holder = subprocess.Popen(
            [sys.executable, *FOREGROUND, "--state", str(state), *words],
            stdin=subprocess.DEVNULL, stdout=file, stderr=file, start_new_session=True,
        )  # fmt: skip
    end = time.monotonic() + config.timeout + STOP_SECONDS
    while not state.exists():
        if holder.poll() is not None:
            raise UsageError(last_line(log.read_text()).removeprefix("gridstride: ") or f"it ended: see {log}")
        if time.monotonic() > end:
            holder.terminate()
            raise UsageError(f"the cluster did not start within {config.timeout + STOP_SECONDS:g} s: see {log}")
        time.sleep(0.2)
    running = load_cluster(state)
    return HeldCluster(state, str(running.address), running.workers or 0, log)


@contextmanager
def hold(options: RunOptions, state: Path) -> Iterator[HeldCluster]:
    """A cluster in this process, with its state file, as long as the context lasts."""
    _check_free(state)
    config, device, _, size = deployment.environment(options)
    # Certificates, where they are temporary, go beside the state file: those who join need them too.
    with (
        security.in_files(config, state.absolute().parent) as config,
        deployment.start(config, device, size, options.debug) as client,
    ):
        workers, address = len(client.scheduler_info(n_workers=-1)["workers"]), client.scheduler.address
        write_state(state, config, address, workers, size)
        try:
            yield HeldCluster(state, address, workers, state.with_name(state.name + ".log"), client)
        finally:
            state.unlink(missing_ok=True)


def wait_for_signal(client: Any) -> None:
    """Until this process is asked to end (SIGTERM, or Ctrl-C). Raises JobFailed if the cluster is lost before."""
    asked = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, lambda *_: asked.set())
    while not asked.wait(2.0):
        if client.status not in ("running", "connecting"):
            raise JobFailed("the cluster is lost: its scheduler does not answer")


def write_state(state: Path, config: ClusterConfig, address: str, workers: int, size: Size) -> None:
    """Write the file by which a running cluster, held by this process, is joined."""
    process = psutil.Process()
    joined = ClusterConfig(
        kind="address",
        address=address,
        workers=workers,
        threads=size.threads,
        memory=size.memory,
        security=config.security,
        tls=config.tls,
        started=Started(machine=socket.gethostname(), pid=process.pid, begun=process.create_time()),
    )
    before = os.umask(0o077)
    try:
        durable_write(state, yaml.safe_dump(joined.model_dump(exclude_defaults=True), sort_keys=False).encode())
    finally:
        os.umask(before)


def stop(state: Path) -> str:
    """Stop the cluster of a state file; one sentence about what was done. Raises JobFailed if it does not stop."""
    config = load_cluster(state)
    started = config.started
    if started is None:
        raise UsageError(
            f"{state} was not written by 'gridstride cluster start': stop its cluster where it was started"
        )
    if started.machine != socket.gethostname():
        raise UsageError(f"{state} is of a cluster held on {started.machine}: stop it there")
    holder = _process(started)
    if holder is None:
        state.unlink()
        return f"the cluster at {config.address} was gone already: removed {state}"
    holder.terminate()
    try:
        holder.wait(STOP_SECONDS)
    except psutil.TimeoutExpired:
        raise JobFailed(f"process {started.pid}, which holds {state}, does not stop within {STOP_SECONDS} s") from None
    state.unlink(missing_ok=True)
    return f"stopped the cluster at {config.address}"


def _process(started: Started) -> psutil.Process | None:
    """The process that holds a cluster, if it still runs: another may have got its number."""
    try:
        process = psutil.Process(started.pid)
        # The kernel counts in ticks of 10 ms.
        return process if abs(process.create_time() - started.begun) < 0.1 else None
    except psutil.NoSuchProcess:
        return None


def _check_free(state: Path) -> None:
    if not state.parent.is_dir():
        raise UsageError(f"{state.parent} is not a folder: the state file cannot be written there")
    if not state.exists():
        return
    config = load_cluster(state)
    if config.started is None:
        raise UsageError(f"{state} exists and is not a state file: use another name with --state")
    if config.started.machine != socket.gethostname() or _process(config.started):
        raise UsageError(f"{state} is of a running cluster: gridstride cluster stop --state {state}, or another name")
    state.unlink()
