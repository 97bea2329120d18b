"""The EDAC scheme along a run of cells, compiled by Numba; all release the GIL. `loops` makes steps of them.

A change here is seen by `loops` only when Numba's cache of that file is gone too: delete __pycache__.
"""

from __future__ import annotations

import numpy as np
from numba import njit

COMPILE = {"nogil": True, "cache": True, "fastmath": {"contract"}}
MAGNITUDE = 2**63 - 1  # all bits but the sign's
ONE = np.uint64(1)

# first, n: the cells of a run, in the block's plane; the ring's planes begin `back` elements later. Elements are
# counted without a sign: else Numba would look for negative indices. Coefficients (a tuple an axis, x first):
#   c = dt / 4h (convection), d = nu dt / h^2 (diffusion), g = dt / h (gradient), a = dt / 2h, k = c^2 dt / h


@njit(**COMPILE)
def velocity_run(first, n, back, width, u_new, v_new, w_new, u_now, v_now, w_now, u, v, w, p, ul, vl, wl, pl,
                  uh, vh, wh, c, d, g, force):  # fmt: skip
    """New velocities, on the low faces of each cell. ul, vl, wl, pl: in the plane below; uh, vh, wh: above."""
    c0, c1, c2 = c
    d0, d1, d2 = d
    for i in range(first, first + n):
        o = i - back
        west, east, south, north = o - ONE, o + ONE, o - width, o + width
        e = u[o]
        convection = c0 * ((e + u[east]) * u[east] - (u[west] + e) * u[west])
        convection += c1 * ((v[north - ONE] + v[north]) * u[north] - (v[west] + v[o]) * u[south])
        diffusion = d0 * ((u[west] + u[east]) - (e + e)) + d1 * ((u[south] + u[north]) - (e + e))
        if w is not None:
            convection += c2 * ((wh[west] + wh[o]) * uh[o] - (w[west] + w[o]) * ul[o])
            diffusion += d2 * ((ul[o] + uh[o]) - (e + e))
        u_new[i] = u_now[i] + ((diffusion - convection) - (g[0] * (p[o] - p[west]) - force[0]))
        e = v[o]
        convection = c0 * ((u[south + ONE] + u[east]) * v[east] - (u[south] + u[o]) * v[west])
        convection += c1 * ((e + v[north]) * v[north] - (v[south] + e) * v[south])
        diffusion = d0 * ((v[west] + v[east]) - (e + e)) + d1 * ((v[south] + v[north]) - (e + e))
        if w is not None:
            convection += c2 * ((wh[south] + wh[o]) * vh[o] - (w[south] + w[o]) * vl[o])
            diffusion += d2 * ((vl[o] + vh[o]) - (e + e))
        v_new[i] = v_now[i] + ((diffusion - convection) - (g[1] * (p[o] - p[south]) - force[1]))
        if w is not None:
            e = w[o]
            convection = c0 * ((ul[east] + u[east]) * w[east] - (ul[o] + u[o]) * w[west])
            convection += c2 * ((e + wh[o]) * wh[o] - (wl[o] + e) * wl[o])
            convection += c1 * ((vl[north] + v[north]) * w[north] - (vl[o] + v[o]) * w[south])
            diffusion = d0 * ((w[west] + w[east]) - (e + e)) + d2 * ((wl[o] + wh[o]) - (e + e))
            diffusion += d1 * ((w[south] + w[north]) - (e + e))
            w_new[i] = w_now[i] + ((diffusion - convection) - (g[2] * (p[o] - pl[o]) - force[2]))


@njit(**COMPILE)
def pressure_run(first, n, back, width, p_new, p_now, p, pl, ph, u, v, w, wh, a, d, k):
    """New p of n cells: u, v, w, wh are new velocities, in the block's plane and the one above; the rest as above."""
    a0, a1, a2 = a
    d0, d1, d2 = d
    k0, k1, k2 = k
    for i in range(first, first + n):
        o = i - back
        west, east, south, north = o - ONE, o + ONE, o - width, o + width
        e = p[o]
        carried = a0 * (u[i + ONE] * (p[east] + e) - u[i] * (p[west] + e))
        carried += a1 * (v[i + width] * (p[north] + e) - v[i] * (p[south] + e))
        diffusion = d0 * ((p[west] + p[east]) - (e + e)) + d1 * ((p[south] + p[north]) - (e + e))
        divergence = k0 * (u[i + ONE] - u[i]) + k1 * (v[i + width] - v[i])
        if w is not None:
            carried += a2 * (wh[i] * (ph[o] + e) - w[i] * (pl[o] + e))
            diffusion += d2 * ((pl[o] + ph[o]) - (e + e))
            divergence += k2 * (wh[i] - w[i])
        p_new[i] = p_now[i] + ((diffusion - carried) - divergence)


@njit(**COMPILE)
def extrapolate(now, before, ahead, out):
    """Values `ahead` of a step ahead, from two levels."""
    for i in range(len(now)):
        out[i] = now[i] + ahead * (now[i] - before[i])


@njit(**COMPILE)
def largest(row):
    """The largest magnitude in a row of numbers seen as integers; infinity and NaN are beyond all numbers."""
    found = row.dtype.type(0)
    for i in range(len(row)):
        found = max(found, row[i] & row.dtype.type(MAGNITUDE >> (64 - 8 * row.itemsize)))
    return found
