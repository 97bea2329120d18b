"""The mirror of workers/operators/pad.py."""

import numpy as np

from tests.operators.median import array as array

EXAMPLES = [
    ({"width": 3, "cval": 7}, (4, 5, 6), "uint8"),
    ({"width": (9, 4), "mode": "reflect"}, (4, 3), "float32"),
    ({"before": (2, 7), "mode": ("mirror", "wrap")}, (5, 3), "int64"),
    ({"before": 1, "after": (0, 5), "axes": (2, 0), "mode": "nearest"}, (3, 2, 4), "bool"),
    ({"before": 30, "cval": 7}, (4, 5), "uint16"),  # some blocks have nothing of the array
    ({"after": 11, "mode": "mirror"}, (4,), "float16"),
    ({"width": (8, 2), "cval": -2.5, "dtype": "float64"}, (3, 5), "float32"),
    ({"width": 5, "mode": ("constant", "mirror"), "cval": 3, "axes": (0, 2)}, (3, 2, 1), "uint64"),
]
PLANTED = [
    ("reindex.cu", "inside = inside && at >= 0;", ""),
    ("reindex.cu", ": constant;", ": T(constant + 1);"),
]
TIMED = [{"width": 4, "mode": "reflect"}]


def reference(array, *, width=0, before=0, after=0, mode="constant", cval=0.0, axes=None, dtype=None):
    """Axis by axis; outside on an axis of mode constant is outside, whatever the others say."""
    axes = tuple(range(array.ndim)) if axes is None else axes
    lows, highs, modes = (
        value if isinstance(value, tuple) else (value,) * len(axes) for value in (width or before, width or after, mode)
    )
    ordered = sorted(zip(modes, axes, lows, highs, strict=True), key=lambda one: one[0] == "constant")
    for one, axis, low, high in ordered:
        widths = [(low, high) if a == axis else (0, 0) for a in range(array.ndim)]
        name = {"reflect": "symmetric", "mirror": "reflect", "nearest": "edge"}.get(one, one)
        array = np.pad(array, widths, name, **({"constant_values": cval} if one == "constant" else {}))
    return array.astype(dtype or array.dtype)
