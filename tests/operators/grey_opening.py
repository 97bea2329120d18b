"""The mirror of workers/operators/grey_opening.py."""

import numpy as np

from tests.morphology import dilated, eroded, stored
from tests.operators.median import array  # noqa: F401

L = np.array([[1, 1, 0, 1], [0, 1, 0, 0], [0, 1, 1, 1]])
EXAMPLES = [
    ({"size": 4, "mode": "reflect"}, (7, 9, 30), "uint8"),
    ({"footprint": L, "mode": "wrap"}, (9, 20), "float32"),
    ({"size": (3, 6), "origin": (1, -2), "mode": "constant", "cval": 5}, (7, 11), "int32"),
    ({"size": 3, "axes": (1,), "dtype": "float32"}, (3, 13), "uint16"),
]
TIMED = [{"size": 5}, {"size": 15}]
PLANTED = [("minmax.cu", "if (x >= n) break;", "if (x >= n - 1) break;")]


def reference(image, *, dtype=None, **options):
    return stored(dilated(eroded(image, **options), **options), dtype)
