"""The mirror of workers/operators/grey_dilation.py."""

import numpy as np

from tests.morphology import dilated, stored
from tests.operators.median import array  # noqa: F401

L = np.array([[1, 1, 0, 1], [0, 1, 0, 0], [0, 1, 1, 1]])
EXAMPLES = [
    ({"size": (4, 3, 2), "origin": (1, 0, -1), "mode": "reflect"}, (7, 9, 30), "uint8"),
    ({"footprint": L, "mode": "mirror"}, (9, 20), "float32"),
    ({"footprint": L, "origin": (-1, 1), "mode": "constant", "cval": 5}, (7, 9), "int64"),
]
TIMED = [{"size": 5}, {"size": 15}]
PLANTED = [("minmax.cu", "offsets[k]])", "offsets[0]])")]


def reference(image, *, dtype=None, **options):
    return stored(dilated(image, **options), dtype)
