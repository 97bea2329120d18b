"""A cluster of SLURM jobs, through dask-jobqueue: the scheduler in this process, workers in jobs of one node each.

In the job of `gridstride submit`, or another that the user sent, the workers are started on the nodes of that job
instead (`slurm.allocation`). Workers listen at the one address that faces the scheduler.

Added to dask-jobqueue: checks before a job is sent (`slurm_site`), and reasons and replacements for jobs that are lost
(`slurm_jobs`).
"""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from gridstride.workers import security
from gridstride.workers.clusters import slurm_site
from gridstride.workers.clusters.base import (
    CannotStart,
    Deployment,
    Size,
    connected,
    environment,
    output_of,
    per_host,
    size_of_equals,
)
from gridstride.workers.clusters.config import Slurm

NAME = "gridstride"
END_SECONDS = 20.0
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
    options: Slurm = deployment.config.section
    security.make(deployment.config)
    if options.allocation:
        if "SLURM_JOB_NODELIST" not in os.environ:
            raise CannotStart("slurm.allocation needs the nodes of a SLURM job: run the command inside one")
        return
    slurm_site.check(options)
    slurm_site.check_reach(options, deployment.config.host)
    slurm_site.check_script(script(deployment))


@contextmanager
def client(deployment: Deployment) -> Iterator[Any]:
    options: Slurm = deployment.config.section
    slurm_site.make_logs(options)
    with security.in_files(deployment.config, options.log_directory) as secured:
        start = _on_allocated_nodes if options.allocation else _in_jobs
        with start(replace(deployment, config=secured)) as running:
            yield running


@contextmanager
def _in_jobs(deployment: Deployment) -> Iterator[Any]:
    from dask_jobqueue import SLURMCluster

    from gridstride.workers.clusters.slurm_jobs import Job, Jobs

    config = deployment.config
    options: Slurm = config.section
    listen = {"interface": options.interface} if options.interface else {"host": config.host}
    with _quietly():
        cluster = SLURMCluster(
            **_keywords(deployment),
            job_cls=Job,
            security=security.make(config),
            scheduler_options={**listen, "dashboard_address": config.dashboard},
            silence_logs=False,
        )
    with cluster:
        jobs = Jobs(cluster, options.log_directory, options.replacements)
        jobs.send(deployment.size.workers // each(options))
        with connected(cluster, deployment, jobs.why) as running, jobs.watched(running):
            yield running


@contextmanager
def _on_allocated_nodes(deployment: Deployment) -> Iterator[Any]:
    """One `srun` starts on every node what a job of workers would. (dask-jobqueue's SLURMRunner asks for cores for
    scheduler and client too. Both wait most of the time: here they share this node's cores with its workers.)"""
    from distributed import LocalCluster

    config = deployment.config
    options: Slurm = config.section
    listen = {"interface": options.interface} if options.interface else {"host": _address_for_nodes()}
    how: Any = {"protocol": f"{config.scheme}://", "security": security.make(config), "silence_logs": False}
    with LocalCluster(n_workers=0, dashboard_address=config.dashboard, **listen, **how) as local:
        host = local.scheduler_address.split("://")[1].rpartition(":")[0]
        here = replace(deployment, config=config.model_copy(update={"host": host}))
        tls = environment(security.settings(config.tls)) if config.tls else {}
        nodes = deployment.size.workers // each(options)
        srun = subprocess.Popen(
            ["srun", f"--nodes={nodes}", f"--ntasks={nodes}", f"--cpus-per-task={options.cores}", "bash", "-c",
             script(here, local.scheduler_address, "$SLURM_PROCID")],
            env={**os.environ, **tls}, stdin=subprocess.DEVNULL,
        )  # fmt: skip

        def why(late: bool) -> str | None:
            code = srun.poll()
            return None if code is None else f"srun ended with exit code {code} before its workers connected"

        try:
            with connected(local, deployment, why) as running:
                yield running
        except BaseException:
            srun.terminate()
            raise
    try:  # the workers end with their scheduler
        srun.wait(END_SECONDS)
    except subprocess.TimeoutExpired:
        srun.terminate()


def _address_for_nodes() -> str:
    """This node's address as the other nodes of the job see it."""
    _, out, _ = output_of("scontrol", "show", "hostnames", os.environ["SLURM_JOB_NODELIST"])
    nodes = out.split()
    return "127.0.0.1" if len(nodes) < 2 else output_of(sys.executable, "-c", FACING, nodes[-1])[1].strip()


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
