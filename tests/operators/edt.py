"""The mirror of workers/operators/edt.py."""

import numpy as np
from scipy import ndimage

EXAMPLES = [
    ({}, (7, 9, 40), "bool"),
    ({"sampling": (0.7, 1.3), "dtype": "float64"}, (150, 23), "uint8"),
    ({"max_distance": 3.7}, (9, 30, 8), "float32"),
    ({"sampling": 2, "axes": (0, 1), "dtype": "float64"}, (130, 9, 3), "int16"),
    ({"max_distance": 5, "sampling": (0.5, 2.5)}, (30, 31), "uint64"),
]
PLANTED: list = []  # it runs on the CPU alone
TIMED_DTYPES = ("bool",)
TIMED = [{}, {"max_distance": 8.0}]


def array(rng, shape, dtype):
    """Few zeros, and one at least along the axes of every example; NaN among floating-point numbers."""
    values = np.where(rng.random(shape) < 0.02, 0, rng.integers(1, 4, shape)).astype(dtype)
    values[:2, 4] = 0
    if values.dtype.kind == "f":
        values[rng.random(shape) < 0.05] = np.nan
    return values


def reference(array, *, sampling=1.0, max_distance=np.inf, axes=None, dtype="float32"):
    parts = [array] if axes is None else np.moveaxis(array, 2, 0)
    found = [ndimage.distance_transform_edt(part, sampling) for part in parts]
    whole = found[0] if axes is None else np.stack(found, 2)
    return np.minimum(whole, max_distance).astype(dtype)
