"""What every model's backend for the CPU has: NumPy in the place of CuPy."""

from __future__ import annotations

import numpy as np

name = "cpu"
xp = np


def to_host(array: np.ndarray) -> np.ndarray:
    return array


def number_bits(dtype: np.dtype) -> np.dtype:
    """Integers of the numbers' size: magnitudes seen as such are in the same order, NaN above infinity."""
    return np.dtype(f"i{dtype.itemsize}")
