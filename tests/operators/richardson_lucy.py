"""The mirror of workers/operators/richardson_lucy.py."""

import numpy as np
from skimage.restoration import richardson_lucy

RNG = np.random.default_rng(2)
LINE = np.exp(-(np.arange(-3, 4.0) ** 2) / 3)
PSF = RNG.random((3, 5, 3)) + 0.1
SPARSE = RNG.random((9, 7)) * (RNG.random((9, 7)) > 0.3)
EXAMPLES = [
    ({"psf": np.multiply.outer(LINE, LINE[1:-1]), "iterations": 3, "algorithm": "separable"}, (13, 17), "float32"),
    ({"psf": PSF, "iterations": 4}, (7, 9, 11), "uint8"),
    ({"psf": SPARSE, "iterations": 3, "algorithm": "fft", "axes": (2, 0)}, (15, 3, 21), "float64"),
    ({"psf": LINE[:4], "iterations": 5, "dtype": "uint16"}, (4, 19), "uint16"),
    ({"psf": PSF[0], "iterations": 2, "clip": True, "filter_epsilon": 0.3}, (11, 12), "float16"),
]
TOLERANCE = 3e-6
PLANTED = [
    ("elementwise.cu", "const T by = v + T(1e-12);", "const T by = v + T(1e-2);"),
    ("elementwise.cu", "by < least ? T(0)", "by < least ? T(1)"),
    ("elementwise.cu", "v > limit ? limit", "v > limit ? -limit"),
]
TIMED = [
    {"iterations": 5, "psf": lambda shape: timed(len(shape), 1)},
    {"iterations": 2, "psf": lambda shape: timed(len(shape), 0.9)},
]


def timed(ndim, power):
    """A Gaussian of 17 elements on each axis, or one that is not separable."""
    squares = sum(x**2 for x in np.ogrid[(slice(-8, 9),) * ndim])
    return np.exp(-(squares.astype(float) ** power) / 8)


def array(rng, shape, dtype):
    """Images, with elements of 0."""
    values = rng.integers(0, 200, shape)
    values[..., :2] = 0
    return (values / (100 if dtype == "float16" else 1)).astype(dtype)


def reference(array, *, psf, iterations=10, clip=False, filter_epsilon=None, axes=None, dtype=None, algorithm=None):
    """In float64, a slice at a time along the axes that are not filtered."""
    axes = tuple(range(array.ndim - psf.ndim, array.ndim)) if axes is None else axes
    moved = np.moveaxis(array.astype("float64"), axes, range(-len(axes), 0))
    found = np.empty_like(moved)
    for place in np.ndindex(moved.shape[: -len(axes)]):
        found[place] = richardson_lucy(moved[place], psf / psf.sum(), iterations, clip, filter_epsilon)
    found = np.moveaxis(found, range(-len(axes), 0), axes)
    dtype = np.dtype(dtype or ("float64" if array.dtype == np.float64 else "float32"))
    return np.rint(found).astype(dtype) if dtype.kind == "u" else found.astype(dtype)
