"""The mirror of workers/operators/laplace.py."""

import numpy as np
from scipy import ndimage

EXAMPLES = [
    ({"mode": "nearest"}, (7, 9, 5), "float32"),
    ({"mode": "mirror", "precision": "double", "cast": "scipy"}, (13, 7), "uint8"),
    ({"mode": "constant", "cval": 2.5, "precision": "double", "cast": "scipy"}, (4, 5, 7), "float32"),
    ({"mode": ("wrap", "constant", "reflect"), "cval": 7}, (3, 7, 9), "float64"),
    ({"axes": (0, 2), "mode": ("wrap", "mirror"), "dtype": "int32"}, (5, 3, 7), "int16"),
    ({}, (9, 5), "uint8"),
    ({}, (6, 7), "int64"),
    ({"mode": "constant", "cval": 1}, (3, 4, 5, 2), "float32"),
]
TOLERANCE = 2e-6
PLANTED = [
    ("correlate.cu", "tables[g.table[5] + px] : -1", "tables[g.table[5] + px + 1] : -1"),
    ("elementwise.cu", "return sum + weight * v;", "return sum - weight * v;"),
]
TIMED = [{"dtype": "float32"}]


def reference(array, *, axes=None, mode="reflect", cval=0.0, cast="round", dtype=None, **ours):
    axes = tuple(range(array.ndim)) if axes is None else axes
    dtype = array.dtype if dtype is None else np.dtype(dtype)
    if cast == "scipy":
        return ndimage.laplace(array, dtype, mode, cval, axes=axes)
    exact = ndimage.laplace(array, np.float64, mode, cval, axes=axes)
    if dtype.kind == "f":
        return exact.astype(dtype)
    return exact.clip(np.iinfo(dtype).min, np.iinfo(dtype).max).astype(dtype)  # whole numbers
