"""The mirror of workers/operators/downsample.py."""

from fractions import Fraction

import numpy as np

EXAMPLES = [
    ({"factors": 2}, (7, 9, 11), "uint8"),
    ({"factors": (1, 3, 2)}, (3, 10, 9), "float32"),
    ({"factors": (3, 4), "method": "mean"}, (11, 10), "int64"),
    ({"factors": (2, 5)}, (7, 16), "uint64"),
    ({"factors": 3, "dtype": "float32"}, (7, 8), "int16"),
    ({"factors": 2, "axes": (1,), "method": "max"}, (5, 23), "float32"),
    ({"factors": 2, "method": "min", "dtype": "uint8"}, (5, 4, 7), "int32"),
    ({"factors": (4,)}, (13,), "float16"),
]
PLANTED = [
    ("pool.cu", "2 * rest == count && (mean & 1)", "2 * rest == count"),
    ("pool.cu", "? first[axis] + g.factor[axis] : g.available[axis]", "? first[axis] + g.factor[axis] : end[axis]"),
    ("pool.cu", "a / b - (a % b < 0)", "a / b"),
    ("pool.cu", "(better || v != v)", "better"),
    ("pool.cu", "at[axis] = first[axis];\n        }", "at[axis] = 0;\n        }"),
]


def array(rng, shape, dtype):
    dtype = np.dtype(dtype)
    if dtype.kind in "iu":
        limits = np.iinfo(dtype)
        return rng.integers(limits.min, limits.max, shape, dtype, endpoint=True)
    values = (rng.normal(size=shape) * 100).astype(dtype)
    values[rng.random(shape) < 0.1] = np.nan
    return values


def reference(array, *, factors, method="mean", axes=None, dtype=None):
    """Box by box, in Python's own integers."""
    axes = tuple(range(array.ndim)) if axes is None else axes
    every = [1] * array.ndim
    for axis, factor in zip(axes, factors if isinstance(factors, tuple) else (factors,) * len(axes), strict=True):
        every[axis] = factor
    kind = np.dtype(dtype or array.dtype)
    out = np.empty([-(-n // factor) for n, factor in zip(array.shape, every, strict=True)], kind)
    for index in np.ndindex(out.shape):
        box = array[tuple(slice(i * n, (i + 1) * n) for i, n in zip(index, every, strict=True))]
        if method != "mean":
            value = getattr(box, method)()
            out[index] = value if kind.kind == "f" else min(max(int(value), np.iinfo(kind).min), np.iinfo(kind).max)
        elif array.dtype.kind == "f" or kind.kind == "f":
            total = -0.0
            for element in box.ravel():
                total += float(element)
            out[index] = total / box.size
        else:
            out[index] = round(Fraction(sum(int(element) for element in box.ravel()), box.size))
    return out
