"""The mirror of workers/operators/max_pool.py: NumPy's windows, as PyTorch has them (tests/networks)."""

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

EXAMPLES = [
    ({"kernel_size": 2}, (5, 6, 7), "uint8"),
    ({"kernel_size": (3, 2), "stride": (1, 3), "padding": 1, "channel_axis": 1}, (9, 3, 11), "float32"),
    ({"kernel_size": 3, "dilation": 2, "padding": 1, "stride": 2}, (13, 11), "float64"),
    ({"kernel_size": 3, "stride": 2, "ceil_mode": True, "axes": (1, 2), "dtype": "int16"}, (2, 8, 10, 3), "int16"),
]
TIMED = [{"kernel_size": 2}, {"kernel_size": 3, "stride": 1, "padding": 1}]
PLANTED = [("layers.cu", "t * g.dilation[axis]", "t")]


def array(rng, shape, dtype):
    values = rng.integers(-100, 100, shape).astype(dtype)
    if dtype[0] == "f":
        values.flat[::17] = np.nan
    return values


def reference(array, **fields):
    return over(array, fields, -np.inf, lambda view, axes: view.max(axes))


def over(array, fields, outside, make):
    """What is made of windows: in C order, those of the filtered axes last."""
    axes = fields.get("axes", [n for n in range(array.ndim) if n != fields.get("channel_axis")])
    size = np.broadcast_to(fields["kernel_size"], len(axes))
    stride = np.broadcast_to(fields.get("stride", size), len(axes))
    dilation = np.broadcast_to(fields.get("dilation", 1), len(axes))
    pads = np.broadcast_to(fields.get("padding", 0), len(axes))
    reach = dilation * (size - 1) + 1
    around, extents = [(0, 0)] * array.ndim, []
    for number, axis in enumerate(axes):
        rest, pad = array.shape[axis] + 2 * pads[number] - reach[number], pads[number]
        extent = -(-rest // stride[number]) + 1 if fields.get("ceil_mode") else rest // stride[number] + 1
        extent -= (extent - 1) * stride[number] >= array.shape[axis] + pad
        extents.append(extent)
        around[axis] = (pad, max(pad, (extent - 1) * stride[number] + reach[number] - array.shape[axis] - pad))
    out = np.dtype(fields.get("dtype") or ("f8" if array.dtype == np.float64 else "f4"))
    padded = np.pad(array.astype(np.float64), around, constant_values=outside)
    view = sliding_window_view(padded, tuple(reach), tuple(axes))
    places: list = [slice(None)] * array.ndim + [slice(None, None, n) for n in dilation]
    for axis, extent, step in zip(axes, extents, stride, strict=True):
        places[axis] = slice(0, (extent - 1) * step + 1, step)
    return make(view[tuple(places)], tuple(range(-len(axes), 0))).astype(out)
