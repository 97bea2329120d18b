"""The device and the cluster of a job, from the cluster file, the options, and what this machine or the cluster has."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

from gridstride.pipeline.errors import ClusterGone, UsageError
from gridstride.pipeline.options import RunOptions, load_cluster
from gridstride.workers import cluster, device
from gridstride.workers.clusters import CannotStart, ClusterLost, Deployment, Size, module
from gridstride.workers.clusters.config import ClusterConfig

# Kinds whose workers are elsewhere, and say themselves which device they have.
ELSEWHERE = ("address", "ssh", "slurm", "kubernetes")


def environment(options: RunOptions) -> tuple[ClusterConfig, str, str, Size]:
    """Cluster file, device ("gpu" or "cpu"), why that one, and the cluster's size."""
    config = load_cluster(options.cluster)
    deployment, reason = described(config, options)
    with _one_line():
        module(config.kind).check(deployment)
    return config, deployment.device, reason, deployment.size


def described(config: ClusterConfig, options: RunOptions) -> tuple[Deployment, str]:
    """The cluster to start for these options, and the reason for its device."""
    wish: str = options.device
    reason = ""
    if config.kind in ("local-cuda", "local"):
        forced = "gpu" if config.kind == "local-cuda" else "cpu"
        if wish not in ("auto", forced):
            raise UsageError(
                f"--device {wish} contradicts kind {config.kind} in {options.cluster}: leave one of them out"
            )
        wish = forced
    if config.kind not in ELSEWHERE:
        try:
            wish, reason = device.resolve(wish)
        except ValueError as error:
            raise UsageError(str(error)) from None
    wanted = (options.workers or config.workers, config.threads, options.memory or config.memory)
    deployment = Deployment(wish, Size(1, 1, None), config, wanted, options.debug)
    with _one_line():
        size = module(config.kind).size(deployment)
    if config.kind in ELSEWHERE:
        wish = "cpu" if size.device_memory is None else "gpu"
        if options.device == "gpu" and wish == "cpu":
            raise UsageError(f"--device gpu: the workers of {options.cluster} have no GPUs; use --device cpu or auto")
        reason = f"{'CPU' if wish == 'cpu' else 'GPU'}: {size.workers} workers of kind {config.kind}"
    return replace(deployment, device=wish, size=size), reason


@contextmanager
def start(config: ClusterConfig, device: str, size: Size, debug: bool) -> Iterator[Any]:
    """A client of the cluster that `config` describes."""
    with _one_line(), cluster.running(Deployment(device, size, config, debug=debug)) as client:
        yield client


@contextmanager
def open_cluster(options: RunOptions) -> Iterator[tuple[Any, str]]:
    """The cluster that a job with these options would get: (client, which device and why)."""
    config, device, reason, size = environment(options)
    with start(config, device, size, options.debug) as client:
        yield client, reason


def script(options: RunOptions) -> str:
    """The text that would be sent to start the cluster: a job script, a resource, or commands."""
    config = load_cluster(options.cluster)
    if config.ssh is not None and config.kind == "ssh":  # needs no look at the hosts, which would have to be up
        workers = options.workers or config.workers or len(config.ssh.hosts)
        size = Size(workers, config.threads or 1, options.memory or config.memory)
        deployment = Deployment(options.device, size, config, debug=options.debug)
    else:
        deployment, _ = described(config, options)
    with _one_line():
        return module(config.kind).script(deployment)


@contextmanager
def _one_line() -> Iterator[None]:
    """A cluster that does not start is the user's to mend; one that is lost ends the job."""
    try:
        yield
    except CannotStart as error:
        raise UsageError(str(error)) from error.__cause__
    except ClusterLost as error:
        raise ClusterGone(str(error)) from error.__cause__
