"""The mirror of workers/operators/minimum.py."""

import numpy as np
from scipy import ndimage

from tests.morphology import stage, stored
from tests.operators.median import array  # noqa: F401

CROSS = ndimage.generate_binary_structure(3, 1)
EXAMPLES = [
    ({"size": 3, "mode": "reflect"}, (7, 9, 70), "uint8"),
    ({"size": (2, 3, 9), "origin": (0, 1, -4), "mode": ("mirror", "constant", "wrap")}, (5, 6, 21), "int16"),
    ({"size": (11, 6), "mode": "nearest"}, (13, 40), "float32"),
    ({"footprint": CROSS, "mode": "constant", "cval": 2.5}, (6, 7, 33), "float64"),
    ({"footprint": np.eye(3, 5) > 0, "axes": (0, 2), "mode": "mirror"}, (5, 3, 7), "uint64"),
    ({"size": 4, "axes": (0,), "mode": "wrap", "dtype": "uint8"}, (11, 3), "float16"),
]
TIMED = [{"size": 3}, {"size": 15}]
PLANTED = [
    ("minmax.cu", "best = key < best ? key : best;", "best = key <= best ? best : key;"),
    ("minmax.cu", "K(key + more)", "K(key)"),  # NaN would be the largest
    ("minmax.cu", "for (int k = 1; k < taps; ++k)", "for (int k = 1; k < taps - 1; ++k)"),
]


def reference(image, *, dtype=None, **options):
    return stored(stage(ndimage.minimum_filter, image, True, **options), dtype)
