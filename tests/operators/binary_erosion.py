"""The mirror of workers/operators/binary_erosion.py."""

import numpy as np

from tests.morphology import binary

L = np.array([[1, 1, 0, 1], [0, 1, 0, 0], [0, 1, 1, 1]])
EXAMPLES = [
    ({"iterations": 3}, (9, 20, 9), "bool"),
    ({"connectivity": 2, "iterations": 2, "border_value": 1}, (9, 21), "uint8"),
    ({"structure": L, "origin": (1, -1), "iterations": 2}, (9, 20), "float32"),
    ({"axes": (1,), "dtype": "uint8", "border_value": 1}, (3, 17), "int64"),
]
TIMED = [{"iterations": 1}, {"iterations": 5}]
PLANTED = [("elementwise.cu", "return v != In(0); }", "return v > In(0); }")]


def array(rng, shape, dtype):
    """Mostly other than 0; negative numbers too."""
    chosen = rng.random(shape) > 0.08
    values = rng.choice([2, 3] if np.dtype(dtype).kind == "u" else [-1, 2], shape)
    return (chosen * values).astype(dtype)


def reference(image, **options):
    return binary("erosion", image, **options)
