"""The mirror of workers/operators/nl_means.py."""

import warnings

import numpy as np
from skimage.restoration import denoise_nl_means

EXAMPLES = [
    ({"patch_size": 3, "patch_distance": 2, "h": 0.3}, (5, 6, 18), "float32"),
    ({"patch_size": 5, "patch_distance": 4, "h": 0.4, "sigma": 0.05}, (19, 13), "float64"),
    ({"patch_size": 4, "patch_distance": 2, "h": 0.3, "axes": (0, 2)}, (17, 3, 11), "uint8"),
    ({"patch_size": 7, "patch_distance": 3, "h": 30, "preserve_range": True, "dtype": "uint16"}, (9, 8), "uint16"),
]
TOLERANCE = 5e-6
PLANTED = [
    ("patches.cu", "y == r ? line : total[r] + line", "line"),
    ("patches.cu", "back = way % 2 ? shift : 0", "back = 0"),
]
TIMED = [{"patch_size": 3, "patch_distance": 3, "h": 300.0, "preserve_range": True}]


def array(rng, shape, dtype):
    """Stripes and noise, from 0 to 1 or to the largest of small integers."""
    places = np.meshgrid(*(np.arange(n) for n in shape), indexing="ij")
    values = (0.5 + 0.3 * np.sin(sum(places) * 0.9) + 0.15 * rng.normal(size=shape)).clip(0, 1)
    return (values * 250 if np.dtype(dtype).kind in "iu" else values).astype(dtype)


def reference(array, *, axes=None, dtype=None, preserve_range=False, **fields):
    values = array.astype(np.float64)
    if array.dtype.kind in "iu" and not preserve_range:
        values /= np.iinfo(array.dtype).max
    wanted = np.dtype(dtype or (np.float64 if array.dtype == np.float64 else np.float32))
    slices = [values] if axes is None else np.moveaxis(values, [n for n in range(array.ndim) if n not in axes], [0])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found = [denoise_nl_means(part, fast_mode=True, preserve_range=True, **fields) for part in slices]
    other = next((n for n in range(array.ndim) if axes is not None and n not in axes), 0)
    whole = found[0] if axes is None else np.stack(found, other)
    return whole.astype(wanted) if wanted.kind == "f" else np.rint(whole).astype(wanted)
