"""The mirror of workers/operators/gaussian_laplace.py."""

import numpy as np
from scipy import ndimage

EXAMPLES = [
    ({"sigma": 1.2, "mode": "nearest"}, (7, 9, 11), "float32"),
    ({"sigma": (0.8, 1.5), "precision": "double", "cast": "scipy"}, (13, 7), "int16"),
    ({"sigma": 1.0, "mode": ("wrap", "mirror"), "precision": "double", "cast": "scipy"}, (9, 7), "uint8"),
    ({"sigma": 1.0, "mode": ("wrap", "constant", "reflect"), "cval": 7}, (5, 7, 9), "float64"),
    ({"sigma": (1, 2), "axes": (2, 0), "mode": ("wrap", "mirror"), "dtype": "float32"}, (5, 3, 7), "uint16"),
    ({"sigma": 2, "truncate": 2.5, "mode": "constant", "precision": "double"}, (17,), "float32"),
    ({"sigma": 0.7, "precision": "double"}, (8, 9), "int32"),
]
TOLERANCE = 2e-6
PLANTED = [
    ("elementwise.cu", "return sum + weight * v;", "return sum - weight * v;"),
    ("separable.cu", "sum[r] = w[middle] * line", "sum[r] = w[0] * line"),
]
TIMED = [{"sigma": 2, "dtype": "float32"}]


def reference(array, *, sigma, axes=None, dtype=None, cast="round", precision="auto", **scipys):
    axes = tuple(range(array.ndim)) if axes is None else axes
    dtype = array.dtype if dtype is None else np.dtype(dtype)
    if cast == "scipy":
        return ndimage.gaussian_laplace(array, sigma, dtype, axes=axes, **scipys)
    exact = ndimage.gaussian_laplace(array, sigma, np.float64, axes=axes, **scipys)
    if dtype.kind == "f":
        return exact.astype(dtype)
    return np.rint(exact).clip(np.iinfo(dtype).min, np.iinfo(dtype).max).astype(dtype)
