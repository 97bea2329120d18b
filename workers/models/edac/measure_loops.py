"""What is measured of a block on the CPU, compiled by Numba; all release the GIL. Arrays are as in `loops`.

Nothing here calls what is in `loops`, nor the other way round: Numba's cache does not see changes in another file.
"""

from __future__ import annotations

import numpy as np
from numba import njit


@njit(nogil=True, cache=True, fastmath={"contract", "reassoc", "nsz"})
def _measure_row(n, u, um, ul, v, vm, vp, vl, w, wm, wl, wh, h):
    """Sums over a row of n cells: |velocity|^2, |curl|^2, |grad|^2, u, v, w; and the largest |div|.

    Rows begin one cell before the first; um, vm, wm: at y-1; vp: at y+1; ul, vl, wl: at z-1; wh: at z+1. h: 1 / spacing
    """
    h0, h1, h2 = h
    speed = curl = slope = su = sv = sw = largest = 0.0
    for i in range(1, n + 1):
        a, b = np.float64(u[i]), np.float64(v[i])
        su += a
        sv += b
        speed += a * a + b * b
        ux, uy = (a - u[i - 1]) * h0, (a - um[i]) * h1
        vx, vy = (b - v[i - 1]) * h0, (b - vm[i]) * h1
        slope += ux * ux + uy * uy + vx * vx + vy * vy
        curl += (vx - uy) * (vx - uy)
        div = (np.float64(u[i + 1]) - a) * h0 + (np.float64(vp[i]) - b) * h1
        if w is not None:
            c = np.float64(w[i])
            sw += c
            speed += c * c
            uz, vz = (a - ul[i]) * h2, (b - vl[i]) * h2
            wx, wy, wz = (c - w[i - 1]) * h0, (c - wm[i]) * h1, (c - wl[i]) * h2
            slope += uz * uz + vz * vz + wx * wx + wy * wy + wz * wz
            curl += (wy - vz) * (wy - vz) + (uz - wx) * (uz - wx)
            div += (np.float64(wh[i]) - c) * h2
        largest = max(largest, abs(div))
    return speed, curl, slope, su, sv, sw, largest


@njit(nogil=True, cache=True, fastmath={"contract"})
def measure(now, before, box, h, sums, largest):
    """Sums over each plane of a block's own cells (of z, or of y where there is one plane): sums (planes, 6) as in
    `_measure_row`; largest (4 + components): |div|, |velocity|, each component, |p|, and |velocity - before|."""
    planar, p = now.shape[0] == 3, now.shape[0] - 1
    (z0, z1), (y0, y1), (x0, x1) = box
    n = x1 - x0
    for z in range(z0, z1):
        for y in range(y0, y1):
            u, v = now[0, z], now[1, z]
            if planar:
                row = _measure_row(n, u[y, x0 - 1 :], u[y - 1, x0 - 1 :], None, v[y, x0 - 1 :],
                                   v[y - 1, x0 - 1 :], v[y + 1, x0 - 1 :], None, None, None, None, None, h)  # fmt: skip
            else:
                w = now[2, z]
                ul, vl, wl, wh = now[0, z - 1], now[1, z - 1], now[2, z - 1], now[2, z + 1]
                row = _measure_row(n, u[y, x0 - 1 :], u[y - 1, x0 - 1 :], ul[y, x0 - 1 :], v[y, x0 - 1 :],
                                   v[y - 1, x0 - 1 :], v[y + 1, x0 - 1 :], vl[y, x0 - 1 :], w[y, x0 - 1 :],
                                   w[y - 1, x0 - 1 :], wl[y, x0 - 1 :], wh[y, x0 - 1 :], h)  # fmt: skip
            plane = y - y0 if planar else z - z0
            for quantity in range(6):
                sums[plane, quantity] += row[quantity]
            largest[0] = max(largest[0], row[6])
            for x in range(x0, x1):
                square = change = 0.0
                for component in range(p):
                    value = np.float64(now[component, z, y, x])
                    square += value * value
                    change += (value - np.float64(before[component, z, y, x])) ** 2
                    largest[2 + component] = max(largest[2 + component], abs(value))
                largest[1] = max(largest[1], square)
                largest[2 + p] = max(largest[2 + p], abs(np.float64(now[p, z, y, x])))
                largest[3 + p] = max(largest[3 + p], change)
    largest[1], largest[3 + p] = np.sqrt(largest[1]), np.sqrt(largest[3 + p])
