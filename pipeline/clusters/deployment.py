"""Which device and cluster a job gets: cluster.yaml, the options, and what this machine or the cluster has."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

from gridstride.pipeline.errors import ClusterGone, UsageError
from gridstride.pipeline.options import ClusterConfig, RunOptions, load_cluster
from gridstride.workers import cluster, device
from gridstride.workers.clusters import CannotStart, ClusterLost, Deployment, module

# Kinds whose workers are elsewhere, and say themselves which device they have.
ELSEWHERE = ("address", "ssh", "slurm", "kubernetes")


def environment(options: RunOptions) -> tuple[ClusterConfig, str, str, cluster.Size]:
    """Cluster file, device ("gpu" or "cpu"), why that one, and the cluster's size."""
    config = load_cluster(options.cluster)
    deployment, reason = described(config, options)
    with _one_line():
        module(config.kind).check(deployment)
    return config, deployment.device, reason, deployment.size


def described(config: ClusterConfig, options: RunOptions) -> tuple[Deployment, str]:
    """What is to be started for these options, and why on that device."""
    wish, reason = options.device, ""
    if config.kind in ("local-cuda", "local"):
        forced = "gpu" if config.kind == "local-cuda" else "cpu"
        if wish not in ("auto", forced):
            raise UsageError(f"--device {wish} does not go with kind {config.kind} in {options.cluster}")
        wish = forced
    if config.kind not in ELSEWHERE:
        try:
            wish, reason = device.resolve(wish)
        except ValueError as error:
            raise UsageError(str(error)) from None
    wanted = (options.workers or config.workers, config.threads, options.memory or config.memory)
    deployment = _deployment(config, wish, cluster.Size(1, 1, None), options.debug, wanted)
    with _one_line():
        size = module(config.kind).size(deployment)
    if config.kind in ELSEWHERE:
        wish = "cpu" if size.device_memory is None else "gpu"
        if options.device == "gpu" and wish == "cpu":
            raise UsageError(f"--device gpu: the workers of {options.cluster} have no GPUs; use --device cpu or auto")
        reason = f"{'CPU' if wish == 'cpu' else 'GPU'}: {size.workers} workers of kind {config.kind}"
    return replace(deployment, device=wish, size=size), reason


@contextmanager
def start(config: ClusterConfig, kind: str, size: cluster.Size, debug: bool) -> Iterator[Any]:
    """A client of the cluster that `config` describes."""
    with _one_line(), cluster.running(_deployment(config, kind, size, debug)) as client:
        yield client


@contextmanager
def open_cluster(options: RunOptions) -> Iterator[tuple[Any, str]]:
    """The cluster a job with these options would get: (client, which device and why)."""
    config, kind, reason, size = environment(options)
    with start(config, kind, size, options.debug) as client:
        yield client, reason


def script(options: RunOptions) -> str:
    """What would be sent to start the cluster: a job script, a resource, or commands."""
    config = load_cluster(options.cluster)
    if config.kind == "ssh":  # needs no look at the hosts, which would have to be up
        wanted = (options.workers or config.workers or len(config.ssh.hosts), config.threads or 1)  # type: ignore[union-attr]
        size = cluster.Size(*wanted, options.memory or config.memory)
        deployment = _deployment(config, options.device, size, options.debug)
    else:
        deployment, _ = described(config, options)
    with _one_line():
        return module(config.kind).script(deployment)


def _deployment(
    config: ClusterConfig,
    kind: str,
    size: cluster.Size,
    debug: bool,
    wanted: tuple[int | None, int | None, int | None] = (None, None, None),
) -> Deployment:
    names = ("kind", "address", "protocol", "rmm_pool", "local_directory", "host", "dashboard", "timeout", "security")
    return Deployment(
        device=kind,
        size=size,
        wanted=wanted,
        options=getattr(config, config.kind, None),
        tls=config.tls,
        dask=config.dask,
        debug=debug,
        worker_timeout=config.worker_timeout,
        **{name: getattr(config, name) for name in names},
    )


@contextmanager
def _one_line() -> Iterator[None]:
    """A cluster that does not start is the user's to mend; one that is lost ends the job."""
    try:
        yield
    except CannotStart as error:
        raise UsageError(str(error)) from error.__cause__
    except ClusterLost as error:
        raise ClusterGone(str(error)) from error.__cause__
