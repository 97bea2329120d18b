"""The mirror of workers/operators/dense.py."""

import numpy as np

RNG = np.random.default_rng(1)
ONE, SEVEN, FIVE = (RNG.normal(size=shape) for shape in ((2, 1), (5, 7), (4, 5)))
EXAMPLES = [
    ({"weights": ONE}, (5, 6, 7), "uint8"),
    ({"weights": SEVEN, "bias": RNG.normal(size=5), "channel_axis": 0}, (7, 9, 11), "float32"),
    ({"weights": SEVEN, "channel_axis": 0}, (7,), "float64"),
    ({"weights": FIVE, "dtype": "float16", "channel_axis": 2}, (3, 9, 5), "int16"),
]
TOLERANCE = 2e-6
TIMED = [{"weights": lambda shape: np.random.default_rng(0).normal(size=(8, shape[0])), "channel_axis": 0}]
PLANTED = [("correlate.cu", "(o * planes + plane) * taps_y", "plane * taps_y")]


def array(rng, shape, dtype):
    return rng.integers(0, 100, shape).astype(dtype)


def reference(array, weights, bias=None, channel_axis=None, dtype=None):
    out = np.dtype(dtype or ("f8" if array.dtype == np.float64 else "f4"))
    array, axis = (array[None], 0) if channel_axis is None else (array, channel_axis)
    found = np.tensordot(array.astype(np.float64), weights, (axis, 1))
    return np.moveaxis(found if bias is None else found + bias, -1, axis).astype(out)
