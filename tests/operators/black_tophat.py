"""The mirror of workers/operators/black_tophat.py."""

import numpy as np

from tests.morphology import difference, dilated, eroded
from tests.operators.median import array  # noqa: F401

L = np.array([[1, 1, 0, 1], [0, 1, 0, 0], [0, 1, 1, 1]])
EXAMPLES = [
    ({"size": 4, "mode": "mirror"}, (7, 9, 30), "uint16"),
    ({"footprint": L, "mode": "nearest"}, (9, 20), "float32"),
    ({"size": (3, 2), "mode": "wrap"}, (7, 11), "int64"),
]
TIMED = [{"size": 5}, {"size": 15}]
PLANTED = [("minmax.cu", "out[row * n + x]", "out[row * n + n - 1 - x]")]


def reference(image, *, dtype=None, **options):
    return difference(eroded(dilated(image, **options), **options), image, dtype)
