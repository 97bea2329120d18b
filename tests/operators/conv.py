"""The mirror of workers/operators/conv.py: NumPy's windows and sums, as PyTorch defines them (tests/networks)."""

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

RNG = np.random.default_rng(1)
PLANE, WIDE, CUBE, LINE = (RNG.normal(size=shape) for shape in ((2, 1, 3, 2), (4, 2, 3, 3), (6, 1, 2, 3, 2), (3, 5, 4)))
BIAS = RNG.normal(size=6)
EXAMPLES = [
    ({"weights": PLANE}, (5, 6, 7), "uint8"),
    (
        {"weights": WIDE, "bias": BIAS[:4], "stride": (2, 3), "padding": (1, 2), "groups": 2, "channel_axis": 1},
        (3, 4, 11, 13),
        "float32",
    ),
    ({"weights": CUBE, "bias": BIAS, "dilation": (1, 2, 3), "padding": "same", "groups": 3, "channel_axis": 0},
     (3, 5, 7, 9), "int16"),
    ({"weights": LINE, "stride": 2, "padding": 3, "padding_mode": "reflect", "channel_axis": 1}, (23, 5), "float64"),
    ({"weights": PLANE[:1], "padding_mode": "circular", "padding": 2, "dtype": "uint8"}, (7, 8), "uint8"),
]  # fmt: skip
TOLERANCE = 2e-6


def channels(shape):
    """Weights for an image whose first axis is that of channels."""
    return np.random.default_rng(0).normal(size=(8, shape[0], *(3,) * (len(shape) - 1)))


TIMED = [
    {"weights": RNG.normal(size=(8, 1, 3, 3)), "padding": "same"},
    {"weights": channels, "padding": "same", "channel_axis": 0},
]
PLANTED = [("correlate.cu", "sum[q][r] = bias[o];", "sum[q][r] = 0 * bias[o];")]
PAD = {"zeros": "constant", "reflect": "reflect", "replicate": "edge", "circular": "wrap"}


def reference(array, *, dtype=None, **fields):
    out = np.dtype(dtype or ("f8" if array.dtype == np.float64 else "f4"))
    found = sums(array.astype(np.float64), **fields)
    return found.round().clip(0, 255).astype(out) if out.kind == "u" else found.astype(out)


def sums(x, *, weights, bias=None, channel_axis=None, groups=1, **fields):
    kernel = weights.shape[2:]
    if channel_axis is None:
        found = sums(x[None], weights=weights, bias=bias, channel_axis=0, **fields)
        return found[0] if len(found) == 1 else found
    x = np.moveaxis(x, channel_axis, -1 - len(kernel))  # (..., channels, *space)
    parts = zip(np.split(x, groups, -1 - len(kernel)), np.split(weights, groups), strict=True)
    found = np.concatenate([one(part, of, **fields) for part, of in parts], -1 - len(kernel))
    if bias is not None:
        found += bias.reshape(-1, *[1] * len(kernel))
    return np.moveaxis(found, -1 - len(kernel), channel_axis)


def one(x, weights, stride=1, padding=0, dilation=1, padding_mode="zeros"):
    kernel = weights.shape[2:]
    d = len(kernel)
    stride, dilation = (np.broadcast_to(value, d) for value in (stride, dilation))
    reach = dilation * (np.array(kernel) - 1)
    pads = [(n // 2, n - n // 2) for n in reach] if padding == "same" else [(n, n) for n in np.broadcast_to(padding, d)]
    x = np.pad(x, [(0, 0)] * (x.ndim - d) + pads, PAD[padding_mode])
    view = sliding_window_view(x, tuple(reach + 1), tuple(range(-d, 0)))
    steps = tuple(slice(None, None, n) for n in stride)
    view = view[(..., *steps, *(slice(None, None, n) for n in dilation))]
    letters, taps = "xyz"[:d], "uvw"[:d]
    return np.einsum(f"...c{letters}{taps},oc{taps}->...o{letters}", view, weights)
