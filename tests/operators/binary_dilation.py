"""The mirror of workers/operators/binary_dilation.py."""

import numpy as np

from tests.morphology import binary

L = np.array([[1, 1, 0, 1], [0, 1, 0, 0], [0, 1, 1, 1]])
EXAMPLES = [
    ({"iterations": 2, "connectivity": 3}, (5, 11, 9), "bool"),
    ({"iterations": 5}, (15, 21), "uint16"),
    ({"footprint": L, "origin": (1, -1), "border_value": 1, "iterations": 2}, (9, 20), "float64"),
]
TIMED = [{"iterations": 1}, {"iterations": 5}]
PLANTED = [("minmax.cu", "K(K(key + more) ^ flip)", "K(key + more)")]


def array(rng, shape, dtype):
    """Mostly 0; negative numbers too."""
    chosen = rng.random(shape) > 0.92
    values = rng.choice([2, 3] if np.dtype(dtype).kind == "u" else [-1, 2], shape)
    return (chosen * values).astype(dtype)


def reference(image, **options):
    return binary("dilation", image, **options)
