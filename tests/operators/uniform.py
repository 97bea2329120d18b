"""The mirror of workers/operators/uniform.py."""

from scipy import ndimage

EXACT = {"precision": "double", "cast": "scipy"}
EXAMPLES = [
    ({"size": (3, 5, 2), "mode": "reflect"}, (7, 9, 11), "float32"),
    ({"size": 4, "origin": (1, -2), "mode": "constant", "cval": 9.0, **EXACT}, (13, 17), "uint16"),
    ({"size": 3, "mode": "wrap", **EXACT}, (5, 6, 7), "int16"),
]
TOLERANCE = 2e-6
TIMED = [{"size": 5}, {"size": 15}]
PLANTED = [("separable.cu", "divisor == Acc(1) ? sum : sum / divisor", "divisor == Acc(1) ? sum : sum + divisor")]


def reference(array, *, size, origin=0, mode="reflect", cval=0.0, **ours):
    return ndimage.uniform_filter(array, size, mode=mode, cval=cval, origin=origin)
