"""A cluster of SLURM jobs, through dask-jobqueue: the scheduler in this process, workers in jobs of one node each.

Before a job is sent, SLURM itself is asked whether it would take it (`sbatch --test-only`). When workers do not come,
`squeue` and the end of the job's error log say why. Jobs that are lost later are replaced: see `slurm_jobs`.
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

from pydantic import BaseModel, ConfigDict, Field

from gridstride.workers import security
from gridstride.workers.clusters.base import (
    LOOK,
    CannotStart,
    Deployment,
    Size,
    connected,
    environment,
    flat,
    last_line,
    output_of,
    per_host,
    read_look,
    size_of_equals,
)
from gridstride.workers.sizes import Bytes

NAME = "gridstride"
# The address of the interface that faces another machine: where a worker listens, and nowhere else.
FACING = (
    'import socket; s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); s.connect(("{host}", 1)); '
    "print(s.getsockname()[0])"
)


class Options(BaseModel):
    """What to ask of SLURM. Cores, memory and gpus are of one job, which has one node.

    jobs:          how many jobs of workers
    partition, account, qos, walltime: as for sbatch
    gpus:          GPUs of each job, one worker each; gres: the same in SLURM's words, such as gpu:a100:4
    gpu_memory:    bytes that are free on each GPU; what the planner counts on
    processes:     workers of each job; by default one for each GPU, or for every eight cores
    python:        the python on the nodes that has gridstride; by default the path of the one that runs here
    log_directory: where jobs write their logs: a folder that the nodes share
    prologue:      shell lines before the worker starts, such as `module load cuda`
    job_extra:     further #SBATCH lines, such as --exclusive
    interface:     network interface of scheduler and workers, such as ib0
    replacements:  how many lost jobs are replaced at most
    """

    model_config = ConfigDict(extra="forbid")

    cores: int = Field(ge=1)
    memory: Bytes
    jobs: int = Field(default=1, ge=1)
    partition: str | None = None
    account: str | None = None
    qos: str | None = None
    walltime: str = "01:00:00"
    gpus: int = Field(default=0, ge=0)
    gres: str | None = None
    gpu_memory: Bytes = 16 * 10**9
    processes: int | None = Field(default=None, ge=1)
    python: str | None = None
    log_directory: str = "gridstride-logs"
    prologue: list[str] = Field(default_factory=list)
    job_extra: list[str] = Field(default_factory=list)
    interface: str | None = None
    replacements: int = Field(default=10, ge=0)

    @property
    def workers(self) -> int:
        """Of each job."""
        return per_host(self.cores, self.gpus, self.processes)

    @property
    def directives(self) -> list[str]:
        """The #SBATCH lines that dask-jobqueue has no words for."""
        gres = self.gres or (f"gpu:{self.gpus}" if self.gpus else None)
        given = [f"--gres={gres}" if gres else "", f"--qos={self.qos}" if self.qos else ""]
        return [line for line in given if line] + self.job_extra


def size(deployment: Deployment) -> Size:
    """What the jobs will have."""
    return size_of_equals(deployment, deployment.options.jobs, deployment.options.workers)


def check(deployment: Deployment) -> None:
    """Whether SLURM is here, has the partition, and would take the job; whether its python has gridstride."""
    options: Options = deployment.options
    check_commands()
    check_partition(options.partition)
    _check_reach(deployment)
    check_python(options.python)
    if deployment.security == "tls":
        security.make(deployment)
    check_script(script(deployment))


def check_commands() -> None:
    for command in ("sbatch", "squeue", "sinfo", "scontrol", "scancel"):
        if shutil.which(command) is None:
            raise CannotStart(f"{command} is not on the PATH: is this a login node of a SLURM cluster?")


def check_partition(partition: str | None) -> None:
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


def check_python(python: str | None) -> None:
    """Whether the nodes' python has gridstride: asked of the same path here, where there is one."""
    if python is None or (words := shlex.split(python))[0] == sys.executable:
        return
    if shutil.which(words[0]) is None:
        if Path(words[0]).is_absolute() and not Path(words[0]).parent.exists():
            return  # a path that only the nodes have: their error log will say
        raise CannotStart(f"slurm.python is {python}: there is no such program")
    read_look(f"slurm.python ({python})", *output_of(*words, "-c", LOOK, timeout=120))


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
    if deployment.options.interface or not deployment.host.startswith(("127.", "localhost", "::1")):
        return
    partition = deployment.options.partition
    which = [f"--partition={partition}"] if partition else []
    _, out, _ = output_of("sinfo", "--noheader", "--Node", "--format=%N", *which)
    names = {socket.gethostname(), socket.gethostname().split(".")[0]}
    if others := sorted(set(out.split()) - names):
        raise CannotStart(
            f"host is {deployment.host}, which node {others[0]} cannot reach: give this machine's address as the nodes "
            "see it, or slurm.interface"
        )


@contextmanager
def client(deployment: Deployment) -> Iterator[Any]:
    from gridstride.workers.clusters.slurm_jobs import Jobs

    options: Options = deployment.options
    make_logs(options)
    with security.in_files(deployment, options.log_directory) as secured, cluster(secured) as slurm:
        jobs = Jobs(slurm, options.log_directory, options.replacements)
        jobs.send(secured.size.workers // options.workers)
        with connected(slurm, secured, jobs.why) as running, jobs.watched(running):
            yield running


def make_logs(options: Options) -> Path:
    """The folder of the jobs' logs."""
    logs = Path(options.log_directory).absolute()
    try:
        logs.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise CannotStart(f"slurm.log_directory {logs} cannot be made: {error.strerror}") from None
    return logs


def script(deployment: Deployment) -> str:
    """The job script of one job of workers."""
    with _quietly():
        job = _job(deployment)
        return job.job_script()


def cluster(deployment: Deployment) -> Any:
    """A dask-jobqueue cluster without jobs as yet."""
    from dask_jobqueue import SLURMCluster

    interface = deployment.options.interface
    listen = {"interface": interface} if interface else {"host": deployment.host}
    with _quietly():
        return SLURMCluster(
            **_keywords(deployment),
            security=security.make(deployment) if deployment.security == "tls" else None,
            protocol=f"{deployment.scheme}://",
            scheduler_options={**listen, "dashboard_address": deployment.dashboard},
            silence_logs=False,
        )


def _job(deployment: Deployment) -> Any:
    try:
        from dask_jobqueue.slurm import SLURMJob
    except ImportError:
        raise CannotStart("kind slurm needs dask-jobqueue: pip install 'gridstride[slurm]'") from None
    return SLURMJob(f"{deployment.scheme}://SCHEDULER:PORT", "WORKER", **_keywords(deployment),
                    protocol=f"{deployment.scheme}://")  # fmt: skip


def _keywords(deployment: Deployment) -> dict[str, Any]:
    """What dask-jobqueue is told of a job."""
    options: Options = deployment.options
    size = deployment.size
    python = options.python or sys.executable
    logs = Path(options.log_directory).absolute() / NAME
    extra = ["--dashboard-address", "127.0.0.1:0"]
    prologue = [f"export {name}={shlex.quote(value)}" for name, value in worker_environment(deployment).items()]
    prologue += options.prologue
    if options.interface is None:
        prologue.append(f"HERE=$({python} -c {shlex.quote(FACING.format(host=deployment.host))})")
        extra += ["--host", "$HERE"]
    if size.device_memory is not None:
        extra += ["--device-memory-limit", "0", *deployment.rmm_arguments]
    return {
        "cores": size.threads * options.workers,
        "job_cpu": options.cores,
        "memory": f"{options.memory}B",
        "processes": options.workers,
        "queue": options.partition,
        "account": options.account,
        "walltime": options.walltime,
        "python": python,
        "job_name": NAME,
        "local_directory": deployment.local_directory,
        "job_script_prologue": prologue,
        "worker_command": "dask_cuda.cli" if size.device_memory is not None else "distributed.cli.dask_worker",
        "worker_extra_args": extra,
        # Its own log_directory is made even for a script that is only looked at.
        "job_extra_directives": [f"-e {logs}-%j.err", f"-o {logs}-%j.out", *options.directives],
        "interface": options.interface,
        "death_timeout": 60,
    }


def worker_environment(deployment: Deployment) -> dict[str, str]:
    """Dask's settings for the workers of a job, which inherit nothing from this process's."""
    from gridstride.workers.cluster import settings

    return environment({**settings(deployment.worker_timeout), **flat(deployment.dask)})


@contextmanager
def _quietly() -> Iterator[None]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)
        yield
