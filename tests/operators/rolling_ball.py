"""The mirror of workers/operators/rolling_ball.py."""

import numpy as np
from skimage.restoration import rolling_ball

from tests.morphology import difference, stored

EXAMPLES = [
    ({"radius": 4}, (13, 71), "uint8"),
    ({"radius": 3}, (5, 9, 11), "int16"),
    ({"radius": 2.5}, (4, 7, 9), "float32"),
    ({"radius": 6, "axes": (2, 0)}, (9, 2, 5), "float16"),
    ({"radius": 5, "dtype": "float32"}, (9, 40), "uint16"),
    ({"radius": 2}, (3, 4, 3, 5), "float64"),
    ({"radius": 100}, (31,), "uint64"),
]
PLANTED = [
    ("ball.cu", "sum < best ? sum : best", "sum"),
    ("ball.cu", "b > T(largest<T> - a) ? largest<T> : T(a + b)", "T(a + b)"),
    ("ball.cu", "add_saturated(window[offsets[0]], adds[0])", "largest<T>"),
]
TIMED = [{"radius": 5}]


def array(rng, shape, dtype):
    """Hills, with NaN and infinities of floating-point numbers."""
    values = rng.integers(0, 9, shape) + 90 * np.sin(np.arange(shape[-1]) / 3)
    dtype = np.dtype(dtype)
    if dtype.kind == "f":
        values.reshape(-1)[[3, 9]] = np.nan, np.inf
        return values.astype(dtype)
    values = values - values.min() if dtype.kind == "u" else values
    return (values * (1 if dtype.itemsize == 1 else 50)).astype(dtype)


def reference(array, *, radius, axes=None, dtype=None):
    axes = tuple(range(array.ndim)) if axes is None else axes
    moved = np.moveaxis(array, axes, range(array.ndim - len(axes), array.ndim))
    flat = moved.reshape(-1, *moved.shape[moved.ndim - len(axes) :])
    background = np.stack([rolling_ball(image, radius=radius) for image in flat]).reshape(moved.shape)
    background = np.moveaxis(background, range(array.ndim - len(axes), array.ndim), axes)
    with np.errstate(invalid="ignore"):
        return stored(difference(array, background, dtype), dtype)
