"""The mirror of workers/operators/flatfield.py."""

import numpy as np

from tests.morphology import stored

RNG = np.random.default_rng(5)
FLAT, DARK = RNG.uniform(100, 200, (9, 35)), RNG.uniform(0, 20, (9, 35))
DARK[2, 3:9] = FLAT[2, 3:9]  # a zero divisor
EXAMPLES = [
    ({"flat": FLAT, "dark": DARK, "log": True}, (3, 9, 35), "uint8"),
    ({"flat": FLAT, "dark": DARK}, (5, 9, 35), "float32"),
    ({"flat": FLAT[:, :1], "dark": 12.5, "axes": (2, 0), "fill": -1}, (1, 5, 9, 3), "uint16"),
    ({"flat": DARK[:1], "log": True, "fill": 7}, (4, 35), "float64"),
    ({"flat": FLAT[0, :5], "dark": FLAT[1, :1], "dtype": "int16"}, (2, 3, 2, 2, 5), "int64"),
    ({"flat": [[2.0]], "log": True}, (31,), "bool"),
]
TOLERANCE = 1.2e-7  # NumPy's logarithm has other last bits, before it is rounded to float32
PLANTED = [
    ("flatfield.cu", "- dark[at])", "- dark[0])"),
    ("flatfield.cu", "v < smallest ? v * 0x1p54 : v", "v"),  # numbers below 2^-1022
    ("flatfield.cu", "if (v < 0) return infinity - infinity;", ""),
]


def even(shape):
    """A flat of the last axes of an image."""
    return np.linspace(900, 1100, shape[-1]) * np.ones((shape[-2] if len(shape) > 2 else 1, 1))


TIMED = [{"flat": even, "dark": 100.0}, {"flat": even, "dark": 100.0, "log": True}]


def fitting(fields, repeats):
    """The fields for an array that is repeated along its axes."""
    axes = fields.get("axes", range(len(repeats)))

    def longer(given):
        array = np.asarray(given)
        along = [repeats[axis] for axis in list(axes)[len(axes) - array.ndim :]] if array.ndim <= len(axes) else []
        return np.tile(array, [times if n > 1 else 1 for n, times in zip(array.shape, along, strict=False)])

    return fields | {name: longer(fields[name]) for name in ("flat", "dark") if name in fields}


def array(rng, shape, dtype):
    """Numbers on both sides of the dark ones; of the smallest that there are, and NaN and infinities."""
    values = rng.integers(0, 200, shape).astype(dtype)
    if values.dtype.kind == "f":
        flat = values.reshape(-1)
        flat[::7] = rng.random(len(flat[::7])) * np.finfo(dtype).tiny
        flat[3], flat[10], flat[17] = np.nan, np.inf, -np.inf
    return values


def reference(array, *, flat, dark=0, axes=None, log=False, fill=None, dtype=None):
    def spread(reference):
        reference = np.atleast_1d(np.asarray(reference, float))
        names = list(range(array.ndim)) if axes is None else list(axes)
        names = names[len(names) - reference.ndim :] if reference.ndim <= len(names) else names[:0]
        shape = np.ones(array.ndim, int)
        shape[names] = reference.shape if names else 1
        return reference.transpose(np.argsort(names)).reshape(shape) if names else reference.reshape(shape)

    flat, dark = spread(flat), spread(dark)
    with np.errstate(all="ignore"):
        result = (array.astype(float) - dark) / (flat - dark)
        result = -np.log(result) if log else result
        result = result if fill is None else np.where(flat == dark, fill, result)
        wide = array.dtype in (np.int32, np.uint32, np.int64, np.uint64, np.float64)
        return stored(result if wide else result.astype(np.float32), dtype)
