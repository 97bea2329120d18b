"""What a sponge does to a plane of new values, compiled by Numba. `loops.advance` has the arguments.

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
def draw_to_stream(new, z, rows, columns, sponge, factor, ramp):
    """Draw new velocities in a sponge to those of the stream, but for those that a solid touches.

    No slices: each would be counted, which takes longer than the few cells of a row that lie in a sponge.
    """
    factors, quiet, stream, axis = sponge
    height, width = new.shape[2:]
    flat, shares = new.reshape(-1), factor.reshape(-1)
    across = factors[2]
    last_one, last_other = stream.shape[1] - 1, stream.shape[2] - 1
    each = axis < 2 and last_other > 0
    for component in range(stream.shape[0]):
        k = 1 if component == 0 else 0
        at_z = factors[0][1 if component == 2 else 0, z]
        for y in range(rows[0], rows[1]):
            start = ((component * new.shape[1] + z) * height + y) * width
            beside = at_z * factors[1][1 if component == 1 else 0, y]
            one = min(y if axis == 0 else z, last_one)
            wanted = ramp * stream[component, one, min(y, last_other) if axis == 2 else 0]
            for part in range(2):
                begin, end = (columns[0], columns[1]) if beside < 1 else (columns[0], min(columns[1], quiet[2, 0]))
                if part == 1:
                    begin, end = (0, 0) if beside < 1 else (max(columns[0], quiet[2, 1]), columns[1])
                if shares.size == 0 and not each:
                    for x in range(begin, end):
                        flat[start + x] = wanted + (flat[start + x] - wanted) * (beside * across[k, x])
                    continue
                for x in range(begin, end):
                    if each:
                        wanted = ramp * stream[component, one, x]
                    if shares.size == 0 or shares[start + x] == 1:
                        flat[start + x] = wanted + (flat[start + x] - wanted) * (beside * across[k, x])
