"""The mirror of workers/operators/gaussian.py."""

from scipy import ndimage

EXACT = {"precision": "double", "cast": "scipy"}
EXAMPLES = [
    ({"sigma": (0.7, 1.2, 0.9), "mode": "mirror"}, (7, 9, 11), "float32"),
    ({"sigma": 1.5, "order": (1, 0), "mode": ("wrap", "nearest"), "dtype": "float32"}, (13, 17), "uint16"),
    ({"sigma": 0.8, "radius": 3, **EXACT}, (5, 6, 7), "uint8"),
    ({"sigma": 0.8, "axes": (1,), "mode": "constant", "cval": 3.0, **EXACT}, (4, 9), "float64"),
]
TOLERANCE = 2e-6
TIMED = [{"sigma": 2.0}]
PLANTED = [("separable.cu", "sum[r] = w[middle] * line", "sum[r] = w[0] * line")]


def reference(array, *, sigma, order=0, mode="reflect", cval=0.0, radius=None, axes=None, dtype=None, **ours):
    output = dtype or array.dtype
    return ndimage.gaussian_filter(array, sigma, order, output, mode, cval, radius=radius, axes=axes)
