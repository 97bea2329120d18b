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
    ({"factors": 2, "method": "mode"}, (7, 9, 11), "labels"),
    ({"factors": (3, 4), "method": "mode"}, (10, 9), "uint64"),
    ({"factors": 2, "method": "mode"}, (5, 4, 601), "float32"),
    ({"factors": (1, 3, 2), "method": "median"}, (3, 10, 9), "uint8"),
    ({"factors": 2, "method": "median"}, (9, 8), "int64"),
    ({"factors": (2, 5), "method": "median"}, (7, 16), "float64"),
    ({"factors": (2, 2), "method": "median", "dtype": "float32"}, (5, 6), "int16"),
    ({"factors": (2,), "method": "median"}, (13,), "float16"),
    ({"factors": 2, "method": "median"}, (5, 5), "bool"),
    ({"factors": (4, 2)}, (9, 17), "int16"),
]
PLANTED = [
    ("pool.cu", "2 * rest == count && (mean & 1)", "2 * rest == count"),
    ("pool.cu", "? first[axis] + g.factor[axis] : g.available[axis]", "? first[axis] + g.factor[axis] : end[axis]"),
    ("pool.cu", "a / b - (a % b < 0)", "a / b"),
    ("pool.cu", "(better || v != v)", "better"),
    ("pool.cu", "at[axis] = first[axis];\n        }", "at[axis] = 0;\n        }"),
    ("pool.cu", "if (seen.found > most)", "if (seen.found >= most)"),
    ("pool.cu", "seen.found <= seen.elements / 2", "seen.found < seen.elements / 2"),
    ("pool.cu", "T(odd & low & 1)", "T(odd & 1)"),
    ("pool.cu", "__float_as_int(v + T(0))", "__float_as_int(v)"),
    ("pool.cu", "if (seen.missing > 0) low", "if (seen.missing > 1) low"),
]
TIMED = [{"factors": 2}, {"factors": 2, "method": "mode"}]


def array(rng, shape, dtype):
    if dtype == "labels":
        return np.repeat(np.repeat(rng.integers(0, 3, shape, np.uint32) * 2**31, 2, 1), 3, 0)[: shape[0], : shape[1]]
    dtype = np.dtype(dtype)
    if dtype.kind == "b":
        return rng.random(shape) > 0.5
    if dtype.kind in "iu":
        limits = np.iinfo(dtype)
        return rng.integers(limits.min, limits.max, shape, dtype, endpoint=True)
    values = (rng.normal(size=shape) * 100).astype(dtype)
    values[rng.random(shape) < 0.1] = np.nan
    values[rng.random(shape) < 0.3] = 0.0
    values[rng.random(shape) < 0.2] = -0.0
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
        if method in ("median", "mode"):
            out[index] = (median if method == "median" else most_frequent)(box.ravel(), kind)
        elif method != "mean":
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


def median(elements, kind):
    """As numpy.median, in exact integers."""
    if elements.dtype.kind == "f":
        return np.median(elements.astype("f4") if elements.dtype == np.float16 else elements)
    low, high = (sorted(map(int, elements))[n // 2] for n in (len(elements) - 1, len(elements)))
    middle = Fraction(low + high, 2)
    np.testing.assert_allclose(float(middle), np.median(elements.astype(float)))
    return float(middle) if kind.kind == "f" else round(middle)


def most_frequent(elements, kind):
    """By counting; the least of those that are as frequent."""
    numbers, counts = np.unique(elements, return_counts=True)
    return numbers[np.argmax(counts)]
