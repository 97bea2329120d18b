"""The mirror of workers/operators/binary_opening.py."""

import numpy as np

from tests.morphology import binary

L = np.array([[1, 1, 0, 1], [0, 1, 0, 0], [0, 1, 1, 1]])
EXAMPLES = [
    ({"iterations": 2, "border_value": 1}, (9, 12, 9), "bool"),
    ({"structure": L, "origin": (0, 1)}, (9, 20), "float32"),
    ({"connectivity": 2, "iterations": 2, "dtype": "uint8"}, (17, 21), "uint8"),
]
TIMED = [{"iterations": 1}, {"iterations": 5}]
PLANTED = [("minmax.cu", "best = key < best ? key : best;", "best = key;")]


def array(rng, shape, dtype):
    """Mostly other than 0; negative numbers too."""
    chosen = rng.random(shape) > 0.08
    values = rng.choice([2, 3] if np.dtype(dtype).kind == "u" else [-1, 2], shape)
    return (chosen * values).astype(dtype)


def reference(image, **options):
    return binary("opening", image, **options)
