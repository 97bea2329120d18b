"""The mirror of workers/operators/binary_opening.py."""

import numpy as np

from tests.morphology import binary
from tests.operators.binary_erosion import array as array

L = np.array([[1, 1, 0, 1], [0, 1, 0, 0], [0, 1, 1, 1]])
EXAMPLES = [
    ({"iterations": 2, "border_value": 1}, (9, 12, 9), "bool"),
    ({"structure": L, "origin": (0, 1)}, (9, 20), "float32"),
    ({"connectivity": 2, "iterations": 2, "dtype": "uint8"}, (17, 21), "uint8"),
]
TIMED = [{"iterations": 1}, {"iterations": 5}]
PLANTED = [("minmax.cu", "best = key < best ? key : best;", "best = key;")]


def reference(image, **options):
    return binary("opening", image, **options)
