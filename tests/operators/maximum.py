"""The mirror of workers/operators/maximum.py."""

import numpy as np
from scipy import ndimage

from tests.morphology import stage, stored
from tests.operators.median import array  # noqa: F401

EXAMPLES = [
    ({"size": 3, "mode": "mirror"}, (7, 9, 70), "int8"),
    ({"size": (4, 17), "origin": (-2, 5), "mode": ("wrap", "constant"), "cval": 3}, (9, 41), "uint16"),
    ({"footprint": np.array([[1, 0, 1, 1], [0, 0, 0, 0], [0, 1, 1, 1]]), "origin": (1, -1)}, (6, 33), "float32"),
    ({"size": 2, "mode": "nearest"}, (5, 2, 3, 7), "int64"),
    ({"size": 3}, (9, 11), "bool"),
]
TIMED = [{"size": 3}, {"size": 31}]
PLANTED = [("minmax.cu", "K(K(key + more) ^ flip)", "K(key + more)")]


def reference(image, *, dtype=None, **options):
    return stored(stage(ndimage.maximum_filter, image, False, **options), dtype)
