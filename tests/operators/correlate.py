"""The mirror of workers/operators/correlate.py."""

import numpy as np
from scipy import ndimage

RNG = np.random.default_rng(1)
DENSE, EVEN, LINE = (RNG.normal(size=shape) for shape in ((3, 3, 3), (2, 4), (5, 1)))
EXACT = {"precision": "double", "cast": "scipy"}
EXAMPLES = [
    ({"kernel": DENSE, "mode": "mirror", "algorithm": "direct"}, (7, 9, 11), "float32"),
    ({"kernel": EVEN, "origin": (0, -1), "mode": "constant", "cval": 9.0, **EXACT}, (13, 17), "uint16"),
    ({"kernel": LINE, "mode": "wrap", **EXACT}, (13, 6), "int16"),
    ({"kernel": DENSE, "mode": "nearest", **EXACT}, (5, 6, 7), "float64"),
    ({"kernel": np.array([[2, -1, 3], [0, 5, -7]]), "mode": "mirror"}, (13, 11), "int64"),
    ({"kernel": DENSE, "mode": "reflect", "algorithm": "fft"}, (7, 9, 6), "float32"),
]
TOLERANCE = 5e-6
TIMED = [{"kernel": np.random.default_rng(0).random((n,) * ndim)} for n, ndim in ((3, 3), (5, 3), (3, 2), (7, 2))]
PLANTED = [
    ("correlate.cu", "tables[g.table[3] + i3 + t3]", "tables[g.table[3] + i3 + 0 * t3]"),
    ("correlate.cu", "tables[g.table[5] + px] : -1", "tables[g.table[5] + px + 1] : -1"),
]


def reference(array, *, kernel, origin=0, mode="reflect", cval=0.0, **ours):
    return ndimage.correlate(array, kernel, mode=mode, cval=cval, origin=origin)
