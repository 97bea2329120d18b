"""The mirror of workers/operators/grey_closing.py."""

import numpy as np

from tests.morphology import dilated, eroded, stored
from tests.operators.median import array  # noqa: F401

L = np.array([[1, 1, 0, 1], [0, 1, 0, 0], [0, 1, 1, 1]])
EXAMPLES = [
    ({"size": 5, "mode": "mirror"}, (7, 9, 30), "uint16"),
    ({"footprint": L, "origin": (0, 1), "mode": "nearest"}, (9, 20), "float64"),
    ({"size": (2, 3), "mode": "constant", "cval": 1}, (7, 11), "int8"),
]
TIMED = [{"size": 5}, {"size": 15}]
PLANTED = [("minmax.cu", "i64 rest = row;", "i64 rest = row + 1;")]


def reference(image, *, dtype=None, **options):
    return stored(eroded(dilated(image, **options), **options), dtype)
