"""The mirror of workers/operators/expand_labels.py."""

import numpy as np
from skimage.segmentation import expand_labels

EXAMPLES = [
    ({"distance": 3}, (7, 9, 23), "uint16"),
    ({"distance": 4.5, "spacing": (0.5, 1.5)}, (31, 40), "uint64"),
    ({"distance": 2, "axes": (0, 2)}, (9, 3, 20), "int32"),
    ({}, (41,), "uint8"),
    ({"distance": 100, "spacing": 2}, (12, 21), "int64"),
]
PLANTED: list = []  # it runs on the CPU alone
TIMED_DTYPES = ("bool",)
TIMED = [{"distance": 3.0}]


def array(rng, shape, dtype):
    """Few label elements, many as far from an element as others."""
    limits = np.iinfo(dtype)
    labels = rng.integers(1, limits.max, shape, dtype)
    return np.where(rng.random(shape) < 0.04, labels, 0).astype(dtype)


def reference(array, *, axes=None, **fields):
    if axes is None:
        return expand_labels(array, **fields)
    return np.stack([expand_labels(part, **fields) for part in np.moveaxis(array, 1, 0)], 1)
