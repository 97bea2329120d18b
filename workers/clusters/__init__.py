"""How a cluster comes to be: one file for each kind, each a thin layer over the library that does it.

Every kind has the same four functions, which take a `Deployment`:

    size(deployment)     how many workers it gives, looked up where they will run; nothing is started
    check(deployment)    what else can be known to be wrong before anything is started
    client(deployment)   a context with a `distributed.Client` of the running cluster
    script(deployment)   what is sent to start it (a job script, a resource, commands), as text

All raise CannotStart with one line.
"""

from __future__ import annotations

import importlib
from typing import Any

from gridstride.workers.clusters.base import WORKER_TIMEOUT, CannotStart, ClusterLost, Deployment, Size

__all__ = ["WORKER_TIMEOUT", "CannotStart", "ClusterLost", "Deployment", "Size", "module"]


def module(kind: str) -> Any:
    """The file of a kind."""
    name = "local" if kind in ("auto", "local", "local-cuda") else kind
    return importlib.import_module(f"gridstride.workers.clusters.{name}")
