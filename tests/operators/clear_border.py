"""The mirror of workers/operators/clear_border.py."""

import numpy as np
from skimage.segmentation import clear_border

from tests.operators.label import array

EXAMPLES = [
    ({}, (9, 13, 11), "bool"),
    ({"buffer_size": 2}, (261, 27), "uint8"),
    ({"buffer_size": 1}, (9, 12, 13), "int64"),
    ({"axes": (1, 2)}, (3, 15, 17), "uint16"),
]
PLANTED: list = []  # it runs on the CPU alone
TIMED_DTYPES = ("objects", "bool")
TIMED = [{}]
__all__ = ["array"]


def reference(array, *, axes=None, **fields):
    if axes is None:
        return clear_border(array, **fields)
    return np.stack([clear_border(slice_, **fields) for slice_ in array])
