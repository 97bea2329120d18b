"""The mirror of workers/operators/structure_tensor_eigenvalues.py."""

from skimage.feature import structure_tensor, structure_tensor_eigenvalues

from tests.operators.hessian_eigenvalues import array, over_axes

EXAMPLES = [
    ({"sigma": 1.5}, (7, 9, 8), "float64"),
    ({"mode": "reflect"}, (13, 7), "uint8"),
    ({"sigma": (0.7, 2.0), "mode": "constant", "cval": 0.5}, (9, 8), "int16"),
    ({"sigma": 1.3, "mode": "mirror", "axes": (0, 2), "preserve_range": True, "dtype": "float64"}, (7, 3, 9), "uint16"),
]
TOLERANCE = 2e-6
PLANTED = [
    ("elementwise.cu", "return sum * v;", "return sum + v;"),
    ("symmetric.cu", "high = middle + root;", "high = middle;"),
]
TIMED = [{"sigma": 2}]
__all__ = ["array"]


def reference(array, *, axes=None, **fields):
    return over_axes(of, array, axes, **fields)


def of(array, *, sigma=1.0, mode="constant", cval=0, preserve_range=False, dtype=None):
    wide = array.dtype.itemsize > 4 or dtype == "float64"
    elements = structure_tensor(array.astype(float) if preserve_range else array, sigma, mode, cval)
    return structure_tensor_eigenvalues(elements).astype("f8" if wide else "f4")
