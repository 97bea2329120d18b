"""The mirror of workers/operators/softmax.py."""

import numpy as np
from scipy import special

EXAMPLES = [
    ({"axis": 0}, (5, 7, 9), "float32"),
    ({"axis": -1}, (7, 11), "int8"),
    ({"axis": 1}, (3, 5, 17, 5), "float64"),
    ({"axis": 1, "dtype": "float64"}, (2, 6, 70), "float32"),
    ({"axis": 0}, (3, 5), "float16"),
]
TOLERANCE = 1e-6
TIMED = [{"axis": 0}]
PLANTED = [("layers.cu", "fma(value, rest, numbers[k])", "value * rest")]


def array(rng, shape, dtype):
    """With lines of NaN and infinity, and with elements that give 0."""
    values = rng.integers(-100, 100, shape).astype(dtype)
    if dtype[0] == "f":
        values.reshape(len(values), -1)[:2, :4] = [[np.nan, 1, -np.inf, -500], [2, np.inf, 3, 500]]
    return values


def reference(array, axis, dtype=None):
    out = np.dtype(dtype or ("f8" if array.dtype == np.float64 else "f4"))
    with np.errstate(invalid="ignore"):
        return special.softmax(array.astype(np.float64), axis).astype(out)
