"""The mirror of workers/operators/local_threshold.py."""

import numpy as np
from skimage import filters

from tests.operators.sato import array as around

EXAMPLES = [
    ({"block_size": 5}, (9, 31), "uint8"),
    ({"block_size": (3, 5, 7), "method": "mean", "offset": -2.5}, (5, 9, 11), "float32"),
    ({"block_size": (5, 3, 3), "method": "mean", "offset": 2}, (6, 14, 23), "uint8"),
    ({"block_size": 3, "method": "median", "mode": "constant", "cval": 7, "axes": (2, 0)}, (5, 3, 9), "uint16"),
    ({"block_size": 7, "method": "niblack", "k": 0.1}, (13, 15), "int16"),
    ({"method": "sauvola", "block_size": (3, 5), "r": 40, "dtype": "uint8"}, (11, 13), "float64"),
    ({"param": (1.5, 0.7), "mode": "wrap", "offset": 3}, (9, 8), "float16"),
]
PLANTED = [
    ("exceeds.cu", "k, r) - offset", "k, r)"),
    ("exceeds.cu", "mean - k * deviation", "mean + k * deviation"),
    ("exceeds.cu", "deviation(mean, squares) / r", "deviation(mean, squares) * r"),
]
TIMED = [{"block_size": 35}, {"block_size": 35, "method": "mean"}, {"block_size": 15, "method": "sauvola"}]


def array(rng, shape, dtype):
    """Numbers that are not whole where the dtype has them, so that few are equal to a mean."""
    values = around(rng, shape, dtype)
    return values + rng.random(shape).astype(dtype) if values.dtype.kind == "f" else values


def reference(image, *, method="gaussian", block_size=3, axes=None, dtype="bool", offset=0.0, **terms):
    """By scikit-image, slice by slice. Ties, which its running sums decide by roundings, are not greater."""
    axes = tuple(range(image.ndim)) if axes is None else axes
    moved = np.moveaxis(image, axes, range(image.ndim - len(axes), image.ndim))
    flat = moved.reshape(-1, *moved.shape[moved.ndim - len(axes) :])
    found = np.stack([one > threshold(one, method, block_size, offset, terms) for one in flat]).reshape(moved.shape)
    return np.moveaxis(found, range(image.ndim - len(axes), image.ndim), axes).astype(dtype)


def threshold(image, method, block_size, offset, terms):
    if method in ("niblack", "sauvola"):
        found = getattr(filters, f"threshold_{method}")(image, block_size, **terms) - offset
    else:
        found = filters.threshold_local(image, block_size, method, offset, **terms)
    if method in ("mean", "niblack", "sauvola"):
        found = np.where(np.abs(image - found) < 1e-9 * np.abs(found), np.inf, found)
    return found
