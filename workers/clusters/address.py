"""A cluster that runs already, at an address."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from gridstride.workers import security
from gridstride.workers.clusters import probe
from gridstride.workers.clusters.base import CannotStart, Deployment, Size

# How long a scheduler at a given address may take to answer.
CONNECT_TIMEOUT = "20s"


def size(deployment: Deployment) -> Size:
    """The workers' own size; memory is 80 % of their limits. Raises CannotStart where gridstride is not the same."""
    from distributed.versions import VersionMismatchWarning

    _, threads, memory = deployment.wanted
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", VersionMismatchWarning)  # one line follows where it matters
        with client(deployment) as there:
            workers = there.scheduler_info(n_workers=-1)["workers"].values()
            if not workers:
                raise CannotStart(f"the cluster at {deployment.config.address} has no workers")
            looks = _look(there, deployment)
    limits = [w["memory_limit"] for w in workers]
    if memory is None and all(limits):
        memory = int(0.8 * min(limits) * len(limits))
    gpus = [look["gpu_memory"] for look in looks if look["gpu_memory"]]
    return Size(
        workers=len(workers),
        threads=threads or min(w["nthreads"] for w in workers),
        memory=memory,
        device_memory=min(gpus) if gpus and len(gpus) == len(looks) else None,
    )


def _look(there: Any, deployment: Deployment) -> list[dict[str, Any]]:
    """What the workers' Pythons have, which must include this gridstride, as must the scheduler's."""
    text, devices = probe.LOOK, deployment.device != "cpu"

    def look() -> Any:  # travels whole: it may come to a Python without gridstride
        names: dict[str, Any] = {}
        exec(text, names)
        return names["look"](devices)

    found = there.run(look)
    everyone = {f"the worker at {worker}": one for worker, one in found.items()}
    everyone[f"the scheduler at {deployment.config.address}"] = there.run_on_scheduler(look)
    for where, one in everyone.items():
        probe.check(where, one, ("gridstride",))
    return list(found.values())


def check(deployment: Deployment) -> None:
    """`size` has asked the cluster already."""


@contextmanager
def client(deployment: Deployment) -> Iterator[Any]:
    from distributed import Client

    address, how = deployment.config.address, security.make(deployment.config)
    try:
        found = Client(address, timeout=CONNECT_TIMEOUT, security=how)
    except (OSError, ValueError, RuntimeError, TypeError) as error:
        hint = " with these certificates" if how else ""
        text = "" if isinstance(error, OSError) else f" ({' '.join(str(error).split())[:120]})"
        raise CannotStart(f"no Dask scheduler answers at {address}{hint}: is it running?{text}") from None
    with found:
        yield found


def script(deployment: Deployment) -> str:
    raise CannotStart("kind address joins a cluster that runs already: there is nothing to start")
