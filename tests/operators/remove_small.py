"""The mirror of workers/operators/remove_small.py."""

import warnings

import numpy as np
from skimage.morphology import remove_small_objects

from tests.operators.label import array as of_values

EXAMPLES = [
    ({"size": 6}, (9, 8, 11), "bool"),
    ({"size": 5, "connectivity": 2}, (258, 21), "bool"),
    ({"size": 27}, (7, 9, 5), "uint16"),
    ({"size": 60}, (8, 9, 9), "int64"),
    ({"size": 7, "axes": (1, 2)}, (5, 7, 6), "uint8"),
]
PLANTED: list = []  # it runs on the CPU alone
TIMED_DTYPES = ("objects", "bool")
TIMED = [{"size": 100}]


def array(rng, shape, dtype):
    return of_values(rng, shape, dtype) if dtype == "bool" else rng.integers(0, 20, shape).astype(dtype)


def reference(array, *, size, axes=None, connectivity=1):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # an array may have one label
        slices = [array] if axes is None else list(array)
        each = [remove_small_objects(slice_, max_size=size - 1, connectivity=connectivity) for slice_ in slices]
    return each[0] if axes is None else np.stack(each)
