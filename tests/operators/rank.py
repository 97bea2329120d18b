"""The mirror of workers/operators/rank.py."""

import numpy as np
from scipy import ndimage

from tests.boxes import elements
from tests.operators.median import array as array

BALL = np.sum((np.indices((3, 3, 3)) - 1) ** 2, axis=0) <= 1
EXAMPLES = [
    ({"rank": 5, "size": 3, "mode": "mirror"}, (7, 9, 20), "uint8"),
    ({"rank": -2, "footprint": BALL, "mode": ("wrap", "constant", "nearest"), "cval": 7}, (5, 6, 7), "int32"),
    ({"rank": -1, "size": (2, 4), "origin": (0, 1)}, (9, 13), "float32"),
    ({"rank": 2, "size": 5, "axes": (1,), "mode": "constant", "cval": -1.5}, (3, 17), "float64"),
    ({"rank": 100, "size": (7, 41), "mode": "nearest"}, (9, 75), "int16"),
    ({"rank": 0, "footprint": [[1, 0, 0, 1]], "axes": (3, 0)}, (4, 2, 3, 3), "int64"),
]
PLANTED = [
    ("rank.cu", "if (found > rank) high", "if (found >= rank) high"),
    ("rank.cu", "high = v > high ? v : high;", "high = v < high ? v : high;"),
    ("rank.cu", "window[offsets[i * width] - 1]", "window[offsets[i * width]]"),
    ("rank.cu", "if (K(key >> shift >> 8) == digits)", "if (true)"),
]
DISC = np.hypot.outer(np.arange(-2, 3), np.arange(-2, 3)) <= 2
TIMED = [{"rank": 6, "size": 3}, {"rank": -3, "footprint": DISC, "axes": (-2, -1)}]


def reference(array, *, rank, axes=None, **terms):
    around = elements(array, axes=axes, **terms)
    found = np.sort(around, axis=-1)[..., rank]
    axes = tuple(range(array.ndim)) if axes is None else axes
    plain = array.dtype not in (np.int64, np.uint64) and isinstance(terms.get("mode", ""), str)
    if plain and list(axes) == sorted(axes) and not np.isnan(array.astype(float)).any():
        np.testing.assert_array_equal(found, ndimage.rank_filter(array, rank, axes=axes, **terms))
    return found
