"""What every model's backend for the GPU has. CuPy is imported when it is asked for: this module needs none."""

from __future__ import annotations

from typing import Any

import numpy as np

name = "gpu"


def __getattr__(attribute: str) -> Any:
    """xp: CuPy."""
    if attribute == "xp":
        import cupy

        return cupy
    raise AttributeError(f"module {__name__!r} has no attribute {attribute!r}")


def to_host(array: Any) -> np.ndarray:
    return array.get()
