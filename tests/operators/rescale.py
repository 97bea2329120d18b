"""The mirror of workers/operators/rescale.py."""

import numpy as np
from skimage.exposure import rescale_intensity

from tests.operators.threshold import array as array

EXAMPLES = [
    ({}, (7, 9, 5), "uint8"),
    ({"in_range": (20, 100.5), "out_range": "uint12"}, (7, 11), "int16"),
    ({"percentiles": (2, 98), "out_range": "uint8"}, (11, 7), "float32"),
    ({"out_range": (255, 0), "per": (1,)}, (5, 3, 7), "float32"),
    ({"in_range": "image", "out_range": (-0.5, 2)}, (5, 7), "int64"),
    ({"in_range": "dtype", "out_range": "float"}, (5, 7), "uint16"),
]
PLANTED = [
    ("elementwise.cu", "v = v < F(0) ? ceil(v) : floor(v)", "v = rint(v)"),
    ("elementwise.cu", "* F(n[4]) + F(n[5])", "* F(n[4])"),
    ("elementwise.cu", "v = v < F(n[0]) ? F(n[0]) : v;", "v = v < F(n[0]) ? F(n[1]) : v;"),
]
TIMED = [{}, {"percentiles": (2, 98), "out_range": "uint8"}]


def reference(array, *, in_range="image", out_range="dtype", percentiles=None, per=None):
    if per is not None:
        parts = [reference(part, in_range=in_range, out_range=out_range) for part in np.moveaxis(array, per[0], 0)]
        return np.stack(parts, per[0])
    if percentiles is not None:
        in_range = tuple(np.percentile(array, percentiles))
    return rescale_intensity(array, in_range, out_range)
