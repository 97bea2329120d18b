"""Which device and cluster a job gets: cluster.yaml, the options, and what this machine has."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from gridstride.pipeline.config import ClusterConfig, RunOptions, load_cluster
from gridstride.pipeline.errors import UsageError
from gridstride.workers import cluster, device


def environment(options: RunOptions) -> tuple[ClusterConfig, str, str, cluster.Size]:
    """Cluster file, device ("gpu" or "cpu"), why that one, and the cluster's size."""
    config = load_cluster(options.cluster)
    wish = options.device
    if config.kind in ("local-cuda", "local"):
        forced = "gpu" if config.kind == "local-cuda" else "cpu"
        if wish not in ("auto", forced):
            raise UsageError(f"--device {wish} does not go with kind {config.kind} in {options.cluster}")
        wish = forced
    try:
        kind, reason = device.resolve(wish)
    except ValueError as error:
        raise UsageError(str(error)) from None
    if config.kind == "address":
        return config, kind, reason, _remote_size(config, options)
    gpus = device.gpu_count() if kind == "gpu" else 0
    size = cluster.local_size(
        kind, options.workers or config.workers, config.threads, options.memory or config.memory, gpus
    )
    if kind == "gpu" and size.workers > gpus:
        raise UsageError(f"{size.workers} workers for {gpus} GPUs: expected at most one for each")
    return config, kind, reason, size


@contextmanager
def start(config: ClusterConfig, kind: str, size: cluster.Size, debug: bool) -> Iterator[Any]:
    """A client of the cluster that `config` describes."""
    if config.kind == "address" and not cluster.answers(config.address or ""):
        raise UsageError(f"no Dask scheduler answers at {config.address}: is it running?")
    with cluster.start(
        kind,
        size,
        kind=config.kind,
        address=config.address,
        protocol=config.protocol,
        rmm_pool=config.rmm_pool,
        local_directory=config.local_directory,
        dashboard=config.dashboard,
        debug=debug,
    ) as client:
        yield client


@contextmanager
def open_cluster(options: RunOptions) -> Iterator[tuple[Any, str]]:
    """The cluster a job with these options would get: (client, which device and why)."""
    config, kind, reason, size = environment(options)
    with start(config, kind, size, options.debug) as client:
        yield client, reason


def _remote_size(config: ClusterConfig, options: RunOptions) -> cluster.Size:
    size = cluster.Size(1, 1, None)
    with start(config, "cpu", size, options.debug) as client:
        workers = client.scheduler_info(n_workers=-1)["workers"].values()
        if not workers:
            raise UsageError(f"the cluster at {config.address} has no workers")
        limits = [w["memory_limit"] for w in workers]
        memory = options.memory or config.memory or (int(0.8 * min(limits) * len(limits)) if all(limits) else None)
        return cluster.Size(len(workers), min(w["nthreads"] for w in workers), memory)
