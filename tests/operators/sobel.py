"""The mirror of workers/operators/sobel.py."""

from scipy import ndimage

EXAMPLES = [
    ({"axis": 1, "mode": "nearest"}, (7, 9, 11), "float32"),
    ({"axis": 0, "mode": "mirror", "precision": "double", "cast": "scipy"}, (13, 17), "int32"),
    ({"axis": 1, "mode": "constant", "cval": 2.5}, (6, 7, 5), "float32"),
    ({"axis": 1, "mode": "constant", "cval": -3}, (6, 9, 5), "int64"),
    ({"mode": "wrap", "precision": "double", "cast": "scipy"}, (5, 6, 7), "uint8"),
]
TOLERANCE = 1e-2
PLANTED = [("separable.cu", "sum[r] = w[middle] * line", "sum[r] = w[0] * line")]


def reference(array, *, axis=-1, mode="reflect", cval=0.0, **ours):
    return ndimage.sobel(array, axis, mode=mode, cval=cval)
