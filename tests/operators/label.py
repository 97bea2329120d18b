"""The mirror of workers/operators/label.py."""

import numpy as np
from scipy import ndimage

EXAMPLES = [
    ({}, (7, 9, 8), "bool"),
    ({"connectivity": 2}, (260, 31), "uint8"),
    ({"connectivity": 3, "dtype": "uint64"}, (9, 7, 8), "float32"),
    ({"connectivity": 2, "axes": (0, 2), "dtype": "int16"}, (6, 3, 7), "int64"),
    ({"connectivity": 4}, (5, 4, 6, 3), "uint16"),
]
PLANTED: list = []  # it runs on the CPU alone
TIMED_DTYPES = ("objects", "bool")
TIMED = [{}, {"connectivity": 2}]


def array(rng, shape, dtype):
    """Objects of some elements, of several values, among background."""
    noise = ndimage.uniform_filter(rng.random(shape), 2)
    values = np.where(noise > 0.52, rng.integers(1, 4, shape), 0).astype(dtype)
    if values.dtype.kind == "f":
        values[noise > 0.7] = np.nan
    return values


def structure(ndim, connectivity=1, axes=None):
    """What connects elements along some axes of an array."""
    axes = range(ndim) if axes is None else axes
    found = np.zeros((3,) * ndim, bool)
    place = tuple(slice(None) if axis in axes else 1 for axis in range(ndim))
    found[place] = ndimage.generate_binary_structure(len(list(axes)), connectivity)
    return found


def reference(array, *, connectivity=1, axes=None, dtype="uint32"):
    labels, _ = ndimage.label(array != 0, structure(array.ndim, connectivity, axes), output=np.int64)
    return labels.astype(dtype)
