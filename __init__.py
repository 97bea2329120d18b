"""gridstride: stencil work on Zarr arrays larger than memory, exact and resumable, on every GPU or CPU there is.

>>> import gridstride
>>> summary = gridstride.gaussian("cells.zarr", "smooth.zarr", sigma=2)     # doctest: +SKIP

There is a function for each operator that `gridstride filter --help` lists, and `run` for pipelines of several.
"""

from __future__ import annotations

from typing import Any

__version__ = "0.1.0"
# Functions of this package, and what they are called in `pipeline.api`.
FUNCTIONS = {
    "apply": "apply",
    "check": "check",
    "resume": "resume",
    "run": "run_pipeline",
    "simulate": "simulate",
    "stats": "stats",
}


def __getattr__(name: str) -> Any:
    # The API brings Dask and Zarr with it: it is imported when it is first used, not by `gridstride --help`.
    if name.startswith("_"):
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    if name in FUNCTIONS:
        from gridstride.pipeline import api

        return getattr(api, FUNCTIONS[name])
    from gridstride.workers.operators import listing

    if name.replace("_", "-") in listing.names():
        from gridstride.pipeline import api

        return api.operator_function(name.replace("_", "-"))
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    from gridstride.workers.operators import listing

    return ["__version__", *FUNCTIONS, *(name.replace("-", "_") for name in listing.names())]
