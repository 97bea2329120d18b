"""A cluster that runs already, at an address."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from gridstride.workers import security
from gridstride.workers.clusters.base import CannotStart, Deployment, Size

# How long a scheduler at a given address may take to answer.
CONNECT_TIMEOUT = "20s"


@contextmanager
def client(deployment: Deployment) -> Iterator[Any]:
    from distributed import Client

    how = security.make(deployment) if deployment.security == "tls" else None
    try:
        found = Client(deployment.address, timeout=CONNECT_TIMEOUT, security=how)
    except (OSError, ValueError, RuntimeError, TypeError) as error:
        hint = " with these certificates" if how else ""
        text = "" if isinstance(error, OSError) else f" ({' '.join(str(error).split())[:120]})"
        raise CannotStart(f"no Dask scheduler answers at {deployment.address}{hint}: is it running?{text}") from None
    with found:
        yield found


def check(deployment: Deployment) -> None:
    """`size` has asked the cluster already."""


def size(deployment: Deployment) -> Size:
    """What the workers there have; memory is 80 % of their limits."""
    from gridstride.workers import device

    def look() -> tuple[int, int | None]:
        count = device.gpu_count()
        return count, device.device_memory() if count else None

    _, threads, memory = deployment.wanted
    with client(deployment) as there:
        workers = there.scheduler_info(n_workers=-1)["workers"].values()
        if not workers:
            raise CannotStart(f"the cluster at {deployment.address} has no workers")
        looks = list(there.run(look).values()) if deployment.device != "cpu" else []
    limits = [w["memory_limit"] for w in workers]
    if memory is None and all(limits):
        memory = int(0.8 * min(limits) * len(limits))
    gpus = [free for count, free in looks if count and free]
    return Size(
        len(workers), threads or min(w["nthreads"] for w in workers), memory,
        min(gpus) if gpus and len(gpus) == len(looks) else None,
    )  # fmt: skip


def script(deployment: Deployment) -> str:
    raise CannotStart("kind address joins a cluster that runs already: there is nothing to start")
