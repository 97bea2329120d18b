"""The mirror of workers/operators/binary_closing.py."""

import numpy as np

from tests.morphology import binary
from tests.operators.binary_dilation import array as array

L = np.array([[1, 1, 0, 1], [0, 1, 0, 0], [0, 1, 1, 1]])
EXAMPLES = [
    ({"iterations": 2}, (9, 12, 9), "bool"),
    ({"structure": L[:, :2], "border_value": 1, "iterations": 2}, (9, 20), "int32"),
    ({"connectivity": 2, "iterations": 3, "border_value": 1}, (17, 21), "uint8"),
]
TIMED = [{"iterations": 1}, {"iterations": 5}]
PLANTED = [("minmax.cu", "i64 rest = row;", "i64 rest = row + 1;")]


def reference(image, **options):
    return binary("closing", image, **options)
