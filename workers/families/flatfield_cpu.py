"""Flat-field correction on the CPU: row by row, a piece at a time, so that numbers in float64 stay in cache."""

from __future__ import annotations

import numpy as np
from numba import njit

PIECE = 1024
# The logarithm of fdlibm (e_log.c, Sun Microsystems, 1993), below 1 unit in the last place from the exact one: the
# libraries' own have other last bits on other processors.
LN2_HIGH, LN2_LOW = 6.93147180369123816490e-01, 1.90821492927058770002e-10
L1, L2, L3, L4 = 6.666666666666735130e-01, 3.999999999940941908e-01, 2.857142874366239149e-01, 2.222219843214978396e-01
L5, L6, L7 = 1.818357216161805012e-01, 1.531383769920937332e-01, 1.479819860511658591e-01
HALF_ROOT = 0x3FE6A09E << 32  # of which the upper half of the bits of sqrt(2) / 2 are
ONE = 0x3FF00000 << 32
MANTISSA = (1 << 52) - 1
SMALLEST, SCALE = 2.0**-1022, 2.0**54  # normal number; what makes others normal


@njit(nogil=True, cache=True, error_model="numpy")
def minus_log(values, scaled, exponents):
    """Minus the natural logarithm, in place; scaled, exponents: as long, to work in."""
    bits = scaled.view(np.int64)
    for i in range(len(values)):
        scaled[i] = values[i] * SCALE if values[i] < SMALLEST else values[i]
    for i in range(len(values)):
        moved = bits[i] + (ONE - HALF_ROOT)
        exponents[i] = np.float64((moved >> 52) - 1023)
        bits[i] = (moved & MANTISSA) + HALF_ROOT
    for i in range(len(values)):
        v, f = values[i], scaled[i] - 1.0
        k = exponents[i] - 54.0 if v < SMALLEST else exponents[i]
        half = 0.5 * f * f
        s = f / (2.0 + f)
        z = s * s
        w = z * z
        rest = z * (L1 + w * (L3 + w * (L5 + w * L7))) + w * (L2 + w * (L4 + w * L6))
        found = s * (half + rest) + k * LN2_LOW - half + f + k * LN2_HIGH
        found = found if v < np.inf else v  # infinity and NaN
        found = found if v > 0.0 or v != v else (-np.inf if v == 0.0 else np.nan)
        values[i] = -found


@njit(nogil=True, cache=True, error_model="numpy")
def correct(data, rows, dark, divisor, log, filled, fill, out):
    """(data - dark) / divisor of each row, or minus its logarithm.

    data, out: (rows, n); rows: the row of the references, (m, n) in float64, for each of them
    """
    n = data.shape[1]
    values, scaled, exponents = np.empty((3, PIECE), np.float64)
    for row in range(len(data)):
        for first in range(0, n, PIECE):
            part = slice(first, min(n, first + PIECE))
            of, less, by, target = data[row, part], dark[rows[row], part], divisor[rows[row], part], out[row, part]
            v = values[: len(of)]
            for i in range(len(v)):
                v[i] = (np.float64(of[i]) - less[i]) / by[i]
            if log:
                minus_log(v, scaled[: len(v)], exponents[: len(v)])
            if filled:
                for i in range(len(v)):
                    target[i] = fill if by[i] == 0.0 else v[i]
            else:
                for i in range(len(v)):
                    target[i] = v[i]
