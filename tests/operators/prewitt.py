"""The mirror of workers/operators/prewitt.py."""

from scipy import ndimage

from tests.operators import sobel

EXAMPLES = [
    ({"axis": 0, "mode": "nearest"}, (7, 9, 5), "float32"),
    ({"axis": 1, "mode": "constant", "cval": 2, "precision": "double", "cast": "scipy"}, (13, 7), "uint16"),
    ({"mode": "wrap"}, (5, 6, 7), "int64"),
    ({"magnitude": True, "dtype": "float32"}, (5, 7, 6), "int16"),
    ({"magnitude": True, "mode": "constant", "cval": -1.5}, (11,), "float32"),
]
TOLERANCE = 2e-6
PLANTED = [("separable.cu", "sum[r] = w[middle] * line", "sum[r] = w[0] * line")]
TIMED = [{"axis": -1}, {"magnitude": True, "dtype": "float32"}]


def reference(array, **fields):
    return sobel.of(ndimage.prewitt, [1, 1, 1], array, **fields)
