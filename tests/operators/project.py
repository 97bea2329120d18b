"""The mirror of workers/operators/project.py."""

from fractions import Fraction
from math import sqrt

import numpy as np

from tests.operators.median import array as array

EXAMPLES = [
    ({"axis": 0}, (7, 9, 11), "uint8"),
    ({"axis": 1, "method": "min"}, (3, 70, 300), "float32"),
    ({"axis": 1}, (3, 150), "float32"),
    ({"axis": 2, "method": "sum"}, (3, 4, 150), "int16"),
    ({"axis": 0, "method": "sum"}, (9, 25), "int64"),
    ({"axis": -1, "method": "sum", "dtype": "uint8"}, (9, 5), "uint64"),
    ({"axis": 1, "method": "mean"}, (9, 6, 2), "uint64"),
    ({"axis": 0, "method": "mean"}, (7, 300), "int64"),
    ({"axis": 0, "method": "mean", "dtype": "uint16"}, (6, 8), "uint16"),
    ({"axis": 1, "method": "mean"}, (5, 9), "float32"),
    ({"axis": 0, "method": "std"}, (5, 4, 3), "int64"),
    ({"axis": 1, "method": "std"}, (6, 31), "int32"),
    ({"axis": 0, "method": "std", "dtype": "float64"}, (31, 300), "float32"),
    ({"axis": 1, "method": "std"}, (3, 5, 2), "uint64"),
    ({"axis": 0, "method": "mean"}, (5, 6), "bool"),
    ({"axis": 0, "method": "sum"}, (5, 6), "float16"),
]
PLANTED = [
    ("project.cu", "e / inner * n * inner + e % inner", "e * n * inner"),
    ("project.cu", "(u64(sum.low) & 0xFFFFFFFF)", "u64(sum.low)"),
    ("project.cu", "scale /= 256", "scale /= 128"),
    ("project.cu", "whole | i64(rest != 0)", "whole"),
    ("project.cu", "apart -= rest;", "apart -= rest * 0;"),
    ("project.cu", "if (SIGNED && high < -(i64(1) << 31)) return u64(1) << 63;", ""),
]
TIMED = [{"axis": 0}, {"axis": 0, "method": "mean"}]


def reference(array, *, axis, method="max", dtype=None):
    """Line by line, in Python's own integers and float64, and NumPy's where it is exact."""
    lines = np.moveaxis(array, axis, -1)
    natural = getattr(np, method)(np.zeros((2, 2), array.dtype), axis=0).dtype
    out = np.empty(lines.shape[:-1], dtype or natural)
    for index in np.ndindex(out.shape):
        out[index] = stored(of_line(lines[index], method, out.dtype), out.dtype)
    if dtype is None and array.dtype not in (np.int64, np.uint64, np.float16):
        with np.errstate(invalid="ignore"):
            numpys = getattr(np, method)(array.astype("f8" if array.dtype.kind == "f" else array.dtype), axis=axis)
        np.testing.assert_allclose(out, numpys, rtol=1e-6 if out.dtype == np.float32 else 1e-12)
    return out


def of_line(line, method, dtype):
    if method in ("max", "min"):
        return getattr(line, method)()
    with np.errstate(invalid="ignore"):
        if line.dtype.kind == "f":
            total = np.float64(-0.0)
            for v in line.astype("f8"):
                total += v
            mean, rest = total / len(line), 0.0
        else:
            total = sum(map(int, line))
            mean, rest = total // len(line), float(Fraction(total % len(line), len(line)))
        if method == "sum":
            return total
        if method == "mean":
            return mean if line.dtype.kind == "f" else Fraction(total, len(line))
        squares = 0.0
        for v in line.astype("f8") if line.dtype.kind == "f" else map(int, line):
            apart = (np.float64(v) - mean if line.dtype.kind == "f" else float(int(v) - mean)) - rest
            squares += apart * apart
        return np.sqrt(squares / len(line)) if line.dtype.kind == "f" else sqrt(squares / len(line))


def stored(value, dtype):
    """Rounded once; integers saturate."""
    if dtype.kind == "f":
        with np.errstate(over="ignore"):
            return np.float64(float(value) if isinstance(value, Fraction) else value).astype(dtype)
    limits = np.iinfo(dtype)
    return min(max(round(value) if isinstance(value, Fraction) else int(value), limits.min), limits.max)
