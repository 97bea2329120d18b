"""Arrays as kernels on the CPU take them: one row of elements, and the distances between its parts."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np

LINE = 64  # bytes of a vector, and of a line of the cache


def walkable(array: np.ndarray) -> bool:
    """Whether steps along the axes are whole elements, forwards."""
    return all(stride >= 0 and stride % array.itemsize == 0 for stride in array.strides)


def in_a_row(array: np.ndarray) -> tuple[np.ndarray, tuple[int, ...]]:
    """All memory between the first and the last element of a walkable array, and its strides in elements.

    The row seems to be one that may be written, even if the array is not: arrays that may not are of another type to
    Numba, which would compile all again for them.
    """
    steps = tuple(stride // array.itemsize for stride in array.strides)
    size = 1 + sum(step * (n - 1) for step, n in zip(steps, array.shape, strict=True)) if array.size else 0
    interface = {"version": 3, "shape": (size,), "typestr": array.dtype.str, "data": (array.ctypes.data, False)}
    return np.asarray(SimpleNamespace(__array_interface__=interface, kept=array)), steps


def in_order(array: np.ndarray) -> np.ndarray:
    """The array, or a copy whose elements lie one after another; of one type to Numba, whether it may be written or
    not."""
    array = np.ascontiguousarray(array)
    return array if array.flags.writeable else in_a_row(array)[0].reshape(array.shape)


def aligned(count: int, dtype: np.dtype) -> np.ndarray:
    """An array that begins where a line of the cache does."""
    memory = np.empty(count + LINE // dtype.itemsize, dtype)
    first = -memory.ctypes.data % LINE // dtype.itemsize
    return memory[first : first + count]
