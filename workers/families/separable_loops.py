"""The loops of a separable filter on the CPU, compiled by Numba.

    source          ring                       room                    out
    planes  ── z ─► the rows that y needs ── y ─► rows, padded ── x ─► rows

Several planes of results are made together, some rows at a time, so that all between source and out stays in the
nearest caches.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numba import njit

from gridstride.workers.families.separable_sums import INNER, across, store_rows, weigh
from gridstride.workers.families.separable_view import ROWS, TOGETHER
from gridstride.workers.vectors import lanes


class Shape(NamedTuple):
    """Sizes and distances in elements.

    planes, height, width: of a result
    rows, row, apart: of a plane of the source: how many, the elements of one that are used, from one to the next
    pitch, left: from one row to the next between passes, and what is free before it
    shift: from a row to the padded row
    out_plane, out_row: of the result, from one to the next
    """

    planes: int
    height: int
    width: int
    rows: int
    row: int
    apart: int
    pitch: int
    left: int
    shift: int
    out_plane: int
    out_row: int


class Work(NamedTuple):
    """Arrays to work in, which `separable_cpu` makes: loops that allocate nothing cannot fail, so that Numba counts
    hardly any references.

    ring: the rows of sums that y needs, the last of which are outside
    held: sums that stand for rows of the source, where some of those that are needed are outside
    room: the rows that x works on; edges: values beside one of them
    target: elements of a padded row that lie beside the row
    beside: the elements of the row whose values the first of these have; the others are outside
    owner, slot: the row in each slot of the ring, and the slot of each row, or -1
    places: where rows lie; jobs: (base, first place, target) of rows to be made
    """

    ring: np.ndarray
    held: np.ndarray
    room: np.ndarray
    edges: np.ndarray
    target: np.ndarray
    beside: np.ndarray
    owner: np.ndarray
    slot: np.ndarray
    places: np.ndarray
    jobs: np.ndarray


@njit(**INNER)
def pad(room, jobs, count, shift, outside, work):
    """Fill what lies beside each row. at, the first number of its job, is where the row begins in the room; it becomes
    where the padded row begins, at + shift. All is read before anything is written: there may be no place where the
    padded row is the row."""
    edges, target, beside = work.edges, work.target, work.beside
    for job in range(count):
        at = jobs[job, 0]
        for q in range(len(beside)):
            edges[q] = room[at + beside[q]]
        at += shift
        for q in range(len(beside)):
            room[at + target[q]] = edges[q]
        for q in range(len(beside), len(target)):
            room[at + target[q]] = outside
        jobs[job, 0], jobs[job, 1] = at, 0


@njit(**INNER)
def finish(room, jobs, count, x, shape, work, out):
    """The pass along x of the rows of the room that jobs name, and the results stored."""
    if len(x.weights):
        pad(room, jobs, count, shape.shift, x.outside, work)
        n = lanes(room)
        if out.kind == 0 and shape.width >= n:  # right into the result
            across(room, jobs, count, x, shape.width, out.same)
            return
        whole = (shape.width + n - 1) // n * n  # in place, where no vector may overlap the one before it
        for job in range(count):
            jobs[job, 2], jobs[job, 3] = jobs[job, 0], jobs[job, 2]
        across(room, jobs, count, x, whole, room)
        for job in range(count):
            jobs[job, 2] = jobs[job, 3]
    store_rows(room, jobs, count, shape.width, out)


@njit(**INNER)
def first(source, jobs, count, rows, z, shape, work, out, pitch):
    """Rows of the first pass. Where some of what they are made of is outside, all of it is gathered as sums."""
    if count == 0:
        return
    p, more = jobs[0, 1], rows + len(z.weights) - 1
    inside = True
    for q in range(p, p + more):
        inside = inside and z.places[q] >= 0
    if inside:
        weigh(source, jobs, count, rows, z.places, z, shape.row, out, pitch)
        return
    held, places = work.held, work.places[len(work.owner) :]
    for job in range(count):
        base = jobs[job, 0]
        for q in range(more):
            places[q] = q * shape.pitch
            for i in range(shape.row):  # one value of two types would be a float64 of both
                if z.places[p + q] >= 0:
                    held[q * shape.pitch + i] = source[base + z.places[p + q] + i]
                else:
                    held[q * shape.pitch + i] = z.outside
        jobs[job, 0], jobs[job, 1] = 0, 0
        weigh(held, jobs[job : job + 1], 1, rows, places, z, shape.row, out, pitch)


@njit(**INNER)
def find_rows(y, y0, count, pitch, work):
    """Where rows y0 .. y0 + count of the padded axis lie in the ring: work.places. Jobs for those to be made; how many:
    (row, 0, place). A slot more than have owners holds what is outside."""
    owner, slot, places, jobs = work.owner, work.slot, work.places, work.jobs
    slots = len(owner)
    for q in range(slots):
        places[q] = 0
    for p in range(y0, y0 + count):
        if y.places[p] >= 0 and slot[y.places[p]] >= 0:
            places[slot[y.places[p]]] = 1  # needed
    made = free = 0
    for p in range(y0, y0 + count):
        row = y.places[p]
        if row >= 0 and slot[row] < 0:
            while places[free] == 1:
                free += 1
            if owner[free] >= 0:
                slot[owner[free]] = -1
            owner[free], slot[row] = row, free
            jobs[made, 0], jobs[made, 2] = row, free * pitch
            made += 1
            free += 1
    for q in range(count):
        row = y.places[y0 + q]
        places[q] = (slots if row < 0 else slot[row]) * pitch
    return made


@njit(nogil=True, cache=True, error_model="numpy")
def passes(source, bases, z, y, x, shape, work, out):
    """out = the passes along z, y and x of each (planes, height, row) of the source; the i-th begins at bases[i, 0],
    its result at bases[i, 1]."""
    pitch, high = shape.pitch, min(ROWS, shape.height)
    ring, room, jobs = work.ring, work.room, work.jobs
    slots = len(work.owner)
    deep = (slots + 1) * pitch
    if slots:
        for g in range(min(TOGETHER, shape.planes)):
            ring[g * deep + slots * pitch : (g + 1) * deep] = y.outside
    for b in range(len(bases)):
        for z0 in range(0, shape.planes, TOGETHER):
            together = min(TOGETHER, shape.planes - z0)
            work.owner[:] = -1
            work.slot[:] = -1
            for y0 in range(0, shape.height, high):
                count = min(high, shape.height - y0)
                if slots:
                    made = find_rows(y, y0, count + len(y.weights) - 1, pitch, work)
                    for job in range(made):
                        jobs[job, 0], jobs[job, 1] = bases[b, 0] + jobs[job, 0] * shape.apart, z0
                    first(source, jobs, made, together, z, shape, work, ring, deep)
                    for g in range(together):
                        jobs[g, 0], jobs[g, 1], jobs[g, 2] = g * deep, 0, shape.left + g * high * pitch
                    weigh(ring, jobs, together, count, work.places, y, shape.row, room, pitch)
                else:
                    for r in range(count):
                        base = bases[b, 0] + (y0 + r) * shape.apart
                        jobs[r, 0], jobs[r, 1], jobs[r, 2] = base, z0, shape.left + r * pitch
                    first(source, jobs, count, together, z, shape, work, room, high * pitch)
                to = bases[b, 1] + z0 * shape.out_plane + y0 * shape.out_row
                for g in range(together):
                    for r in range(count):
                        job = g * count + r
                        jobs[job, 0] = shape.left + (g * high + r) * pitch
                        jobs[job, 2] = to + g * shape.out_plane + r * shape.out_row
                finish(room, jobs, together * count, x, shape, work, out)
