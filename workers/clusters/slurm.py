"""A cluster of SLURM jobs, through dask-jobqueue: the scheduler in this process, workers in jobs of one node each.

Added to dask-jobqueue, which shows all that goes wrong as a timeout: SLURM is asked first whether it has the partition
and would take the job (`sbatch --test-only`), and when workers do not come, `squeue` and the job's error log say why.
Jobs that are lost later are replaced: see `slurm_jobs`. Workers listen at the one address that faces the scheduler.
"""

from __future__ import annotations

import difflib
import shlex
import shutil
import socket
import sys
import tempfile
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from gridstride.workers import security
from gridstride.workers.clusters import probe
from gridstride.workers.clusters.base import (
    CannotStart,
    Deployment,
    Size,
    connected,
    last_line,
    output_of,
    per_host,
    size_of_equals,
)
from gridstride.workers.clusters.config import Slurm

NAME = "gridstride"
# Prints the address of the interface that faces another machine, given as argument: where a worker listens.
FACING = (
    "import socket, sys; s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); s.connect((sys.argv[1], 1)); "
    "print(s.getsockname()[0])"
)


def each(options: Slurm) -> int:
    """Workers of one job."""
    return per_host(options.cores, options.gpus, options.processes)


def size(deployment: Deployment) -> Size:
    """The size of all jobs together."""
    options: Slurm = deployment.config.section
    return size_of_equals(deployment, options.jobs, each(options))


def check(deployment: Deployment) -> None:
    """Whether SLURM is here, has the partition, and would take the job; whether its Python has gridstride."""
    check_site(deployment.config.section)
    _check_reach(deployment)
    security.make(deployment.config)
    check_script(script(deployment))


def check_site(options: Slurm) -> None:
    """Raises CannotStart if a command of SLURM, the partition, or the nodes' Python is missing."""
    for command in ("sbatch", "squeue", "sinfo", "scontrol", "scancel"):
        if shutil.which(command) is None:
            raise CannotStart(f"{command} is not on the PATH: is this a login node of a SLURM cluster?")
    partition = options.partition
    code, out, err = output_of("sinfo", "--noheader", "--format=%R %a")
    if code:
        raise CannotStart(f"SLURM does not answer: {last_line(err) or f'sinfo ended with {code}'}")
    there = dict(line.split() for line in out.splitlines() if len(line.split()) == 2)
    if partition is not None and partition not in there:
        near = difflib.get_close_matches(partition, there, n=1)
        hint = f"did you mean {near[0]!r}?" if near else f"expected one of {', '.join(there) or 'none'}"
        raise CannotStart(f"SLURM has no partition {partition!r}: {hint}")
    if partition is not None and there[partition] != "up":
        raise CannotStart(f"SLURM's partition {partition!r} is {there[partition]}: its jobs would wait")
    _check_python(options.python)


def _check_python(python: str | None) -> None:
    """Whether the nodes' Python has gridstride: asked of the same path here, where there is one."""
    if python is None or (words := shlex.split(python))[0] == sys.executable:
        return
    if shutil.which(words[0]) is None:
        if Path(words[0]).is_absolute() and not Path(words[0]).parent.exists():
            return  # a path that only the nodes have: their error log will say
        raise CannotStart(f"slurm.python is {python}: there is no such program")
    probe.read(f"slurm.python ({python})", *output_of(*words, "-c", probe.PROGRAM, timeout=120))


def check_script(text: str) -> None:
    """Ask SLURM whether it would take a job script."""
    with tempfile.NamedTemporaryFile("w", suffix=".sh") as file:
        file.write(text)
        file.flush()
        code, out, err = output_of("sbatch", "--test-only", file.name)
    if code:
        said = last_line(err) or last_line(out)
        raise CannotStart(f"SLURM would not take the job: {said.removeprefix('allocation failure: ')}")


def _check_reach(deployment: Deployment) -> None:
    """A scheduler on loopback serves jobs on this machine alone."""
    options, host = deployment.config.section, deployment.config.host
    if options.interface or not host.startswith(("127.", "localhost", "::1")):
        return
    which = [f"--partition={options.partition}"] if options.partition else []
    _, out, _ = output_of("sinfo", "--noheader", "--Node", "--format=%N", *which)
    names = {socket.gethostname(), socket.gethostname().split(".")[0]}
    if others := sorted(set(out.split()) - names):
        raise CannotStart(
            f"host is {host}, which node {others[0]} cannot reach: set host to this machine's address as the nodes see "
            "it, or set slurm.interface"
        )


def make_logs(options: Slurm) -> Path:
    """The folder of the jobs' logs."""
    logs = Path(options.log_directory).absolute()
    try:
        logs.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise CannotStart(f"slurm.log_directory {logs} cannot be made: {error.strerror}") from None
    return logs


@contextmanager
def client(deployment: Deployment) -> Iterator[Any]:
    from dask_jobqueue import SLURMCluster

    from gridstride.workers.clusters.slurm_jobs import Job, Jobs

    config = deployment.config
    options: Slurm = config.section
    make_logs(options)
    listen = {"interface": options.interface} if options.interface else {"host": config.host}
    with security.in_files(config, options.log_directory) as secured:
        with _quietly():
            cluster = SLURMCluster(
                **_keywords(deployment),
                job_cls=Job,
                security=security.make(secured),
                scheduler_options={**listen, "dashboard_address": config.dashboard},
                silence_logs=False,
            )
        with cluster:
            jobs = Jobs(cluster, options.log_directory, options.replacements)
            jobs.send(deployment.size.workers // each(options))
            with connected(cluster, deployment, jobs.why) as running, jobs.watched(running):
                yield running


def script(deployment: Deployment, scheduler: str = "", name: str = "WORKER") -> str:
    """The job script of one job of workers.

    scheduler, name: the scheduler, as arguments of a worker's command, and the name of the worker
    """
    try:
        from dask_jobqueue.slurm import SLURMJob
    except ImportError:
        raise CannotStart("kind slurm needs dask-jobqueue: pip install 'gridstride[slurm]'") from None
    with _quietly():
        job = SLURMJob(scheduler or f"{deployment.config.scheme}://SCHEDULER:PORT", name, **_keywords(deployment))
    return job.job_script()


def _keywords(deployment: Deployment) -> dict[str, Any]:
    """The keywords of dask-jobqueue for a job."""
    config = deployment.config
    options: Slurm = config.section
    python = options.python or sys.executable
    logs = Path(options.log_directory).absolute() / NAME
    extra = ["--dashboard-address", "127.0.0.1:0"]
    prologue = [f"export {name}={shlex.quote(value)}" for name, value in deployment.environment.items()]
    prologue += options.prologue
    if options.interface is None:
        prologue.append(f"HERE=$({python} -c {shlex.quote(FACING)} {config.host})")
        extra += ["--host", "$HERE"]
    if deployment.gpus:
        extra += deployment.cuda_arguments
    return {
        "cores": deployment.size.threads * each(options),
        "job_cpu": options.cores,
        "memory": f"{options.memory}B",
        "processes": each(options),
        "queue": options.partition,
        "account": options.account,
        "walltime": options.walltime,
        "python": python,
        "job_name": NAME,
        "local_directory": config.local_directory,
        "job_script_prologue": prologue,
        "worker_command": "dask_cuda.cli" if deployment.gpus else "distributed.cli.dask_worker",
        "worker_extra_args": extra,
        # Its own log_directory is made even for a script that is only looked at.
        "job_extra_directives": [f"-e {logs}-%j.err", f"-o {logs}-%j.out", *options.directives],
        "interface": options.interface,
        "protocol": f"{config.scheme}://",
        "death_timeout": 60,
    }


@contextmanager
def _quietly() -> Iterator[None]:
    """Without the warnings that dask-jobqueue gives about its own defaults."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)
        yield
