"""The mirror of workers/operators/one_hot.py."""

import numpy as np

EXAMPLES = [
    ({"classes": 5}, (7, 9, 11), "uint8"),
    ({"classes": 6, "axis": 0}, (5, 13), "int64"),
    ({"classes": 300, "axis": 1, "outside": "zeros", "dtype": "float32"}, (3, 7), "int8"),
    ({"classes": 256, "axis": -2, "dtype": "bool"}, (3, 5, 7), "uint8"),
    ({"classes": 2, "dtype": "float16"}, (31,), "bool"),
    ({"classes": 7, "axis": 2, "dtype": "int32"}, (2, 3, 4, 5), "uint16"),
    ({"classes": 3, "outside": "zeros"}, (9, 2), "uint64"),
]
PLANTED = [
    ("onehot.cu", "u64(first + k);", "u64(k);"),
    ("onehot.cu", "first + k <= most &&", ""),
    ("onehot.cu", "in[rest * after + j]", "in[rest * after]"),
]
TIMED = [{"classes": 8, "axis": 0, "outside": "zeros"}, {"classes": 8, "outside": "zeros"}]
TIMED_DTYPES = ("uint8", "uint16")


def array(rng, shape, dtype):
    """Labels below 5, and for the dtypes of examples that take them all that there are."""
    dtype = np.dtype(dtype)
    if dtype.name in ("int8", "uint64"):
        limits = np.iinfo(dtype)
        labels = rng.integers(limits.min, limits.max, shape, dtype, endpoint=True)
        labels[:, ::2] = rng.integers(0, 3, labels[:, ::2].shape)
        return labels
    return rng.integers(0, 2 if dtype.kind == "b" else 5, shape).astype(dtype)


def reference(array, *, classes, axis=-1, dtype="uint8", outside="error"):
    """By a comparison in Python's integers for what numpy.eye cannot have an index of."""
    array = array.astype(np.int64) if array.dtype.kind == "f" else array
    inside = (array >= 0) & (array < classes)
    found = np.eye(classes, dtype=dtype)[np.where(inside, array, 0).astype(np.int64)]
    found[~inside] = 0
    return np.moveaxis(found, -1, axis)
