"""The mirror of workers/operators/avg_pool.py: NumPy's windows, as PyTorch has them (tests/networks)."""

import numpy as np

from tests.operators.max_pool import over

EXAMPLES = [
    ({"kernel_size": 2}, (5, 6, 7), "uint8"),
    ({"kernel_size": (3, 2), "stride": (1, 3), "padding": 1, "channel_axis": 1}, (9, 3, 11), "float32"),
    ({"kernel_size": 3, "padding": 1, "stride": 2, "count_include_pad": False}, (13, 11), "float64"),
    ({"kernel_size": 3, "stride": 2, "ceil_mode": True, "axes": (1, 2), "dtype": "int16"}, (2, 8, 10, 3), "int16"),
]
TOLERANCE = 1e-7
TIMED = [{"kernel_size": 2}, {"kernel_size": 3, "stride": 1, "padding": 1}]
PLANTED = [("layers.cu", "divisor *= counts[", "divisor = counts[")]


def array(rng, shape, dtype):
    return rng.integers(-100, 100, shape).astype(dtype) if dtype != "uint8" else rng.integers(0, 200, shape, dtype)


def reference(array, count_include_pad=True, **fields):
    """Means of what exists, of zeros in the padding too; windows that reach beyond the padding are of less."""
    axes = fields.get("axes", [n for n in range(array.ndim) if n != fields.get("channel_axis")])
    pads = dict(zip(axes, np.broadcast_to(fields.get("padding", 0), len(axes)), strict=True))
    whole = fields | {"padding": 0}
    if count_include_pad:
        array, grown = np.pad(array, [(pads.get(n, 0),) * 2 for n in range(array.ndim)]), whole
    else:
        grown = fields
    out = np.dtype(fields.get("dtype") or ("f8" if array.dtype == np.float64 else "f4"))
    found = over(array, grown | {"dtype": "f8"}, np.nan, np.nanmean)
    return found.round().astype(out) if out.kind == "i" else found.astype(out)
