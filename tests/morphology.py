"""scipy's morphology on whole arrays, for the mirrors of these operators: exact for every dtype, NaN by our rule."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from scipy import ndimage


def stage(function: Callable[..., Any], array: np.ndarray, least: bool, cval: float = 0, **options: Any) -> np.ndarray:
    """A minimum or maximum by scipy, of the ranks of the elements: scipy itself loses large integers, knows no float16,
    and its NaN depends on the order. NaN comes first of all that are looked for."""
    outside = np.array(cval).astype(array.dtype)
    known = array[array == array]
    values = np.unique(np.append(known, outside))
    ranks = np.where(array == array, np.searchsorted(values, array), -1 if least else len(values)).astype(np.int32)
    found = function(ranks, cval=int(np.searchsorted(values, outside)), **options)
    number = (found >= 0) & (found < len(values))
    result = values[found.clip(0, len(values) - 1)]
    return result if number.all() else np.where(number, result, np.array(np.nan, array.dtype))


def eroded(array: np.ndarray, **options: Any) -> np.ndarray:
    return stage(ndimage.grey_erosion, array, True, **options)


def dilated(array: np.ndarray, **options: Any) -> np.ndarray:
    return stage(ndimage.grey_dilation, array, False, **options)


def difference(a: np.ndarray, b: np.ndarray, dtype: Any = None) -> np.ndarray:
    """a - b: in a wider dtype if one is asked for, else in the arrays'; integers saturate."""
    if dtype is not None and np.can_cast(a.dtype, dtype, "safe"):
        a, b = a.astype(dtype), b.astype(dtype)
    if a.dtype.kind == "f":
        return stored(a - b, dtype)
    if a.dtype.kind == "b":
        return stored(a & ~b, dtype)
    limits = np.iinfo(a.dtype)
    exact = (a.astype(object) - b.astype(object)).clip(limits.min, limits.max)
    return stored(exact.astype(a.dtype), dtype)


def stored(array: np.ndarray, dtype: Any = None) -> np.ndarray:
    """The same numbers as another dtype, rounded and saturated."""
    if dtype is None or array.dtype == dtype:
        return array
    if np.dtype(dtype).kind in "iu" and array.dtype.kind == "f":
        array = np.nan_to_num(np.rint(array), nan=0)
    if np.dtype(dtype).kind in "iu":
        array = array.clip(*(np.iinfo(dtype).min, np.iinfo(dtype).max))
    return array.astype(dtype)


def binary(name: str, array: np.ndarray, dtype: Any = None, **options: Any) -> np.ndarray:
    """By scipy, with what we call by other names."""
    connectivity, structure = options.pop("connectivity", None), options.pop("footprint", None)
    axes = options.get("axes") or tuple(range(array.ndim))
    if connectivity is not None:
        structure = ndimage.generate_binary_structure(len(axes), connectivity)
    if structure is not None:
        options["structure"] = structure
    return getattr(ndimage, f"binary_{name}")(array, **options).astype(bool if dtype is None else dtype)
