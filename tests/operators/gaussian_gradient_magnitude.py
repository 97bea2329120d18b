"""The mirror of workers/operators/gaussian_gradient_magnitude.py."""

import numpy as np
from scipy import ndimage

EXAMPLES = [
    ({"sigma": 1.2, "mode": "nearest"}, (7, 9, 11), "float32"),
    ({"sigma": (0.8, 1.5), "mode": "mirror"}, (13, 7), "uint8"),
    ({"sigma": 1.0, "mode": ("wrap", "constant", "reflect"), "cval": 7}, (5, 7, 9), "float64"),
    ({"sigma": (1, 2), "axes": (2, 0), "mode": ("wrap", "mirror"), "dtype": "float32"}, (5, 3, 7), "uint16"),
    ({"sigma": 2, "truncate": 2.5, "mode": "constant", "precision": "double"}, (17,), "int32"),
]
TOLERANCE = 2e-6
PLANTED = [("elementwise.cu", "return T(sqrt(sum));", "return T(sum);")]
TIMED = [{"sigma": 2, "dtype": "float32"}]


def reference(array, *, sigma, axes=None, dtype=None, precision="auto", **scipys):
    axes = tuple(range(array.ndim)) if axes is None else axes
    dtype = array.dtype if dtype is None else np.dtype(dtype)
    sigmas = [0.0] * array.ndim  # scipy smooths axes that are not filtered, too
    for axis, one in zip(axes, sigma if isinstance(sigma, tuple) else [sigma] * len(axes), strict=True):
        sigmas[axis] = one
    exact = ndimage.gaussian_gradient_magnitude(array.astype(float), sigmas, axes=axes, **scipys)
    if dtype.kind == "f":
        return exact.astype(dtype)
    return np.rint(exact).clip(0, np.iinfo(dtype).max).astype(dtype)
