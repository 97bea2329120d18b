"""The mirror of workers/operators/convolve.py."""

import numpy as np
from scipy import ndimage

RNG = np.random.default_rng(1)
DENSE, EVEN, LAYER = (RNG.normal(size=shape) for shape in ((3, 3), (2, 3, 2), (4, 3, 3, 3)))
EXACT = {"precision": "double", "cast": "scipy"}
EXAMPLES = [
    ({"kernel": DENSE, "mode": "nearest", "algorithm": "direct"}, (17, 40), "float32"),
    ({"kernel": EVEN, "origin": (0, 1, 0), "mode": "reflect", **EXACT}, (7, 6, 9), "uint16"),
    ({"kernel": LAYER, "channels": 0, "bias": np.arange(4.0), "precision": "double"}, (3, 9, 11), "float64"),
]
TOLERANCE = 2e-6
TIMED = [{"kernel": np.random.default_rng(0).random((n,) * ndim)} for n, ndim in ((3, 3), (5, 3), (3, 2), (7, 2))]
PLANTED = [
    ("correlate.cu", "sum[q][r] = bias[o];", "sum[q][r] = 0 * bias[o];"),
    ("correlate.cu", "(o * planes + plane) * taps_y", "plane * taps_y"),
]


def reference(array, *, kernel, origin=0, mode="reflect", cval=0.0, channels=None, bias=None, **ours):
    if channels is None:
        return ndimage.convolve(array, kernel, mode=mode, cval=cval, origin=origin)
    layers = zip(kernel, bias, strict=True)
    return np.stack(
        [b + sum(ndimage.convolve(*pair) for pair in zip(array, layer, strict=True)) for layer, b in layers]
    )
