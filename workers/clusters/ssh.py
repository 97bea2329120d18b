"""A cluster over SSH: the scheduler on one host, workers on several, started by distributed's SSH cluster (asyncssh).

Keys or an agent open the doors, as for the command `ssh`; passwords are not accepted. The scheduler and the workers of
a host listen at the one address that our SSH connection reached it at, or at `interface`.
"""

from __future__ import annotations

import asyncio
import json
import logging
import secrets
import shlex
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from gridstride.workers import security
from gridstride.workers.clusters.base import (
    LOOK,
    MARK,
    CannotStart,
    Deployment,
    Size,
    connected,
    last_line,
    per_host,
    read_look,
)

CONNECT_SECONDS = 20
# Beside what LOOK says: the address that this connection came to.
WHERE = f'echo "{MARK}address $SSH_CONNECTION"'

# What a host runs, so that it ends with our connection: sshd leaves processes behind when a client dies.
UNTIL_EOF = """
import os, runpy, signal, sys, threading, time
def watch():
    sys.stdin.buffer.read()
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(20)
    os._exit(1)
threading.Thread(target=watch, daemon=True).start()
sys.argv = sys.argv[2:]
runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)
"""


class Options(BaseModel):
    """How hosts are reached, and what runs there.

    hosts:       names or addresses of the hosts that work
    scheduler:   host of the scheduler; the first of `hosts` by default
    python:      the python there that has gridstride; by default the path of the one that runs here
    username, port, key, known_hosts: as for ssh; by default what ~/.ssh/config says
    interface:   network interface to listen on, such as ib0
    processes:   workers of each host; by default one for each GPU, or for every eight cores
    """

    model_config = ConfigDict(extra="forbid")

    hosts: list[str] = Field(min_length=1)
    scheduler: str | None = None
    python: str | None = None
    username: str | None = None
    port: int | None = None
    key: str | None = None
    known_hosts: str | None = None
    interface: str | None = None
    processes: int | None = Field(default=None, ge=1)


def size(deployment: Deployment) -> Size:
    """Workers of all hosts; threads and memory as the smallest host has them."""
    workers, threads, memory = deployment.wanted
    looks = [look for _, look in _look(deployment)]
    gpus = min(look["gpus"] for look in looks) if deployment.device != "cpu" else 0
    if gpus and (lacking := [m for look in looks for m in look["missing"]]):
        raise CannotStart(
            f"the hosts have GPUs but lack {lacking[0]}: pip install 'gridstride[gpu]' there, or --device cpu"
        )
    if deployment.device == "gpu" and not gpus:
        raise CannotStart("--device gpu: not every host has a CUDA device; use --device cpu or auto")
    cores = min(look["cores"] for look in looks)
    each = per_host(cores, gpus, deployment.options.processes)
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


def check(deployment: Deployment) -> None:
    """The hosts themselves are looked at by `size`."""
    if deployment.security == "tls":
        security.make(deployment)


@contextmanager
def client(deployment: Deployment) -> Iterator[Any]:
    from distributed.deploy.spec import SpecCluster

    addresses = dict(_look(deployment, addresses=True))
    with security.in_files(deployment) as secured, _certificates(secured) as there, _Said() as said:
        import dask

        how = security.make(secured) if secured.security == "tls" else None
        with dask.config.set(security.settings(there) if there else {}):
            try:
                cluster = SpecCluster(*_spec(secured, addresses), name="SSHCluster", security=how, silence_logs=False)
            except Exception as error:
                raise CannotStart(f"the cluster does not start over ssh: {said.last() or error}") from error
            with cluster, connected(cluster, secured, lambda late: said.last() if late else None) as running:
                yield running


def script(deployment: Deployment) -> str:
    """The commands that run on the hosts, without the lines that end them with our connection."""
    workers, scheduler = _spec(deployment, {host: host for host in _hosts(deployment)})
    parts = [scheduler["options"], *(w["options"] for w in workers.values())]
    return "".join(f"ssh {part['address']} {_command(part, deployment.options)}\n" for part in parts)


def _command(part: dict[str, Any], options: Options) -> str:
    cls = part.get("worker_class")
    spec = json.dumps({"cls": cls or "distributed.Scheduler", "opts": part["kwargs"]})
    address = "SCHEDULER " if cls else ""
    return f"{options.python or _here()} -m distributed.cli.dask_spec {address}--spec {shlex.quote(spec)}"


def _hosts(deployment: Deployment) -> list[str]:
    """The scheduler's host, then those that work."""
    options = deployment.options
    return [options.scheduler or options.hosts[0], *options.hosts]


def _spec(deployment: Deployment, addresses: dict[str, str]) -> tuple[dict[int, Any], dict[str, Any]]:
    """What `SpecCluster` is to start: (workers, scheduler)."""
    from distributed.deploy import ssh

    options, size = deployment.options, deployment.size
    first, *hosts = _hosts(deployment)
    each = size.workers // len(hosts)

    def where(host: str) -> dict[str, Any]:
        return {"interface": options.interface} if options.interface else {"host": addresses[host]}

    scheme, python = f"{deployment.scheme}://", options.python or _here()
    common = {"connect_options": _connect(options), "remote_python": f"{python} -c {shlex.quote(UNTIL_EOF)}"}
    worker: dict[str, Any] = {
        "nthreads": size.threads,
        "memory_limit": 0 if size.memory is None else size.memory // size.workers,
        "protocol": scheme,
        "dashboard_address": "127.0.0.1:0",
        "local_directory": deployment.local_directory,
    }
    name = "distributed.Nanny"
    if size.device_memory is not None:
        name, each = "dask_cuda.CUDAWorker", 1  # one CUDAWorker starts a process for each GPU of its host
        worker.pop("protocol")  # it is known from the scheduler's address
        worker |= {"device_memory_limit": 0, **deployment.rmm}
    scheduler = {
        "cls": ssh.Scheduler,
        "options": {
            "address": first,
            "kwargs": {"port": 0, "protocol": scheme, "dashboard_address": deployment.dashboard, **where(first)},
            **common,
        },
    }  # fmt: skip
    workers = {
        i: {
            "cls": ssh.Worker,
            "options": {
                "address": host, "worker_class": name, "kwargs": {**worker, "n_workers": each, **where(host)}, **common
            },
        }
        for i, host in enumerate(hosts)
    }  # fmt: skip
    return workers, scheduler


def _connect(options: Options) -> dict[str, Any]:
    """Keywords of asyncssh.connect."""
    known = str(Path(options.known_hosts).expanduser()) if options.known_hosts else None
    keys = [str(Path(options.key).expanduser())] if options.key else None
    for name, path in (("key", keys and keys[0]), ("known_hosts", known)):
        if path and not Path(path).exists():
            raise CannotStart(f"ssh.{name} is {path}: there is no such file")
    given = {"username": options.username, "port": options.port, "client_keys": keys, "known_hosts": known}
    return {
        "connect_timeout": CONNECT_SECONDS,
        "preferred_auth": "publickey",
        **{k: v for k, v in given.items() if v is not None},
    }


# --- before anything is started ---------------------------------------------------------------------------------


def _look(deployment: Deployment, addresses: bool = False) -> list[tuple[str, Any]]:
    """(host, what its python says), or (host, the address to listen at) with the scheduler's first."""
    options = deployment.options
    hosts = _hosts(deployment) if addresses else options.hosts
    command = WHERE if addresses else f"{options.python or _here()} -c {shlex.quote(LOOK)}"
    said = _on_each(list(dict.fromkeys(hosts)), options, command)
    if addresses:
        return [(host, said[host][1].split(f"{MARK}address ")[-1].split()[2]) for host in hosts]
    where = "the python of {} (" + (options.python or _here()) + ")"
    return [(host, read_look(where.format(host), *said[host])) for host in hosts]


def _here() -> str:
    import sys

    return sys.executable


def _on_each(
    hosts: list[str], options: Options, command: str, stdin: str | None = None
) -> dict[str, tuple[int, str, str]]:
    """(exit code, stdout, stderr) of a command on each host. Raises CannotStart for a host that is not reached."""
    try:
        import asyncssh
    except ImportError:
        raise CannotStart("kind ssh needs asyncssh: pip install 'gridstride[ssh]'") from None
    logging.getLogger("asyncssh").setLevel(logging.CRITICAL)

    async def one(host: str) -> tuple[int, str, str]:
        try:
            async with asyncssh.connect(host, **_connect(options)) as connection:
                done = await asyncio.wait_for(connection.run(command, input=stdin), 120)
        except asyncssh.HostKeyNotVerifiable:
            raise CannotStart(
                f"the key of host {host} is not known: connect once with ssh {host}, or name ssh.known_hosts"
            ) from None
        except asyncssh.PermissionDenied:
            raise CannotStart(
                f"{host} lets nobody in with these keys: try ssh {host}, set ssh.username or ssh.key"
            ) from None
        except (OSError, asyncssh.Error, TimeoutError) as error:
            text = " ".join(str(error).split()) or "no answer"
            raise CannotStart(f"{host} cannot be reached by ssh: {text}") from None
        return done.exit_status or 0, str(done.stdout), str(done.stderr)

    async def all_of_them() -> list[tuple[int, str, str]]:
        return await asyncio.gather(*(one(host) for host in hosts))

    from distributed.utils import LoopRunner

    runner = LoopRunner()  # ours may be called where a loop runs already, as in a notebook
    runner.start()
    try:
        return dict(zip(hosts, runner.run_sync(all_of_them), strict=True))
    finally:
        runner.stop()


@contextmanager
def _certificates(deployment: Deployment) -> Iterator[Any]:
    """Our certificates as files on the hosts, in a folder that only we can read, gone afterwards."""
    if deployment.security != "tls":
        yield None
        return
    hosts = list(dict.fromkeys(_hosts(deployment)))
    folder = f"/tmp/gridstride-tls-{secrets.token_hex(16)}"
    names = ("ca", "cert", "key")
    content = "".join(Path(getattr(deployment.tls, name)).read_text().rstrip("\n") + "\n\0" for name in names)
    # Two names may be one machine: then the folder is there already, and ours.
    put = f"umask 077; mkdir {folder} 2>/dev/null; test -O {folder} && " + " && ".join(
        f"IFS= read -r -d '' x && printf %s \"$x\" > {folder}/{name}.pem" for name in names
    )
    try:
        for host, (code, out, err) in _on_each(
            hosts, deployment.options, f"bash -c {shlex.quote(put)}", content
        ).items():
            if code:
                raise CannotStart(f"certificates cannot be put on {host}: {last_line(err) or last_line(out) or code}")
        yield security.TLSFiles(**{name: f"{folder}/{name}.pem" for name in names})
    finally:
        _on_each(hosts, deployment.options, f"rm -rf {folder}")


class _Said(logging.Handler):
    """What the hosts said while starting: distributed only logs it, and raises without it."""

    def __init__(self) -> None:
        super().__init__(logging.INFO)
        self.lines: deque[str] = deque(maxlen=50)

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(record.getMessage())

    def last(self) -> str | None:
        errors = [line for line in self.lines if "Error" in line]
        return last_line("\n".join(errors or self.lines)) or None

    def __enter__(self) -> _Said:
        logger = logging.getLogger("distributed.deploy.ssh")
        self.before = logger.level, logger.propagate
        logger.setLevel(logging.INFO)
        logger.propagate = False
        logger.addHandler(self)
        return self

    def __exit__(self, *_: object) -> None:
        logger = logging.getLogger("distributed.deploy.ssh")
        logger.setLevel(self.before[0])
        logger.propagate = self.before[1]
        logger.removeHandler(self)
