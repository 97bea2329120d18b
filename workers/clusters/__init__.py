"""Ways to get a cluster: one file for each kind, each a thin layer over the library that does it.

Every kind has the same four functions, which take a `Deployment`:

    size(deployment)     how many workers it gives, looked up where they will run; nothing is started
    check(deployment)    looks for whatever else can be known to be wrong before anything is started
    client(deployment)   a context with a `distributed.Client` of the running cluster
    script(deployment)   the text that is sent to start it: a job script, a resource, commands

All raise CannotStart with one line. `config` has the keys of a kind's section.
"""

from __future__ import annotations

import importlib
from typing import Any

from gridstride.workers.clusters.base import CannotStart, ClusterLost, Deployment, Size

__all__ = ["CannotStart", "ClusterLost", "Deployment", "Size", "module"]


def module(kind: str) -> Any:
    """The file of a kind."""
    name = "local" if kind in ("auto", "local", "local-cuda") else kind
    return importlib.import_module(f"gridstride.workers.clusters.{name}")
