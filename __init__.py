"""gridstride: stencil work on Zarr arrays larger than memory, exact and resumable, on every GPU or CPU there is.

>>> import gridstride
>>> summary = gridstride.gaussian("cells.zarr", "smooth.zarr", sigma=2)     # doctest: +SKIP
"""

from __future__ import annotations

from typing import Any

__version__ = "0.1.0"
__all__ = ["__version__", "convolve", "correlate", "gaussian", "resume", "simulate", "uniform"]


def __getattr__(name: str) -> Any:
    # The API brings Dask and Zarr with it: it is imported when it is first used, not by `gridstride --help`.
    if name in __all__:
        from gridstride.pipeline import api

        return getattr(api, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
