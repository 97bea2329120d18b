"""The mirror of workers/operators/grey_erosion.py."""

import numpy as np

from tests.morphology import eroded, stored
from tests.operators.median import array  # noqa: F401

L = np.array([[1, 1, 0, 1], [0, 1, 0, 0], [0, 1, 1, 1]])
EXAMPLES = [
    ({"size": 4, "mode": "wrap"}, (7, 9, 30), "uint8"),
    ({"footprint": L, "mode": "nearest"}, (9, 20), "float32"),
    ({"footprint": L, "origin": (1, -1), "mode": "constant", "cval": 5}, (7, 9), "int32"),
]
TIMED = [{"size": 5}, {"size": 15}]
PLANTED = [("rank.cu", "inside = inside && source >= 0;", "")]


def reference(image, *, dtype=None, **options):
    return stored(eroded(image, **options), dtype)
