"""The mirror of workers/operators/cast.py."""

import numpy as np

from tests.operators.median import array as array

EXAMPLES = [
    ({"dtype": "uint8"}, (7, 9, 11), "float32"),
    ({"dtype": "int16"}, (40, 41), "float64"),
    ({"dtype": "uint16"}, (50, 51), "int64"),
    ({"dtype": "int8"}, (40, 41), "uint64"),
    ({"dtype": "float32"}, (17, 18), "int64"),
    ({"dtype": "uint64"}, (17, 18), "int8"),
    ({"dtype": "bool"}, (17, 18), "float32"),
    ({"dtype": "float64"}, (5, 6), "bool"),
    ({"dtype": "uint8"}, (5, 6), "float16"),
    ({"dtype": "float16"}, (50, 6), "float64"),
    ({"dtype": "uint16"}, (5, 6), "uint16"),
]
PLANTED = [
    ("elementwise.cu", "is_signed<In> && v < In(0)", "is_signed<In> && v < In(-1)"),
    ("elementwise.cu", "u64(v) > u64(high) ? high", "u64(v) > u64(high) ? Out(0)"),
]
TIMED = [{"dtype": "uint8"}, {"dtype": "float32"}]


def reference(array, *, dtype):
    dtype = np.dtype(dtype)
    if dtype.kind == "f":
        with np.errstate(over="ignore"):
            return array.astype(dtype)
    low, high = (0, 1) if dtype.kind == "b" else (np.iinfo(dtype).min, np.iinfo(dtype).max)
    values = [0 if v != v else v for v in array.ravel().tolist()]
    whole = [min(max(v if isinstance(v, int) or abs(v) == np.inf else round(v), low), high) for v in values]
    return np.array([int(v) for v in whole], dtype).reshape(array.shape)
