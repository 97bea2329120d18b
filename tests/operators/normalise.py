"""The mirror of workers/operators/normalise.py."""

import numpy as np

EXAMPLES = [
    ({}, (7, 9, 5), "uint8"),
    ({"method": "zscore", "per": (0,)}, (3, 9, 5), "float32"),
    ({"method": "minmax", "per": (0, 2)}, (3, 5, 2), "int16"),
    ({"method": "percentile", "percentiles": (5, 87.5), "clip": True}, (11, 7), "float32"),
    ({"method": "percentile", "dtype": "float32"}, (11, 7), "int64"),
    ({"method": "zscore"}, (11, 7), "uint64"),
]
TOLERANCE = 1e-6
PLANTED = [
    ("elementwise.cu", "group += rest % walk[axis] * walk[6 + axis];", ""),
    ("elementwise.cu", "-F(u64(less) - u64(x))", "F(u64(x) - u64(less))"),
    ("elementwise.cu", "v = v > F(n[1]) ? F(n[1]) : v;", ""),
]
TIMED = [{"method": "zscore"}, {"method": "minmax"}, {"method": "percentile"}]


def array(rng, shape, dtype):
    """Numbers near one another, far from 0; one NaN and one infinity among floating-point numbers."""
    dtype = np.dtype(dtype)
    values = rng.normal(40, 10, shape)
    if dtype.kind == "f":
        values.flat[3], values.flat[8] = np.nan, np.inf
        return values.astype(dtype)
    return rng.integers(0, 100, shape).astype(dtype) + dtype.type(2**62 if dtype.itemsize == 8 else 0)


def reference(array, *, method="zscore", per=None, percentiles=(1, 99), clip=False, dtype=None):
    wide = array.dtype.itemsize == 8 or array.dtype.name in ("int32", "uint32")
    out = np.empty(array.shape, dtype or ("float64" if wide else "float32"))
    base = 2**62 if array.dtype.itemsize == 8 and array.dtype.kind != "f" else 0
    array = (array - array.dtype.type(base)).astype(float)
    for index in np.ndindex(*(array.shape[axis] for axis in per or ())):
        place = [slice(None)] * array.ndim
        for axis, i in zip(per or (), index, strict=True):
            place[axis] = i
        x = array[tuple(place)]
        finite = x[np.isfinite(x)]
        if method == "zscore":
            low, apart = finite.mean(), finite.std()
        else:
            low, high = np.percentile(x[~np.isnan(x)], percentiles if method == "percentile" else (0, 100))
            apart = high - low
            x = x.clip(low, high) if clip else x
        out[tuple(place)] = (x - low) / apart
    return out
