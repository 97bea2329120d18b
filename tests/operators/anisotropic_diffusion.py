"""The mirror of workers/operators/anisotropic_diffusion.py."""

import numpy as np

EXAMPLES = [
    ({"kappa": 60.0, "iterations": 5}, (7, 9, 11), "uint8"),
    ({"kappa": 400, "iterations": 40, "conductance": "quadratic", "step": 0.25}, (13, 17), "float32"),
    ({"kappa": 300.0, "axes": (2, 0), "iterations": 4, "spacing": (0.5, 2.0)}, (6, 3, 19), "float64"),
    ({"kappa": 500, "iterations": 3, "dtype": "int16"}, (3, 4, 5, 9), "int16"),
    ({"kappa": 3e4, "iterations": 2, "step": 0.5}, (21,), "uint16"),
]
TOLERANCE = 3e-6
PLANTED = [
    ("diffusion.cu", "next >= g.window[axis]", "next >= g.window[axis] - 1"),
    ("diffusion.cu", "T(1) / (square + T(1))", "T(1) / (scaled + T(1))"),
    ("diffusion.cu", "p = fma(p, f, 2.402264791363012e-1f);", "p = fma(p, f, 2.40e-1f);"),
]
TIMED = [{"kappa": 30.0, "iterations": 20}]


def reference(array, *, kappa, iterations=10, conductance="exponential", step=None, spacing=1.0, axes=None, dtype=None):
    """In float64, by differences of whole arrays."""
    axes = tuple(range(array.ndim)) if axes is None else axes
    spacing = np.broadcast_to(spacing, len(axes)).astype(float)
    step = min(0.1, 0.3 / (spacing**-2).sum()) if step is None else step
    u = array.astype("float64")
    for _ in range(iterations):
        change = np.zeros_like(u)
        for axis, h in zip(axes, spacing, strict=True):
            slope = np.diff(u, axis=axis) / h
            share = np.exp(-((slope / kappa) ** 2)) if conductance == "exponential" else 1 / (1 + (slope / kappa) ** 2)
            ends = [(1, 1) if a == axis else (0, 0) for a in range(u.ndim)]
            change += np.diff(np.pad(share * slope, ends), axis=axis) / h
        u = u + step * change
    wide = array.dtype == np.float64 or (array.dtype.itemsize > 2 and array.dtype.kind in "iu")
    dtype = np.dtype(dtype or ("float64" if wide else "float32"))
    return (np.rint(u) if dtype.kind == "i" else u).astype(dtype)
