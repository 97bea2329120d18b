"""The mirror of workers/operators/hessian_eigenvalues.py."""

import numpy as np
from skimage.feature import hessian_matrix, hessian_matrix_eigvals

EXAMPLES = [
    ({"sigma": 1.5}, (7, 9, 8), "float32"),
    ({"mode": "reflect"}, (13, 7), "uint8"),
    ({"sigma": (1.2, 2.0), "mode": "constant", "cval": 0.5}, (9, 8), "int16"),
    ({"sigma": 2, "preserve_range": True, "mode": "wrap", "dtype": "float64"}, (9, 5, 8), "uint16"),
    ({"sigma": 1.3, "mode": "mirror", "axes": (0, 2)}, (7, 3, 9), "float64"),
    ({"sigma": 1.5, "mode": "nearest"}, (23,), "float32"),
]
TOLERANCE = 2e-6
PLANTED = [
    ("symmetric.cu", "if (other > length) normal = v, length = other;", "if (other < length) normal = v;"),
    ("symmetric.cu", "far = last ? -far : far;", ""),
    ("symmetric.cu", "8 * x * x * x + r", "8 * x * x * x - r"),
    ("symmetric.cu", "low = middle - root;", "low = middle;"),
]
TIMED = [{"sigma": 2}]


def array(rng, shape, dtype):
    """With a part that is constant, and one that differs along one axis alone: double and triple roots."""
    values = rng.integers(0, 100, shape)
    values[: len(values) // 3] = 7
    return values.astype(dtype)


def reference(array, *, axes=None, **fields):
    return over_axes(of, array, axes, **fields)


def over_axes(compute, array, axes, **fields):
    """Slice by slice along the axes that are not filtered."""
    if axes is None or len(axes) == array.ndim:
        return compute(array, **fields)
    (other,) = set(range(array.ndim)) - set(axes)
    return np.stack([over_axes(compute, part, None, **fields) for part in np.moveaxis(array, other, 0)], other + 1)


def of(array, *, sigma=1.0, mode="constant", cval=0, preserve_range=False, dtype=None):
    wide = array.dtype.itemsize > 4 or dtype == "float64"
    elements = hessian_matrix(
        array.astype(float) if preserve_range else array, sigma, mode, cval, use_gaussian_derivatives=True
    )
    return hessian_matrix_eigvals(elements).astype("f8" if wide else "f4")
