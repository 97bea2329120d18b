"""The mirror of workers/operators/percentile.py."""

import numpy as np
from scipy import ndimage

from tests.boxes import elements
from tests.operators.median import array as array

CROSS = [[0, 1, 0], [1, 1, 1], [0, 1, 0]]
EXAMPLES = [
    ({"percentile": 20, "size": (3, 5), "mode": "wrap"}, (11, 23), "uint16"),
    ({"percentile": -30.5, "size": 2, "origin": -1, "mode": ("constant", "mirror"), "cval": 9}, (8, 9), "int16"),
    ({"percentile": 100, "footprint": CROSS, "axes": (0, 2)}, (5, 3, 7), "float16"),
    ({"percentile": 75.0, "size": 3, "cval": np.inf, "mode": "constant"}, (4, 5, 6), "float32"),
    ({"percentile": 99.9, "size": 4, "dtype": "float64"}, (13,), "uint64"),
]
PLANTED = [("rank.cu", "else low = K(middle + 1);", "else low = K(middle + 2);")]
TIMED = [{"percentile": 10, "size": 3}, {"percentile": 25, "size": 15, "axes": (-2, -1)}]


def reference(array, *, percentile, axes=None, dtype=None, **terms):
    around = elements(array, axes=axes, **terms)
    count, percent = around.shape[-1], percentile + 100.0 if percentile < 0 else percentile
    found = np.sort(around, axis=-1)[..., count - 1 if percent == 100 else int(count * percent / 100.0)]
    plain = array.dtype not in (np.uint64, np.float16) and isinstance(terms.get("mode", ""), str)
    if plain and not np.isnan(array.astype(float)).any():
        np.testing.assert_array_equal(found, ndimage.percentile_filter(array, percentile, axes=axes, **terms))
    return found if dtype is None else found.astype(dtype)
