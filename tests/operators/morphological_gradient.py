"""The mirror of workers/operators/morphological_gradient.py."""

import numpy as np

from tests.morphology import difference, dilated, eroded
from tests.operators.median import array  # noqa: F401

L = np.array([[1, 1, 0, 1], [0, 1, 0, 0], [0, 1, 1, 1]])
EXAMPLES = [
    ({"size": 3, "mode": "reflect"}, (7, 9, 30), "uint8"),
    ({"footprint": L, "mode": "wrap"}, (9, 20), "float32"),
    ({"size": (3, 2), "mode": "nearest", "dtype": "int16"}, (7, 11), "int8"),
    ({"size": 3}, (9, 10), "int16"),
]
TIMED = [{"size": 5}, {"size": 15}]
PLANTED = [("elementwise.cu", "past ? (sum < 0 ? T(~largest<T>) : largest<T>) : less", "past ? T(0) : less")]


def reference(image, *, dtype=None, **options):
    return difference(dilated(image, **options), eroded(image, **options), dtype)
