"""The mirror of workers/operators/bilateral.py."""

from itertools import product
from math import ceil

import numpy as np

from tests.cuda_host.table import NUMPY_PAD

EXAMPLES = [
    ({"sigma_color": 30.0, "sigma_spatial": 1.5, "radius": 2, "mode": "mirror"}, (9, 35), "float32"),
    ({"sigma_color": 60.0, "radius": (1, 2, 1), "sigma_spatial": (0.7, 1.5, 1.0), "mode": "wrap"}, (5, 6, 7), "uint8"),
    ({"sigma_color": 40.0, "size": (3, 4), "mode": "constant", "cval": 5, "axes": (0, 1)}, (7, 6, 3), "float64"),
    ({"sigma_color": 25.0, "sigma_spatial": 0.4, "spatial": 1, "dtype": "float32"}, (3, 41), "int32"),
]
TOLERANCE = 1e-6
PLANTED = [
    ("patches.cu", "rint(x), power", "rint(x) + 1, power"),
    ("patches.cu", "if (away <= most) {", "if (away < 1) {"),
]
TIMED = [{"sigma_color": 800.0, "sigma_spatial": 1.5, "radius": 4}]


def array(rng, shape, dtype):
    """Steps and noise; NaN and infinities among floating-point numbers."""
    values = 100 * (rng.random(shape) < 0.5) + 20 * rng.normal(size=shape) + 60
    if np.dtype(dtype).kind == "f":
        odd = rng.random(shape)
        for chance, value in ((0.02, np.nan), (0.04, np.inf), (0.06, -np.inf)):
            values[(odd < chance) & (odd > chance - 0.02)] = value
    else:
        values = values.clip(0, 250)
    return values.astype(dtype)


def reference(array, *, sigma_color, sigma_spatial=1.0, radius=None, size=None, mode="reflect", cval=0, **fields):
    """The sums, tap by tap, in float64."""
    axes = fields.get("axes") or range(array.ndim - fields.get("spatial", array.ndim), array.ndim)
    sigmas = np.broadcast_to(sigma_spatial, len(axes))
    radii = np.broadcast_to([ceil(3 * s) for s in sigmas] if radius is None else radius, len(axes))
    sizes = 2 * radii + 1 if size is None else np.broadcast_to(size, len(axes))
    before = sizes // 2
    spans = [(0, 0)] * array.ndim
    for axis, n, b in zip(axes, sizes, before, strict=True):
        spans[axis] = (int(b), int(n - 1 - b))
    values = array.astype(np.float64)
    more = {"constant_values": cval} if mode == "constant" else {}
    padded = np.pad(values, spans, NUMPY_PAD[mode], **more)
    total, weights = np.zeros(array.shape), np.zeros(array.shape)
    for taps in product(*(range(n) for n in sizes)):
        away = np.array(taps) - before
        if size is None and sum((a / max(r, 1)) ** 2 for a, r in zip(away, radii, strict=True)) > 1 + 1e-9:
            continue
        place = [slice(None)] * array.ndim
        for axis, k in zip(axes, taps, strict=True):
            place[axis] = slice(k, k + array.shape[axis])
        there = padded[tuple(place)]
        with np.errstate(invalid="ignore", over="ignore"):
            weight = np.exp(-((there - values) ** 2) / 2 / sigma_color**2 - ((away / sigmas) ** 2).sum() / 2)
        kept = np.isfinite(weight) & np.isfinite(there) & np.isfinite(values)
        total += np.where(kept, weight * np.where(kept, there, 0), 0)
        weights += np.where(kept, weight, 0)
    found = np.where(weights > 0, total / np.where(weights > 0, weights, 1), values)
    dtype = np.dtype(fields.get("dtype", array.dtype))
    return found.astype(dtype) if dtype.kind == "f" else np.rint(found).astype(dtype)
