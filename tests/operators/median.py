"""The mirror of workers/operators/median.py."""

import numpy as np
from scipy import ndimage

from tests.boxes import elements

EXAMPLES = [
    ({"size": 3, "mode": "reflect"}, (7, 9, 70), "uint8"),
    ({"size": 5, "mode": "mirror"}, (6, 19, 41), "uint16"),
    ({"size": 3, "mode": "wrap"}, (13, 140), "float32"),
    ({"size": 5, "mode": "constant", "cval": -2.5}, (9, 33), "float32"),
    ({"size": (2, 3, 4), "origin": (0, 1, -1), "mode": ("nearest", "constant", "wrap")}, (5, 6, 7), "int64"),
    ({"size": 3, "axes": (1, 2)}, (3, 8, 9), "uint64"),
    ({"size": 4, "axes": (0,), "mode": "mirror"}, (11, 3), "bool"),
    ({"size": 3, "dtype": "int16"}, (9, 11), "float16"),
    ({"footprint": [[0, 1, 0], [1, 1, 1]], "origin": (0, 1), "axes": (2, 1)}, (2, 9, 11), "uint16"),
]
PLANTED = [
    ("rank.cu", "if (v != v) return ~Key<T>(0);", ""),  # a negative NaN would be the smallest
    ("rank.cu", "return bits & top_bit<T> ? ~bits : bits | top_bit<T>;", "return bits;"),
    ("rank.cu", "held[b][a] = held[b + 1][a]", "held[b][a] = held[b][a]"),
    ("rank.cu", "lists[i * THREADS + t + c]", "lists[i * THREADS + t]"),
    ("rank.cu", "__syncthreads();  // all lists of this row are there", ""),
    ("rank.cu", "if (found > rank) high", "if (found >= rank) high"),
    ("rank.cu", "inside = inside && source >= 0;", ""),
    ("rank.cu", "(v) ^ top_bit<T>)", "(v))"),
]
TIMED = [{"size": 3}, {"size": 5}]


def array(rng, shape, dtype):
    """All values of integers, large ones too; NaN of both signs, zeros of both and infinities among numbers."""
    dtype = np.dtype(dtype)
    if dtype.kind in "iu":
        limits = np.iinfo(dtype)
        return rng.integers(limits.min, limits.max, shape, dtype, endpoint=True)
    values = rng.normal(size=shape) * 100
    if dtype.kind == "f":
        odd = rng.random(shape)
        for chance, value in ((0.05, 0.0), (0.1, -0.0), (0.13, np.inf), (0.16, np.nan), (0.2, -np.nan)):
            values[(odd < chance) & (odd > chance - 0.03)] = value
    return values.astype(dtype) if dtype.kind == "f" else values > 0


def reference(array, *, axes=None, cval=0.0, dtype=None, **terms):
    """By sorting each window: NumPy puts NaN last."""
    around = elements(array, axes=axes, cval=cval, **terms)
    found = np.sort(around, axis=-1)[..., around.shape[-1] // 2]
    # scipy's own, where it does not lose integers, orders what it finds and takes axes in any order
    simple = terms.get("footprint") is None and isinstance(terms.get("mode", ""), str)
    if simple and array.dtype not in (np.int64, np.uint64, np.float16) and not np.isnan(array.astype(float)).any():
        wanted = ndimage.median_filter(array, axes=axes, cval=cval, **terms)
        np.testing.assert_array_equal(found, wanted)
    if dtype is None:
        return found
    limits = np.iinfo(dtype)
    return np.nan_to_num(np.rint(found), nan=0).clip(limits.min, limits.max).astype(dtype)
