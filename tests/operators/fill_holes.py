"""The mirror of workers/operators/fill_holes.py."""

import numpy as np
from scipy import ndimage

from tests.operators.label import structure

EXAMPLES = [
    ({}, (9, 8, 7), "bool"),
    ({"connectivity": 2}, (259, 23), "uint8"),
    ({"connectivity": 3}, (6, 9, 7), "float32"),
    ({"axes": (1, 2), "dtype": "uint8"}, (3, 11, 9), "int32"),
]
PLANTED: list = []  # it runs on the CPU alone
TIMED_DTYPES = ("objects", "bool")
TIMED = [{}]


def array(rng, shape, dtype):
    """So many elements that some of the background is enclosed."""
    return (rng.random(shape) < 0.7).astype(dtype)


def reference(array, *, connectivity=1, axes=None, dtype="bool"):
    if axes is None:
        return ndimage.binary_fill_holes(array, structure(array.ndim, connectivity)).astype(dtype)
    each = [ndimage.binary_fill_holes(slice_, structure(array.ndim - 1, connectivity)) for slice_ in array]
    return np.stack(each).astype(dtype)
