"""The mirror of workers/operators/clahe.py."""

import numpy as np
from skimage.exposure import equalize_adapthist, rescale_intensity

EXAMPLES = [
    ({}, (17, 33), "uint8"),
    ({"kernel_size": (3, 5, 4), "clip_limit": 0.05}, (7, 9, 11), "float32"),
    ({"kernel_size": 6, "nbins": 32, "axes": (0, 2)}, (13, 2, 15), "uint16"),
    ({"kernel_size": 40, "clip_limit": 0, "dtype": "uint8"}, (9, 31), "int32"),
    ({"kernel_size": (4, 3), "dtype": "float32", "nbins": 20000}, (10, 7), "float64"),
    ({}, (70,), "int8"),
    ({"kernel_size": 2, "clip_limit": 0.7}, (3, 4, 3, 5), "uint64"),
    ({"kernel_size": 5}, (9, 11), "bool"),
]
PLANTED = [
    ("clahe.cu", "second ? part[at] : 1 - part[at]", "part[at]"),
    ("clahe.cu", "(second ? after[at] : before[at])", "before[at]"),
    ("clahe.cu", "corner < 1 << axes", "corner < 1"),
]
TIMED = [{}]


def array(rng, shape, dtype):
    dtype = np.dtype(dtype)
    values = rng.gamma(2.0, 20.0, shape) + 40 * np.sin(np.arange(shape[-1]) / 5)
    if dtype.kind == "f":
        return (values / (200 if dtype.itemsize == 8 else 1)).astype(dtype).clip(-0.9 if dtype.itemsize == 8 else None)
    if dtype.kind == "b":
        return values > 60
    limits = np.iinfo(dtype)
    return (
        (values * (1 if dtype.itemsize < 4 else 2.0 ** (4 * dtype.itemsize))).clip(limits.min, limits.max).astype(dtype)
    )


def reference(array, *, axes=None, dtype=None, kernel_size=None, clip_limit=0.01, nbins=256):
    axes = tuple(range(array.ndim)) if axes is None else axes
    if array.dtype.kind == "f" and (np.abs(array) > 1).any():
        array = rescale_intensity(array, out_range=(0, 1))
    terms = {"kernel_size": kernel_size, "clip_limit": clip_limit, "nbins": nbins}
    moved = np.moveaxis(array, axes, range(array.ndim - len(axes), array.ndim))
    flat = moved.reshape(-1, *moved.shape[moved.ndim - len(axes) :])
    found = np.stack([equalize_adapthist(image, **terms) for image in flat]).reshape(moved.shape)
    found = np.moveaxis(found, range(array.ndim - len(axes), array.ndim), axes)
    if dtype == "uint8":
        return np.rint(found * 255).astype(dtype)
    wide = array.dtype in (np.int32, np.uint32, np.int64, np.uint64, np.float64)
    return found.astype(dtype or ("float64" if wide else "float32"))
