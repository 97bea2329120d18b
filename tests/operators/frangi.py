"""The mirror of workers/operators/frangi.py."""

from skimage import filters

from tests.operators.sato import array, of

EXAMPLES = [
    ({"sigmas": (1.5, 2)}, (7, 9, 8), "float32"),
    ({"black_ridges": False, "sigmas": (3, 1, 2)}, (13, 9), "uint8"),
    ({"sigmas": 2, "gamma": 4, "beta": 0.7, "mode": "constant", "cval": 50, "black_ridges": False}, (9, 8), "int16"),
    ({"sigmas": 1.2, "mode": "wrap", "axes": (0, 2), "gamma": 5}, (7, 3, 9), "float64"),
    ({"sigmas": (1, 2), "alpha": 0.8, "beta": 0.3, "gamma": 9.5, "mode": "mirror"}, (5, 6, 7), "uint16"),
]
TOLERANCE = 5e-6
PLANTED = [
    ("symmetric.cu", "magnitude(eigen[k + 1]) < magnitude(eigen[k])", "eigen[k + 1] < eigen[k]"),
    ("symmetric.cu", "line * bell(blob, beta)", "line * bell(blob, beta + 1)"),
    ("symmetric.cu", "diagonal + 2 *", "diagonal +"),
]
TIMED = [{"sigmas": (1, 2), "gamma": 20}]
__all__ = ["array"]


def reference(array, **fields):
    return of(filters.frangi, array, **fields)
