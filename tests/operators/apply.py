"""The mirror of workers/operators/apply.py: kernels of the user's, from examples/kernels."""

from pathlib import Path

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

KERNELS = Path(__file__).parents[2] / "examples" / "kernels"
CONTRAST = str(KERNELS / "contrast.py:local_contrast")
PAD = {"reflect": "symmetric", "mirror": "reflect", "nearest": "edge", "wrap": "wrap", "constant": "constant"}
EXAMPLES = [
    ({"file": CONTRAST, "halo": 1}, (7, 9, 11), "uint8"),
    ({"file": CONTRAST, "halo": (2, 1), "param": {"gain": 2}, "mode": ("wrap", "constant"), "cval": 3}, (9, 8), "int8"),
    ({"file": CONTRAST, "halo": 2, "axes": (2, 0), "mode": "mirror", "dtype": "float64"}, (8, 3, 9), "float32"),
    ({"file": CONTRAST, "halo": 1, "iterations": 3, "mode": "nearest"}, (11, 10), "int32"),
    ({"file": CONTRAST, "halo": 4, "param": {"gain": 50.0}, "dtype": "int16", "mode": "wrap"}, (3, 17), "bool"),
]  # fmt: skip
TIMED = [{"file": CONTRAST, "halo": 1}]
TOLERANCE = 2e-6
PLANTED = [("elementwise.cu", "return cast_to<Out>(v, 0);", "return cast_to<Out>(v, 1);")]


def reference(array, *, file, halo, param=None, mode="reflect", cval=0, axes=None, iterations=1, dtype=None):
    """Local contrast by the mean and the standard deviation of each window, in float64."""
    axes = tuple(range(array.ndim)) if axes is None else axes
    halo, mode = ([v] * len(axes) if isinstance(v, int | str) else v for v in (halo, mode))
    for _ in range(iterations):
        padded = array
        for axis, h, m in zip(axes, halo, mode, strict=True):
            widths = [(h, h) if a == axis else (0, 0) for a in range(array.ndim)]
            padded = np.pad(padded, widths, PAD[m], **({"constant_values": cval} if m == "constant" else {}))
        for axis, h, m in zip(axes, halo, mode, strict=True):
            if m == "constant":  # outside on one axis is outside, whatever the others say
                outside = np.ones(padded.shape[axis], bool)
                outside[h : h + array.shape[axis]] = False
                padded[(slice(None),) * axis + (outside,)] = cval
        windows = sliding_window_view(padded.astype(float), [2 * h + 1 for h in halo], axes)
        inner = tuple(range(array.ndim, windows.ndim))
        found = (array - windows.mean(inner)) / (windows.std(inner) + 1) * (param or {}).get("gain", 1)
        array = found.astype("float32")
    if dtype is None or dtype == "float32":
        return array
    return np.rint(array).astype(dtype) if np.dtype(dtype).kind == "i" else array.astype(dtype)
