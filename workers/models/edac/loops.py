"""The EDAC scheme on the CPU: planes and steps, compiled by Numba; all release the GIL.

A step marches through the planes of a block, a strip of rows at a time that stays in the second-level cache. As soon as
the velocity of plane z is new, the pressure of the plane below can follow:

        plane      z-2        z-1         z         z+1
        velocity   new        new        new <----- now, before
        pressure   new        new <------ now, before

The innermost loops (`runs`) go along a run of cells: several rows with the ghost cells between them, which hold garbage
until they are refilled (`ghosts`). Every cell is computed by the same expression wherever its block begins and ends,
so the cut does not change a bit. Several threads share a block: each marches through planes (rows, in two dimensions)
of its own, and the pressure of its last one waits until the next thread's velocity is there.

Arrays are (fields, z, y, x) with fields u, v, w, p, or (fields, 1, y, x) with
fields u, v, p in two dimensions: there the march goes through rows, and arguments for z are None, whose terms Numba
leaves out.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from gridstride.workers.models.domain import CUT
from gridstride.workers.models.edac.ghosts import fill
from gridstride.workers.models.edac.kinds import EXTRA_HALO, FIXED, SLIP
from gridstride.workers.models.edac.runs import COMPILE, extrapolate, largest, pressure_run, velocity_run
from gridstride.workers.models.edac.sponges import damp_pressure, draw_to_stream
from gridstride.workers.models.threads import barrier

RUN = 2048  # cells: short rows would cost more to set up than to compute, long runs leave the first-level cache
# Of the extrapolated planes: with the rows that go by, the second-level cache holds twice as much.
STRIP_BYTES = 600_000
RING = 4  # extrapolated planes kept: pressure of plane z - 1 needs z - 2 to z, velocity of plane z one more


@njit(**COMPILE)
def flatten(plane):
    return plane.reshape(-1)


@njit(**COMPILE)
def _extrapolate_fields(now, before, ring, z, held, first):
    """Fields from `first` on half a step ahead, for convection and diffusion (Adams-Bashforth).
    held: (first, last) of the rows that the ring holds."""
    half, (top, bottom) = now.dtype.type(0.5), held
    for field in range(first, now.shape[0]):
        to = flatten(ring[field, z % RING])
        extrapolate(flatten(now[field, z, top:bottom]), flatten(before[field, z, top:bottom]), half, to)


@njit(**COMPILE)
def _extrapolate_plane(now, before, ring, z, held, lead):
    """All fields half a step ahead; as one more field, the pressure whose gradient drives the velocity."""
    p, (top, bottom) = now.shape[0] - 1, held
    _extrapolate_fields(now, before, ring, z, held, 0)
    to = flatten(ring[p + 1, z % RING])
    extrapolate(flatten(now[p, z, top:bottom]), flatten(before[p, z, top:bottom]), lead, to)


@njit(**COMPILE)
def _runs(rows, columns, width, y, top):
    """The run of cells that begins in row y: its first element in the plane, its length, how much later the ring
    begins than the plane, and the width, all without a sign; and the row after it."""
    end = min(rows[1], y + max(1, RUN // width))
    n = (end - y - 1) * width + columns[1] - columns[0]
    return np.uint64(y * width + columns[0]), np.uint64(n), np.uint64(top * width), np.uint64(width), end


@njit(**COMPILE)
def _velocity_plane(now, new, ring, z, rows, columns, top, c, d, g, force):
    """New velocities of rows and columns (first, last) of a plane; top: the first row that the ring holds."""
    width, here, below, above = now.shape[3], z % RING, (z - 1) % RING, (z + 1) % RING
    u, v, p = flatten(ring[0, here]), flatten(ring[1, here]), flatten(ring[-1, here])
    u_now, v_now, u_new, v_new = flatten(now[0, z]), flatten(now[1, z]), flatten(new[0, z]), flatten(new[1, z])
    if now.shape[0] == 4:
        ul, vl, wl = flatten(ring[0, below]), flatten(ring[1, below]), flatten(ring[2, below])
        uh, vh, wh = flatten(ring[0, above]), flatten(ring[1, above]), flatten(ring[2, above])
        w, w_now, w_new, pl = flatten(ring[2, here]), flatten(now[2, z]), flatten(new[2, z]), flatten(ring[-1, below])
    y = rows[0]
    while y < rows[1]:
        first, n, back, wide, y = _runs(rows, columns, width, y, top)
        if now.shape[0] == 3:
            velocity_run(first, n, back, wide, u_new, v_new, None, u_now, v_now, None, u, v, None, p, None, None, None,
                          None, None, None, None, c, d, g, force)  # fmt: skip
            continue
        velocity_run(first, n, back, wide, u_new, v_new, w_new, u_now, v_now, w_now, u, v, w, p, ul, vl, wl, pl,
                      uh, vh, wh, c, d, g, force)  # fmt: skip


@njit(**COMPILE)
def _pressure_plane(now, new, ring, z, rows, columns, top, a, d, k):
    """New pressure of rows and columns of a plane, from its new velocities."""
    width, here, below, above = now.shape[3], z % RING, (z - 1) % RING, (z + 1) % RING
    p, p_now, p_new = flatten(ring[-2, here]), flatten(now[-1, z]), flatten(new[-1, z])
    u, v = flatten(new[0, z]), flatten(new[1, z])
    y = rows[0]
    while y < rows[1]:
        first, n, back, wide, y = _runs(rows, columns, width, y, top)
        if now.shape[0] == 3:
            pressure_run(first, n, back, wide, p_new, p_now, p, None, None, u, v, None, None, a, d, k)
            continue
        pl, ph, w, wh = flatten(ring[-2, below]), flatten(ring[-2, above]), flatten(new[2, z]), flatten(new[2, z + 1])
        pressure_run(first, n, back, wide, p_new, p_now, p, pl, ph, u, v, w, wh, a, d, k)


@njit(**COMPILE)
def _apply_solids(new, z, rows, columns, factor, box, removed):
    """Multiply new velocities by the solids' factor, and add up what that removed from the block's own cells, by planes
    of z, or by rows where there is one plane."""
    own = box[0][0] <= z < box[0][1]
    by_rows = new.shape[0] == 3
    for component in range(factor.shape[0]):
        for y in range(rows[0], rows[1]):
            row, share = new[component, z, y], factor[component, z, y]
            mine = own and box[1][0] <= y < box[1][1]
            total = 0.0
            for x in range(columns[0], columns[1]):
                left = row[x] * share[x]
                if mine and box[2][0] <= x < box[2][1]:
                    total += np.float64(row[x]) - np.float64(left)
                row[x] = left
            if mine and by_rows:
                removed[y - box[1][0], component] = total
            elif mine:
                removed[z - box[0][0], component] += total


@njit(**COMPILE)
def _finish_pressure(new, z, rows, columns, edges, kinds, faces, ramp, sponge, whole):
    """What follows the new pressure of rows of a plane: sponge and ghost cells. whole: whether the plane is done."""
    pressure, every = (new.shape[0] - 1, new.shape[0]), (0, new.shape[3])
    if sponge[0][0].size:
        damp_pressure(new[pressure[0]], z, rows, columns, sponge)
    fill(new, 2, pressure, ((z, z + 1), rows, every), edges[2], kinds, faces[2], ramp)
    if whole:
        fill(new, 1, pressure, ((z, z + 1), rows, every), edges[1], kinds, faces[1], ramp)


@njit(**COMPILE)
def _march(now, before, new, bits, ring, first, last, ends, mine, alone, rows, box, edges, kinds, faces, ramp, numbers,
           factor, removed, sponge):  # fmt: skip
    """One step of a strip of rows, plane after plane; returns the largest velocity.

    first, last, ends: of each axis, where p begins and ends, and where velocity ends; mine: what of the planes (of the
    rows, in two dimensions) this thread computes; alone: whether that is all; rows: of velocity, (first, last).
    Pressure needs the next row's velocity: it is a row behind, and the strip that ends the block does one row more.
    The last one of planes or rows that are not alone is `_late`.
    """
    c, d, g, a, dp, k, force, lead = numbers
    fields, _, height, width = now.shape
    planar, velocities = fields == 3, (0, fields - 1)
    upmost = rows[1] == ends[1] and (alone or not planar)
    columns, own_columns, every = (first[2], ends[2]), (first[2], last[2]), (0, width)
    behind = (max(mine[0] if planar else first[1], rows[0] - 1), last[1] if upmost else rows[1] - 1)
    held = (max(0, rows[0] - 2), min(height, rows[1] + 1))
    planes = (first[0], ends[0]) if planar else mine
    fixed = kinds[0, 0] == FIXED or kinds[0, 0] == SLIP
    peak = bits.dtype.type(0)
    _extrapolate_plane(now, before, ring, planes[0], held, lead)
    if not planar:
        _extrapolate_plane(now, before, ring, planes[0] - 1, held, lead)
    for z in range(planes[0], planes[1] + (1 if alone and not planar else 0)):
        if z < planes[1]:
            if not planar:
                _extrapolate_plane(now, before, ring, z + 1, held, lead)
            _velocity_plane(now, new, ring, z, rows, columns, held[0], c, d, g, force)
            if factor.size:
                _apply_solids(new, z, rows, columns, factor, box, removed)
            if sponge[2].size:
                draw_to_stream(new, z, rows, columns, sponge, factor, ramp)
            fill(new, 2, velocities, ((z, z + 1), rows, every), edges[2], kinds, faces[2], ramp)
            if upmost or rows[0] == first[1]:
                fill(new, 1, velocities, ((z, z + 1), rows, every), edges[1], kinds, faces[1], ramp)
            for component in range(fields - 1):
                if component == 2 and fixed and z == edges[0, 0]:
                    continue  # given, and put in place below
                for y in range(rows[0], rows[1]):
                    peak = max(peak, largest(bits[component, z, y, columns[0] : columns[1]]))
        if not planar and ((z == first[0] + 1 and planes[0] == first[0]) or z == ends[0]):
            fill(new, 0, velocities, ((0, 0), rows, every), edges[0], kinds, faces[0], ramp)
        below = z if planar else z - 1
        if planes[0] <= below < last[0]:
            _pressure_plane(now, new, ring, below, behind, own_columns, held[0], a, dp, k)
            _finish_pressure(new, below, behind, own_columns, edges, kinds, faces, ramp, sponge, upmost)
    return peak


@njit(**COMPILE)
def _late(now, before, new, ring, first, last, mine, strip, edges, kinds, faces, ramp, numbers, sponge):
    """Pressure of this thread's last plane (last row, in two dimensions), from the velocities of two threads."""
    a, dp, k = numbers[3:6]
    fields, _, height, _ = now.shape
    planar, at = fields == 3, mine[1] - 1
    z, begin, end = (0, at, mine[1]) if planar else (at, first[1], last[1])
    if at >= last[1 if planar else 0]:
        return
    for y in range(begin, end, strip):
        rows = (y, min(y + strip, end))
        held = (max(0, y - 1), min(height, rows[1] + 1))
        for plane in range(z if planar else z - 1, z + (1 if planar else 2)):
            _extrapolate_fields(now, before, ring, plane, held, fields - 1)
        _pressure_plane(now, new, ring, z, rows, (first[2], last[2]), held[0], a, dp, k)
        whole = rows[1] == last[1] and not planar
        _finish_pressure(new, z, rows, (first[2], last[2]), edges, kinds, faces, ramp, sponge, whole)


def rows_at_a_time(shape, itemsize):
    """Rows of a strip, for a block's array (fields, z, y, x)."""
    fields, depth, _, width = shape
    return max(8, STRIP_BYTES // ((fields + 1) * (1 if depth == 1 else RING) * width * itemsize) - 3)


@njit(**COMPILE)
def advance(state, bits, slot, steps, box, edges, kinds, faces, ramps, c, d, g, a, dp, k, pushes, lead, factor, removed,
            sponge, limit, peaks, ring, part, parts, gate):  # fmt: skip
    """Advance a block by `steps` steps, or up to the first in which a velocity is beyond `limit`; returns how many.

    state: (3, fields, z, y, x), a ring of time levels, of which `slot` is now and the one before it before
    bits: the same memory as integers
    box: ((first, last) of z, of y, of x) of the block, local positions. Where more of the grid follows there is a halo
        of `steps` + EXTRA_HALO cells before and one more after, of which each step uses up one
    edges: (3, 2) local positions of the grid's indices 0 and n; kinds: (3, 2) what is beyond them
    faces: given velocities, low and high of z, of y, of x; ramps: (steps,) what these are multiplied by
    c, d, g, a, dp, k: coefficients, x first; pushes: (steps, 3), what the force adds to velocity
    lead: how much of a step ahead the pressure is taken that drives velocity
    factor: (components, z, y, x) what each new velocity is multiplied by; of size 0 where there is no solid
    removed: (planes, components) what the last step removed, summed over the block's own planes of z, or rows of y
        where there is one plane
    sponge: (what sound is multiplied by in a step, an array (2, positions) along z, y, x, at centres and low faces, of
        size 0 where there is none; (3, 2) where it is 1; given velocities of the inflow that velocity is drawn to, of
        size 0 if it is not; their axis)
    limit, peaks (parts, steps): largest velocity that each thread has seen, as bits
    ring: (fields + 1, RING, rows, x) scratch of this thread
    part, parts, gate: which of how many threads this is, each of which makes this call with two planes or more; where
        they wait for each other (`threads`)
    """
    fields, depth, height, width = state.shape[1:]
    planar, alone, turn = fields == 3, parts == 1, 0
    axis, strip = 1 if planar else 0, ring.shape[2] - 3
    velocities, pressure = (0, fields - 1), (fields - 1, fields)
    everywhere = ((0, depth), (0, height), (0, width))
    first, last, ends = np.empty(3, np.int64), np.empty(3, np.int64), np.empty(3, np.int64)
    for step in range(steps):
        now, before, new = state[slot], state[(slot + 2) % 3], state[(slot + 1) % 3]
        left, ramp = steps - 1 - step + EXTRA_HALO, ramps[step]
        numbers = (c, d, g, a, dp, k, (pushes[step, 0], pushes[step, 1], pushes[step, 2]), lead)
        # p is computed from first to last; velocity one further where more of the grid follows
        for i in range(3):
            first[i], last[i], ends[i] = box[i][0], box[i][1], box[i][1]
            if planar and i == 0:
                continue
            first[i], last[i], ends[i] = first[i] - left, last[i] + left, last[i] + left + 1
            if kinds[i, 0] != CUT:
                first[i] = max(first[i], edges[i, 0])
            if kinds[i, 1] != CUT:
                last[i], ends[i] = min(last[i], edges[i, 1]), min(ends[i], edges[i, 1])
        extent = ends[axis] - first[axis]
        mine = (first[axis] + extent * part // parts, first[axis] + extent * (part + 1) // parts)
        if factor.size and not planar:
            removed[max(0, mine[0] - box[0][0]) : max(0, mine[1] - box[0][0])] = 0.0
        peak = bits.dtype.type(0)
        begin, end = mine if planar else (first[1], ends[1])
        for y in range(begin, end, strip):
            rows = (y, min(y + strip, end))
            peak = max(peak, _march(now, before, new, bits[(slot + 1) % 3], ring, first, last, ends, mine, alone, rows,
                                    box, edges, kinds, faces, ramp, numbers, factor, removed, sponge))  # fmt: skip
        peaks[part, step] = peak
        if not alone:
            turn = barrier(gate, parts, turn)  # all velocities are new, and the pressure of each thread's first plane
            if turn < 0:
                return step
        if part == parts - 1 and not (alone and planar):
            fill(new, axis, velocities, everywhere, edges[axis], kinds, faces[axis], ramp)
        if not alone:
            _late(now, before, new, ring, first, last, mine, strip, edges, kinds, faces, ramp, numbers, sponge)
        if part == parts - 1 and not (alone and planar):
            fill(new, axis, pressure, everywhere, edges[axis], kinds, faces[axis], ramp)
        if not alone:
            turn = barrier(gate, parts, turn)
            if turn < 0:
                return step
        slot = (slot + 1) % 3
        for other in range(parts):
            peak = max(peak, peaks[other, step])
        if peak > limit:
            return step + 1
    return steps
