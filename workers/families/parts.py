"""In how many parts a block is reduced, and what a part without elements reports."""

from __future__ import annotations

from math import prod

import numpy as np

from gridstride.workers.operators.base import Window

# Rows of extremes that one block of a grid reports: blocks of threads that a large GPU runs at a time, twice.
MOST_ROWS = 512


def nothing(dtype: np.dtype) -> tuple[float | int, float | int]:
    """The extremes of no elements: the largest value, and the smallest."""
    if dtype.kind == "f":
        return np.inf, -np.inf
    if dtype.kind == "b":
        return 1, 0
    return int(np.iinfo(dtype).max), int(np.iinfo(dtype).min)


def rows_of(window: Window) -> int:
    """In how many parts a block is reduced to its extremes."""
    return max(1, min(MOST_ROWS, prod(window.want.shape) // 4096))
