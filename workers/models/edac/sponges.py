"""What a sponge does to a plane of new values, compiled by Numba; all release the GIL. `loops.advance` has the arguments.

A change here is seen by `loops` only when Numba's cache of that file is gone too: delete __pycache__.
"""

from __future__ import annotations

from numba import njit

from gridstride.workers.models.edac.ghosts import PLAIN
from gridstride.workers.models.edac.runs import COMPILE


@njit(**COMPILE)
def damp_pressure(p, z, rows, columns, sponge):
    """Damp new pressure in a sponge."""
    factors, quiet = sponge[:2]
    for y in range(rows[0], rows[1]):
        row, across = p[z, y], factors[0][0, z] * factors[1][0, y]
        for x in range(columns[0], columns[1] if across < 1 else min(columns[1], quiet[2, 0])):
            row[x] = row[x] * (across * factors[2][0, x])
        if across == 1:
            for x in range(max(columns[0], quiet[2, 1]), columns[1]):
                row[x] = row[x] * (across * factors[2][0, x])


@njit(**PLAIN)
def _draw_run(row, first, last, across, along, stream, at, factor, ramp):
    """Velocities of a row, drawn to the stream's: stream of one row, at its last position or at each (at: 0 or 1)."""
    for x in range(first, last):
        s = across * along[x]
        if s < 1 and (factor.size == 0 or factor[x] == 1):
            wanted = ramp * stream[x * at]
            row[x] = wanted + (row[x] - wanted) * s


@njit(**COMPILE)
def draw_to_stream(new, z, rows, columns, sponge, factor, ramp):
    """Draw new velocities in a sponge to those of the stream, but for those that a solid touches."""
    factors, quiet, stream, axis = sponge
    nothing = factor.reshape(-1)[:0]
    for component in range(stream.shape[0]):
        at_z = factors[0][1 if component == 2 else 0, z]
        along = factors[2][1 if component == 0 else 0]
        for y in range(rows[0], rows[1]):
            across = at_z * factors[1][1 if component == 1 else 0, y]
            one = min(y if axis == 0 else z, stream.shape[1] - 1)
            wanted = stream[component, one]
            at = 1 if axis < 2 and len(wanted) > 1 else 0
            if axis == 2:
                wanted = wanted[min(y, len(wanted) - 1) :]
            share = factor[component, z, y] if factor.size else nothing
            row = new[component, z, y]
            if across < 1:
                _draw_run(row, columns[0], columns[1], across, along, wanted, at, share, ramp)
                continue
            _draw_run(row, columns[0], min(columns[1], quiet[2, 0]), across, along, wanted, at, share, ramp)
            _draw_run(row, max(columns[0], quiet[2, 1]), columns[1], across, along, wanted, at, share, ramp)
