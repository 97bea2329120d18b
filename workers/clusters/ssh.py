"""A cluster over SSH: the scheduler on one host, workers on several, started by Dask's SSHCluster (asyncssh).

Keys or an agent open the doors, as for the command `ssh`; passwords are not accepted. Added to SSHCluster, because
users would miss it: hosts are looked at first, with reasons in one line; everything listens only at the address at
which ssh reached its host, or at `interface`; what runs there ends with our connection; certificates are brought.
"""

from __future__ import annotations

import json
import logging
import shlex
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from logging.handlers import BufferingHandler
from typing import Any

from gridstride.workers import security
from gridstride.workers.clusters import probe
from gridstride.workers.clusters.base import CannotStart, Deployment, Size, connected, last_line, per_host
from gridstride.workers.clusters.config import SSH
from gridstride.workers.clusters.ssh_hosts import certificates, connect_options, on_each

LINES = 10_000
# Stands for the address at which ssh reached a host, in the options of what runs there.
REACHED_AT = "REACHED_AT"
# Runs a module on a host, at the address that ssh reached, until our connection ends: sshd leaves processes behind when
# a client dies.
RUNNER = f"""
import os, runpy, signal, sys, threading, time
def watch():
    sys.stdin.buffer.read()
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(20)
    os._exit(1)
threading.Thread(target=watch, daemon=True).start()
reached = os.environ["SSH_CONNECTION"].split()[2]
sys.argv = [word.replace("{REACHED_AT}", reached) for word in sys.argv[2:]]
runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)
"""


def size(deployment: Deployment) -> Size:
    """Workers of all hosts; threads and memory as the smallest host has them."""
    workers, threads, memory = deployment.wanted
    options = deployment.config.section
    looks = _look(options)
    gpus = min(look["gpus"] for look in looks) if deployment.device != "cpu" else 0
    if gpus and (lacking := [m for look in looks for m in look["missing"]]):
        raise CannotStart(
            f"the hosts have GPUs but lack {lacking[0]}: pip install 'gridstride[gpu]' there, or --device cpu"
        )
    if deployment.device == "gpu" and not gpus:
        raise CannotStart("--device gpu: not every host has a CUDA device; use --device cpu or auto")
    cores = min(look["cores"] for look in looks)
    each = per_host(cores, gpus, options.processes)
    if workers and workers % len(looks):
        raise CannotStart(f"{workers} workers on {len(looks)} hosts: expected as many on each")
    each = workers // len(looks) if workers else each
    if gpus and each > gpus:
        raise CannotStart(f"{each} workers on a host with {gpus} GPUs: expected at most one for each")
    return Size(
        workers=each * len(looks),
        threads=threads or max(2 if gpus else 1, cores // each),
        memory=memory or int(0.6 * min(look["memory"] for look in looks)) * len(looks),
        device_memory=min(look["gpu_memory"] for look in looks) if gpus else None,
    )


def _look(options: SSH) -> list[dict[str, Any]]:
    """What each host's Python has."""
    python = options.python or sys.executable
    said = on_each(options.hosts, options, f"{python} -c {shlex.quote(probe.PROGRAM)}")
    return [probe.read(f"the python of {host} ({python})", *said[host]) for host in options.hosts]


def check(deployment: Deployment) -> None:
    """The hosts themselves are looked at by `size`."""
    security.make(deployment.config)


@contextmanager
def client(deployment: Deployment) -> Iterator[Any]:
    import dask
    from distributed import SSHCluster

    config = deployment.config
    with (
        security.in_files(config) as secured,
        certificates(secured) as there,
        dask.config.set(security.settings(there) if there else {}),
        _hosts_lines() as said,
    ):
        try:
            cluster = SSHCluster(**_keywords(deployment), security=security.make(secured))
        except Exception as error:
            raise CannotStart(f"the cluster does not start over ssh: {_last(said) or error}") from error
        with cluster, connected(cluster, deployment, lambda late: _last(said) if late else None) as running:
            yield running


def script(deployment: Deployment) -> str:
    """The commands that run on the hosts, without the lines that end them with our connection."""
    keywords = _keywords(deployment)
    python = deployment.config.section.python or sys.executable

    def line(host: str, address: str, cls: str, options: dict[str, Any]) -> str:
        spec = json.dumps({"cls": cls, "opts": options}).replace(REACHED_AT, host)
        return f"ssh {host} {python} -m distributed.cli.dask_spec {address}--spec {shlex.quote(spec)}\n"

    first, *hosts = keywords["hosts"]
    scheduler = line(first, "", "distributed.Scheduler", keywords["scheduler_options"])
    workers = (line(host, "SCHEDULER ", keywords["worker_class"], keywords["worker_options"]) for host in hosts)
    return scheduler + "".join(workers)


def _keywords(deployment: Deployment) -> dict[str, Any]:
    """The keywords of SSHCluster."""
    config, size = deployment.config, deployment.size
    options: SSH = config.section
    listen = {"interface": options.interface} if options.interface else {"host": REACHED_AT}
    protocol = {"protocol": f"{config.scheme}://"}
    worker: dict[str, Any] = {
        "nthreads": size.threads,
        "memory_limit": 0 if size.memory is None else size.memory // size.workers,
        "dashboard_address": "127.0.0.1:0",
        "local_directory": config.local_directory,
        **listen,
    }
    if deployment.gpus:  # one CUDAWorker starts a process for each GPU of its host, and asks the scheduler's protocol
        worker |= {"n_workers": 1, "device_memory_limit": 0, **deployment.rmm}
    else:
        worker |= {"n_workers": size.workers // len(options.hosts), **protocol}
    return {
        "hosts": [options.scheduler or options.hosts[0], *options.hosts],
        "connect_options": connect_options(options),
        "scheduler_options": {"port": 0, "dashboard_address": config.dashboard, **protocol, **listen},
        "worker_class": "dask_cuda.CUDAWorker" if deployment.gpus else "distributed.Nanny",
        "worker_options": worker,
        "remote_python": f"{options.python or sys.executable} -c {shlex.quote(RUNNER)}",
    }


@contextmanager
def _hosts_lines() -> Iterator[BufferingHandler]:
    """Keeps the lines that hosts print while they start: Dask only logs them, and raises without them."""
    handler, logger = BufferingHandler(LINES), logging.getLogger("distributed.deploy.ssh")
    before = logger.level, logger.propagate
    logger.setLevel(logging.INFO)
    logger.propagate = False
    logger.addHandler(handler)
    try:
        yield handler
    finally:
        logger.removeHandler(handler)
        logger.setLevel(before[0])
        logger.propagate = before[1]


def _last(said: BufferingHandler) -> str | None:
    """The line that says most: the last one with an error in it."""
    lines = [record.getMessage() for record in said.buffer]
    errors = [line for line in lines if "Error" in line]
    return last_line("\n".join(errors or lines)) or None
