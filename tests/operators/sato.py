"""The mirror of workers/operators/sato.py."""

import numpy as np
from skimage import filters

EXAMPLES = [
    ({"sigmas": (1.5, 2)}, (7, 9, 8), "float32"),
    ({"black_ridges": False, "sigmas": (3, 1, 2)}, (13, 9), "uint8"),
    ({"sigmas": 2, "mode": "constant", "cval": 50, "black_ridges": False}, (9, 8), "int16"),
    ({"sigmas": 1.2, "mode": "wrap", "axes": (0, 2)}, (7, 3, 9), "float64"),
]
TOLERANCE = 2e-6
PLANTED = [
    ("elementwise.cu", "return sum >= v || sum != sum ? sum : v;", "return v;"),
    ("symmetric.cu", "eigen[k] < 0 ? 0 : eigen[k]", "eigen[k]"),
]
TIMED = [{"sigmas": (1, 2)}]


def array(rng, shape, dtype):
    """Smooth enough for ridges of some width."""
    places = np.meshgrid(*(np.arange(n) for n in shape), indexing="ij")
    waves = sum(np.sin(place * rng.uniform(0.3, 0.8)) for place in places)
    return (40 * waves + rng.uniform(0, 5, shape) + 120).clip(0, 250).astype(dtype)


def reference(array, **fields):
    return of(filters.sato, array, **fields)


def of(compute, array, *, axes=None, sigmas, **fields):
    sigmas = sorted(sigmas) if isinstance(sigmas, tuple) else [sigmas]
    dtype = "f8" if array.dtype == np.float64 else "f4"
    if axes is None or len(axes) == array.ndim:
        return compute(array, sigmas, **fields).astype(dtype)
    (other,) = set(range(array.ndim)) - set(axes)
    slices = [compute(part, sigmas, **fields) for part in np.moveaxis(array, other, 0)]
    return np.stack(slices, other).astype(dtype)
