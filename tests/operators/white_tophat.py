"""The mirror of workers/operators/white_tophat.py."""

import numpy as np

from tests.morphology import difference, dilated, eroded
from tests.operators.median import array  # noqa: F401

L = np.array([[1, 1, 0, 1], [0, 1, 0, 0], [0, 1, 1, 1]])
EXAMPLES = [
    ({"size": 4, "mode": "reflect"}, (7, 9, 30), "uint8"),
    ({"footprint": L, "mode": "wrap"}, (9, 20), "float32"),
    ({"size": 3, "mode": "constant", "cval": 90}, (7, 11), "uint8"),
    ({"size": 5, "dtype": "int32"}, (7, 11), "int16"),
    ({"size": 3, "dtype": "float32"}, (17,), "uint64"),
    ({"size": 3}, (7, 11), "bool"),
]
TIMED = [{"size": 5}, {"size": 15}]
PLANTED = [("elementwise.cu", "sum > v ? T(sum - v) : T(0)", "T(sum - v)")]


def reference(image, *, dtype=None, **options):
    return difference(image, dilated(eroded(image, **options), **options), dtype)
