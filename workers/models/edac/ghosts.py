"""What is beyond the grid's faces on the CPU, compiled by Numba; it releases the GIL."""

from __future__ import annotations

from numba import njit

from gridstride.workers.models.domain import CUT, PERIODIC
from gridstride.workers.models.edac.kinds import FIXED, OUTFLOW

# Without fused multiply-adds: of a sum of two products it is the compiler's choice which is rounded, and in a loop that
# it makes several versions of, for blocks at one face of the grid or at both, it chooses more than once. Said outright,
# for else the options of the function that calls are taken.
PLAIN = {"nogil": True, "cache": True, "fastmath": False}


@njit(**PLAIN)
def fill(array, axis, fields, box, edges, kinds, faces, ramp):
    """Fill `fields` (first, last) of array (fields, z, y, x) beyond the grid's two faces on an axis (0 z, 1 y, 2 x).

    box: ((first, last) of z, of y, of x), where on the other two axes
    edges: local positions of the grid's indices 0 and n on the axis; kinds: (3, 2), what is beyond each face
    faces: given velocities of both faces, (components, one axis, other axis) in the array's positions; an axis of
        length 1 holds for all. ramp: what they are multiplied by

    A velocity normal to a face lies on it, everything else half a cell to both sides. With the value inside, and the
    one a cell deeper:
        normal     on the face   = sign * inside + given     sign 0, or 1 for outflow
        the rest   in the ghost  = sign * inside             sign 1, or -1 for outflow's p
        given      in the ghost  = deeper / 3 - 2 inside + 8/3 given: on a parabola through the face
    """
    low, high = kinds[axis, 0], kinds[axis, 1]
    if low == CUT and high == CUT:
        return
    components = array.shape[0] - 1
    strides = (array.shape[2] * array.shape[3], array.shape[3], 1)
    along = strides[axis]
    one, other = (1 if axis == 0 else 0), (1 if axis == 2 else 2)
    flat = array.reshape(-1)
    zero, unit = array.dtype.type(0), array.dtype.type(1)
    third, eight_thirds = array.dtype.type(1 / 3), array.dtype.type(8 / 3)
    for field in range(fields[0], fields[1]):
        normal, velocity = field == 2 - axis, field < components
        signs, bent = (unit, unit), False
        if normal and velocity:
            signs = (unit if low == OUTFLOW else zero, unit if high == OUTFLOW else zero)
        elif velocity:
            signs, bent = (-unit if low == FIXED else unit, -unit if high == FIXED else unit), edges[1] - edges[0] > 1
        else:
            signs = (-unit if low == OUTFLOW else unit, -unit if high == OUTFLOW else unit)
        normal = normal and velocity
        scale = ramp * eight_thirds if bent else ramp if normal else ramp + ramp
        for i in range(box[one][0], box[one][1]):
            for j in range(box[other][0], box[other][1]):
                start = field * array.shape[1] * strides[0] + i * strides[one] + j * strides[other]
                a, b = start + edges[0] * along, start + edges[1] * along
                if low == PERIODIC:
                    flat[a - along] = flat[b - along]
                    flat[b] = flat[a]
                    continue
                given_low = given_high = zero
                if velocity and low == FIXED:
                    face = faces[0]
                    given_low = scale * face[field, min(i, face.shape[1] - 1), min(j, face.shape[2] - 1)]
                if velocity and high == FIXED:
                    face = faces[1]
                    given_high = scale * face[field, min(i, face.shape[1] - 1), min(j, face.shape[2] - 1)]
                if low != CUT and normal:
                    flat[a] = signs[0] * flat[a + along] + given_low
                    flat[a - along] = (flat[a] + flat[a]) - flat[a + along]
                elif low == FIXED and bent:
                    flat[a - along] = (third * flat[a + along] - (flat[a] + flat[a])) + given_low
                elif low != CUT:
                    flat[a - along] = signs[0] * flat[a] + given_low
                if high == FIXED and bent:
                    flat[b] = (third * flat[b - along - along] - (flat[b - along] + flat[b - along])) + given_high
                elif high != CUT:
                    flat[b] = signs[1] * flat[b - along] + given_high
