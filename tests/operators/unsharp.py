"""The mirror of workers/operators/unsharp.py."""

import numpy as np
from skimage.filters import unsharp_mask

EXAMPLES = [
    ({"radius": 1.5, "amount": 2.0}, (7, 9, 11), "float32"),
    ({}, (13, 7), "uint8"),
    ({"radius": 2, "amount": -0.5}, (9, 8), "int16"),
    ({"radius": (1.0, 0.0), "amount": 0.7}, (9, 8), "uint16"),
    ({"radius": 0.6, "amount": 1.5}, (5, 6, 7), "float64"),
    ({"radius": 1, "dtype": "float32"}, (9, 7), "uint8"),
]
TOLERANCE = 2e-6
PLANTED = [("elementwise.cu", "return sum + weight * v;", "return sum - weight * v;")]
TIMED = [{"radius": 2, "amount": 0.5}]


def reference(array, *, radius=1.0, amount=1.0, dtype=None):
    dtype = array.dtype if dtype is None else np.dtype(dtype)
    found = unsharp_mask(array, radius, amount, preserve_range=True)
    if dtype.kind == "f":
        return found.astype(dtype)
    limits = np.iinfo(dtype)
    found = np.rint(found).clip(limits.min, limits.max).astype(dtype)
    if dtype.kind == "u":  # scikit-image's own clipping
        clipped = unsharp_mask(array, radius, amount)
        np.testing.assert_array_equal(np.rint(clipped * limits.max), found)
    return found
