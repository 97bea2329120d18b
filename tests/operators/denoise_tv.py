"""The mirror of workers/operators/denoise_tv.py."""

import numpy as np
from skimage.restoration import denoise_tv_chambolle

EXAMPLES = [
    ({"weight": 0.2, "iterations": 7}, (7, 9, 11), "uint8"),
    ({"weight": 20.0, "iterations": 40}, (13, 17), "float32"),
    ({"axes": (2, 0), "iterations": 5, "weight": 300.0}, (6, 3, 19), "float64"),
    ({"iterations": 4, "weight": 900, "preserve_range": True, "dtype": "int16"}, (3, 4, 5, 9), "int16"),
    ({"iterations": 1}, (21,), "uint16"),
]
TOLERANCE = 2e-6
PLANTED = [
    ("variation.cu", "at[axis] + 1 >= g.window[axis]", "at[axis] + 2 >= g.window[axis]"),
    ("variation.cu", "fma(sqrt(squares), share, T(1))", "fma(squares, share, T(1))"),
    ("variation.cu", "at[axis] > 0 ?", "at[axis] >= 0 ?"),
]
TIMED = [{"weight": 0.1, "iterations": 21}]


def reference(array, *, weight=0.1, iterations=50, axes=None, preserve_range=False, dtype=None):
    """A slice at a time along the axes that are not filtered."""
    axes = tuple(range(array.ndim)) if axes is None else axes
    others = [axis for axis in range(array.ndim) if axis not in axes]
    given = array.astype("float64") if preserve_range else array
    moved = np.moveaxis(given, others, range(len(others)))
    wide = array.dtype == np.float64 or (array.dtype.itemsize > 2 and array.dtype.kind in "iu")
    found = np.empty(moved.shape, "float64")
    for place in np.ndindex(moved.shape[: len(others)]):
        found[place] = denoise_tv_chambolle(moved[place], weight, eps=0, max_num_iter=iterations)
    found = np.moveaxis(found, range(len(others)), others)
    dtype = np.dtype(dtype or ("float64" if wide else "float32"))
    return (np.rint(found) if dtype.kind == "i" else found).astype(dtype)
