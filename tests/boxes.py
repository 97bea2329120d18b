"""The elements that a box or footprint holds around each element of an array, by NumPy: what references start from."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

NUMPY_PAD = {"reflect": "symmetric", "mirror": "reflect", "nearest": "edge", "wrap": "wrap", "constant": "constant"}


def elements(
    array: np.ndarray,
    *,
    size: Any = None,
    footprint: Any = None,
    origin: Any = 0,
    mode: Any = "reflect",
    cval: float = 0,
    axes: Sequence[int] | None = None,
) -> np.ndarray:
    """Of shape (*array.shape, n), the n elements in the footprint's order; its dimensions are those of `axes`."""
    axes = tuple(range(array.ndim)) if axes is None else tuple(axes)
    footprint = np.ones(listed(size, axes), bool) if footprint is None else np.asarray(footprint, bool)
    padded = array
    outside = np.zeros((1,) * array.ndim, bool)
    for axis, n, o, m in zip(axes, footprint.shape, listed(origin, axes), listed(mode, axes), strict=True):
        widths = [(n // 2 + o, n - 1 - n // 2 - o) if a == axis else (0, 0) for a in range(array.ndim)]
        padded = np.pad(padded, widths, NUMPY_PAD[m])
        if m == "constant":  # outside on one axis is outside, whatever the others say
            index = np.arange(padded.shape[axis]) - widths[axis][0]
            out = (index < 0) | (index >= array.shape[axis])
            outside = outside | out.reshape([-1 if a == axis else 1 for a in range(array.ndim)])
    padded = np.where(outside, np.array(cval).astype(array.dtype), padded)
    return sliding_window_view(padded, footprint.shape, axes)[..., footprint]


def listed(value: Any, axes: Sequence[int]) -> list[Any]:
    """One value for each axis."""
    return list(value) if isinstance(value, tuple | list) else [value] * len(axes)
