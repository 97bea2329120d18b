"""The mirror of workers/operators/relu.py."""

import numpy as np

EXAMPLES = [
    ({}, (5, 7, 9), "float32"),
    ({}, (13,), "uint8"),
    ({}, (3, 1, 5, 2), "float64"),
    ({"dtype": "float16"}, (7, 11), "int8"),
]
TIMED = [{}]
PLANTED = [("layers.cu", "v > T(0) || v != v", "v > T(0)")]


def array(rng, shape, dtype):
    values = rng.integers(-100, 100, shape).astype(dtype) if dtype[0] != "f" else rng.normal(size=shape).astype(dtype)
    if dtype[0] == "f":
        values.flat[:4] = np.nan, np.inf, -np.inf, -0.0
    return values


def reference(array, dtype=None):
    out = np.dtype(dtype or ("f8" if array.dtype == np.float64 else "f4"))
    return np.where(array < 0, 0, array + 0.0).astype(out)
