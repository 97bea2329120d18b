"""The mirror of workers/operators/dog.py."""

import numpy as np
from skimage.filters import difference_of_gaussians

EXAMPLES = [
    ({"low": 1.0}, (7, 9, 11), "float32"),
    ({"low": (0.5, 1.0), "high": (0.5, 2.0), "mode": "constant", "cval": 0.5}, (13, 7), "uint8"),
    ({"low": 1, "high": 3, "mode": "reflect"}, (9, 8), "int16"),
    ({"low": 0, "high": 2, "truncate": 2.0, "preserve_range": True, "mode": "wrap"}, (9, 8), "uint16"),
    ({"low": 1.5, "high": 2, "mode": "mirror"}, (5, 6, 7), "uint32"),
    ({"low": 1, "preserve_range": True, "dtype": "int16"}, (9, 8), "uint8"),
]
TOLERANCE = 5e-6
PLANTED = [
    ("elementwise.cu", "if constexpr (is_float<T>) return sum - v;", "if constexpr (is_float<T>) return v - sum;"),
    ("elementwise.cu", "Out(v) * (Out(1) / Out(number))", "Out(v) / 2 * (Out(1) / Out(number))"),
]
TIMED = [{"low": 1, "high": 3}]


def reference(array, *, low, high=None, preserve_range=False, dtype=None, **skimages):
    values = array.astype(float) if preserve_range else array
    found = difference_of_gaussians(values, low, high, **skimages)
    if dtype is not None:
        return np.rint(found).astype(dtype)
    return found.astype("f8" if array.dtype.itemsize > 4 or array.dtype == np.uint32 else "f4")
