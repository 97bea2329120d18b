"""The mirror of workers/operators/threshold.py."""

import warnings

import numpy as np
from skimage import filters

EXAMPLES = [
    ({"value": 3.5}, (7, 9), "uint8"),
    ({"value": -1.0}, (7, 5), "uint16"),
    ({"value": 0.1}, (5, 6, 7), "float32"),
    ({"method": "otsu"}, (41, 1001), "uint8"),
    ({"method": "otsu"}, (17, 30), "int16"),
    ({"method": "otsu"}, (17, 30), "int32"),
    ({"method": "otsu"}, (30, 31), "float32"),
    ({"method": "otsu"}, (9, 70), "float64"),
    ({"method": "triangle"}, (41, 100), "uint8"),
    ({"method": "triangle"}, (17, 30), "int16"),
    ({"method": "triangle"}, (30, 31), "float32"),
    ({"method": "li"}, (41, 10), "uint8"),
    ({"method": "li"}, (17, 30), "float32"),
    ({"method": "li"}, (17, 30), "float64"),
]
TIMED = [{"value": 100.0}, {"method": "otsu"}, {"method": "triangle"}, {"method": "li"}]
PLANTED = [
    ("elementwise.cu", "return v > number;", "return v >= number;"),
    ("histogram.cu", "__syncthreads();  // every count is zero", ""),
    ("histogram.cu", "__syncthreads();  // what is compared has been found", ""),
    ("histogram.cu", "while (bin < bins - 1 && v >= edges[bin + 1]) ++bin;", "++bin;"),
    ("histogram.cu", "bin = i64(u64(v) - u64(low));", "bin = i64(u64(v) - 0 * u64(low));"),
    ("histogram.cu", "if (own[b] != 0) atomicAdd(&out[b], u64(own[b]));", "out[b] = own[b];"),
    ("histogram.cu", "large = v > large ? v : large;", "large = v < large ? v : large;"),
]


def array(rng, shape, dtype):
    """Two classes of values, and some of value 3."""
    values = np.where(rng.random(shape) < 0.4, rng.normal(40, 10, shape), rng.normal(90, 12, shape)).clip(0, 250)
    values[rng.random(shape) < 0.1] = 3
    return values.astype(dtype)


def reference(array, *, value=None, method=None):
    if value is not None:
        return array > value
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # an array may look like a colour image
        wide = array.astype(float) if method == "li" and array.dtype.kind == "f" else array.copy()
        return array > getattr(filters, f"threshold_{method}")(wide)
