"""The array module of these examples: CuPy where there is a GPU, NumPy elsewhere."""

from __future__ import annotations

from importlib.util import find_spec
from typing import Any

import numpy as np


def array_module() -> Any:
    if find_spec("cupy"):
        import cupy

        if cupy.is_available():
            return cupy
    return np


xp = array_module()


def on_host(array: Any) -> np.ndarray:
    """An array of either module as NumPy's."""
    return array.get() if hasattr(array, "get") else np.asarray(array)
