"""Symmetric matrices on the CPU; cuda/symmetric.cu has the same steps in the same order. Arrays are flat."""

from __future__ import annotations

from math import exp, sqrt

import numpy as np
from numba import njit

FLAT = 0.8660254037844386  # sqrt(3) / 2: the cosine at which the other two eigenvalues are farthest apart
TINY = 1e-300  # of a matrix: a smaller one is 0
SMALLEST = 1e-10  # of the eigenvalues that Frangi's measure divides by, as in scikit-image


@njit(inline="always", error_model="numpy")
def two(a, b, d):
    """The eigenvalues of (a b; b d), the larger first."""
    middle, half = (a + d) / 2, (a - d) / 2
    root = sqrt(b * b + half * half)
    return middle + root, middle - root


@njit(inline="always", error_model="numpy")
def cosine_of_third(r):
    """cos(acos(r) / 3) for 0 <= r <= 1, where it is at least sqrt(3) / 2: the root of 4 x^3 - 3 x = r, by Newton's
    method from the chord, which is within 0.007 of it. Three steps square that to below the rounding of float64."""
    x = FLAT + (1 - FLAT) * r
    for _ in range(3):
        x = (8 * x * x * x + r) / (12 * x * x - 3)
    return x


@njit(inline="always", error_model="numpy")
def three(a00, a01, a02, a11, a12, a22):
    """The eigenvalues of a symmetric matrix, the largest first; NaN where an element is not finite.

    O. K. Smith, "Eigenvalues of a symmetric 3 x 3 matrix", 1961, for the one that is farthest from the others; those
    are of the matrix on the plane normal to its eigenvector, so that a double root loses no digits (D. Eberly, "A
    robust eigensolver for 3 x 3 symmetric matrices", 2014). There is no branch in it, so that it is vectorised.
    """
    size = abs(a00) + abs(a01) + abs(a02) + abs(a11) + abs(a12) + abs(a22)
    inverse = 1 / (size if size > TINY else 1.0)
    a00, a01, a02 = a00 * inverse, a01 * inverse, a02 * inverse
    a11, a12, a22 = a11 * inverse, a12 * inverse, a22 * inverse
    mean = (a00 + a11 + a22) / 3
    a00, a11, a22 = a00 - mean, a11 - mean, a22 - mean
    spread = sqrt((a00 * a00 + a11 * a11 + a22 * a22 + 2 * (a01 * a01 + a02 * a02 + a12 * a12)) / 6)
    inverse = 1 / (spread if spread > 1e-150 else 1.0)
    a00, a01, a02 = a00 * inverse, a01 * inverse, a02 * inverse
    a11, a12, a22 = a11 * inverse, a12 * inverse, a22 * inverse
    det = a00 * (a11 * a22 - a12 * a12) - a01 * (a01 * a22 - a12 * a02) + a02 * (a01 * a12 - a11 * a02)
    half = abs(det) / 2
    far = 2 * cosine_of_third(half if half < 1 else 1.0)
    far = -far if det < 0 else far
    # The eigenvector: the longest of the cross products of the rows of the matrix less `far` times the identity.
    p, q, s = a00 - far, a11 - far, a22 - far
    x, y, z = a01 * a12 - a02 * q, a02 * a01 - p * a12, p * q - a01 * a01
    length = x * x + y * y + z * z
    x1, y1, z1 = a01 * s - a02 * a12, a02 * a02 - p * s, p * a12 - a01 * a02
    other = x1 * x1 + y1 * y1 + z1 * z1
    longer = other > length
    x, y, z = x1 if longer else x, y1 if longer else y, z1 if longer else z
    length = other if longer else length
    x1, y1, z1 = q * s - a12 * a12, a12 * a02 - a01 * s, a01 * a12 - q * a02
    other = x1 * x1 + y1 * y1 + z1 * z1
    longer = other > length
    x, y, z = x1 if longer else x, y1 if longer else y, z1 if longer else z
    length = other if longer else length
    inverse = 1 / sqrt(length if length > 0 else 1.0)
    x, y, z = x * inverse, y * inverse, z * inverse
    # u and v span the plane normal to it.
    wide = abs(x) > abs(y)
    root = x * x + z * z if wide else y * y + z * z
    inverse = 1 / sqrt(root if root > 0 else 1.0)
    ux, uy, uz = -z * inverse if wide else 0.0, 0.0 if wide else z * inverse, (x if wide else -y) * inverse
    vx, vy, vz = y * uz - z * uy, z * ux - x * uz, x * uy - y * ux
    bx = a00 * ux + a01 * uy + a02 * uz
    by = a01 * ux + a11 * uy + a12 * uz
    bz = a02 * ux + a12 * uy + a22 * uz
    cx = a00 * vx + a01 * vy + a02 * vz
    cy = a01 * vx + a11 * vy + a12 * vz
    cz = a02 * vx + a12 * vy + a22 * vz
    high, low = two(ux * bx + uy * by + uz * bz, vx * bx + vy * by + vz * bz, vx * cx + vy * cy + vz * cz)
    # All are equal where there is no spread; and what is not finite makes NaN.
    spread = spread if spread > 1e-150 else 0.0
    size = size if size > TINY else (0.0 if size == size else size)
    size = size if size < np.inf else np.nan
    far, high, low = size * (mean + spread * far), size * (mean + spread * high), size * (mean + spread * low)
    last = det < 0
    return high if last else far, low if last else high, far if last else low


@njit(nogil=True, cache=True, error_model="numpy")
def eigenvalues1(arrays, numbers, out):
    out[0] = arrays[0]


@njit(nogil=True, cache=True, error_model="numpy")
def eigenvalues2(arrays, numbers, out):
    a, b, d = arrays
    for i in range(len(a)):
        out[0, i], out[1, i] = two(np.float64(a[i]), np.float64(b[i]), np.float64(d[i]))


@njit(nogil=True, cache=True, error_model="numpy")
def eigenvalues3(arrays, numbers, out):
    a, b, c, d, e, f = arrays
    first, second, third = out[0], out[1], out[2]
    for i in range(len(a)):
        first[i], second[i], third[i] = three(
            np.float64(a[i]), np.float64(b[i]), np.float64(c[i]), np.float64(d[i]), np.float64(e[i]), np.float64(f[i])
        )


@njit(nogil=True, cache=True, error_model="numpy")
def frobenius2(arrays, numbers, out):
    a, b, d = arrays
    for i in range(len(a)):
        x, y, z = np.float64(a[i]), np.float64(b[i]), np.float64(d[i])
        out[0, i] = sqrt(x * x + z * z + 2 * (y * y))


@njit(nogil=True, cache=True, error_model="numpy")
def frobenius3(arrays, numbers, out):
    a, b, c, d, e, f = arrays
    for i in range(len(a)):
        a0, b0, c0 = np.float64(a[i]), np.float64(b[i]), np.float64(c[i])
        d0, e0, f0 = np.float64(d[i]), np.float64(e[i]), np.float64(f[i])
        out[0, i] = sqrt(a0 * a0 + d0 * d0 + f0 * f0 + 2 * (b0 * b0 + c0 * c0 + e0 * e0))


@njit(nogil=True, cache=True, error_model="numpy")
def sato2(arrays, numbers, out):
    a, b, d = arrays
    sign, sigma = numbers[0], numbers[1]
    for i in range(len(a)):
        high, _ = two(sign * a[i], sign * b[i], sign * d[i])
        out[0, i] = sigma * sigma * (0.0 if high < 0 else high)


@njit(nogil=True, cache=True, error_model="numpy")
def sato3(arrays, numbers, out):
    a, b, c, d, e, f = arrays
    sign, sigma = numbers[0], numbers[1]
    for i in range(len(a)):
        high, middle, _ = three(sign * a[i], sign * b[i], sign * c[i], sign * d[i], sign * e[i], sign * f[i])
        high, middle = 0.0 if high < 0 else high, 0.0 if middle < 0 else middle
        out[0, i] = sigma * sigma * sqrt(high * middle)


@njit(inline="always", error_model="numpy")
def at_least(value):
    """The value, NaN too, or the smallest that is divided by."""
    return SMALLEST if value < SMALLEST else value


@njit(inline="always", error_model="numpy")
def bell(value, width):
    return exp(-(value * value) / (2 * (width * width)))


@njit(nogil=True, cache=True, error_model="numpy")
def frangi2(arrays, numbers, out):
    """A. F. Frangi et al., "Multiscale vessel enhancement filtering", 1998, eq. 15; as scikit-image takes signs."""
    a, b, d = arrays
    sign, beta, gamma = numbers[0], numbers[2], numbers[3]
    for i in range(len(a)):
        high, low = two(sign * a[i], sign * b[i], sign * d[i])
        small, large = (low, high) if abs(low) < abs(high) else (high, low)
        blob = abs(small) / at_least(large)
        size = sqrt(high * high + low * low)
        out[0, i] = bell(blob, beta) * (1 - bell(size, gamma))


@njit(nogil=True, cache=True, error_model="numpy")
def frangi3(arrays, numbers, out):
    """Eq. 13 of the same."""
    a, b, c, d, e, f = arrays
    sign, alpha, beta, gamma = numbers[0], numbers[1], numbers[2], numbers[3]
    for i in range(len(a)):
        x, y, z = three(sign * a[i], sign * b[i], sign * c[i], sign * d[i], sign * e[i], sign * f[i])
        size = sqrt(x * x + y * y + z * z)
        # By magnitude, the smallest first; equal ones in the order that they have.
        if abs(y) < abs(x):
            x, y = y, x
        if abs(z) < abs(y):
            y, z = z, y
            if abs(y) < abs(x):
                x, y = y, x
        y, z = at_least(y), at_least(z)
        plate, blob = y / z, abs(x) / sqrt(y * z)
        out[0, i] = (1 - bell(plate, alpha)) * bell(blob, beta) * (1 - bell(size, gamma))


FORMULAS = {
    ("eigenvalues", 1): eigenvalues1,
    ("eigenvalues", 2): eigenvalues2,
    ("eigenvalues", 3): eigenvalues3,
    ("frobenius", 2): frobenius2,
    ("frobenius", 3): frobenius3,
    ("sato", 2): sato2,
    ("sato", 3): sato3,
    ("frangi", 2): frangi2,
    ("frangi", 3): frangi3,
}
