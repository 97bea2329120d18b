"""The mirror of workers/operators/flip.py."""

import numpy as np

from tests.operators.median import array as array

EXAMPLES = [
    ({"axes": (0, 2)}, (7, 9, 11), "uint8"),
    ({"axes": (1,)}, (3, 2200), "float32"),
    ({"axes": (0,)}, (5, 6), "int64"),
    ({"axes": (-1, 1)}, (3, 4, 5, 3), "bool"),
    ({"axes": (0,)}, (13,), "float16"),
    ({"axes": (0, 1)}, (5, 6), "uint16"),
]
PLANTED = [
    ("reindex.cu", "take_digit(rest, g.size[axis])]", "take_digit(rest, g.size[axis]) / 2]"),
    ("reindex.cu", "k * i64(blockDim.x);\n", "k;\n"),
    ("reindex.cu", "tables[g.table[5] + x]", "tables[g.table[5] + x - start + threadIdx.x]"),
]
TIMED = [{"axes": (0, 1)}, {"axes": (-1,)}]


def reference(array, *, axes):
    return np.flip(array, axes)
