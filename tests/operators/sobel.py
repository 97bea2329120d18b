"""The mirror of workers/operators/sobel.py."""

import numpy as np
from scipy import ndimage

EXAMPLES = [
    ({"axis": 1, "mode": "nearest"}, (7, 9, 11), "float32"),
    ({"axis": 0, "mode": "mirror", "precision": "double", "cast": "scipy"}, (13, 17), "int32"),
    ({"axis": 1, "mode": "constant", "cval": 2.5}, (6, 7, 5), "float32"),
    ({"axis": 1, "mode": "constant", "cval": -3}, (6, 9, 5), "int64"),
    ({"mode": "wrap", "precision": "double", "cast": "scipy"}, (5, 6, 7), "uint8"),
    ({"magnitude": True, "mode": "wrap", "dtype": "float32"}, (5, 7, 6), "uint8"),
    ({"magnitude": True, "mode": "mirror"}, (9, 8), "uint16"),
    ({"magnitude": True, "axes": (1, 2), "mode": ("nearest", "constant"), "cval": -3}, (3, 7, 9), "float64"),
]
TOLERANCE = 2e-6
PLANTED = [
    ("separable.cu", "sum[r] = w[middle] * line", "sum[r] = w[0] * line"),
    ("elementwise.cu", "return sum + f64(v) * f64(v);", "return sum + f64(v);"),
]
TIMED = [{"axis": -1}, {"magnitude": True, "dtype": "float32"}]


def reference(array, **fields):
    return of(ndimage.sobel, [1, 2, 1], array, **fields)


def of(scipys, smoothing, array, *, axis=-1, magnitude=False, axes=None, mode="reflect", cval=0.0, **ours):
    if not magnitude:
        return scipys(array, axis, mode=mode, cval=cval)
    axes = tuple(range(array.ndim)) if axes is None else axes
    modes = mode if isinstance(mode, tuple) else [mode] * len(axes)
    total = np.zeros(array.shape)
    for along in axes:
        found = array.astype(float)
        for a, m in sorted(zip(axes, modes, strict=True), key=lambda pair: pair[0] != along):
            found = ndimage.correlate1d(found, [-1, 0, 1] if a == along else smoothing, a, None, m, cval)
        if len(axes) == array.ndim and isinstance(mode, str):
            np.testing.assert_allclose(found, scipys(array.astype(float), along, None, mode, cval), atol=1e-9)
        total += found**2
    dtype = np.dtype(ours.get("dtype", array.dtype))
    total = np.sqrt(total)
    return total.astype(dtype) if dtype.kind == "f" else np.rint(total).clip(0, np.iinfo(dtype).max).astype(dtype)
