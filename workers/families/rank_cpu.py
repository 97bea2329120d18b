"""Rank filters on the CPU, on keys: unsigned integers in the order of the values, so that there are four types.

    uint  as it is        int  the sign bit turned round        float  the bits, turned round if negative; NaN the last

Medians of boxes of 3 and 5 an axis are found by selection networks on vectors of 64 bytes: lists sorted along z, merged
along y, selected from along x. The first are shared by all windows that hold a column, the second by those of a row.

          z sorted             y merged                    x
        a column of 3   ->   3 columns, 9 values   ->   the median of 3 such lists

All else is found by bisection: the number of elements of the window that are not above a value says on which side of it
the answer lies. It takes as many rounds as the largest range in a row has bits.
"""

from __future__ import annotations

from collections.abc import Callable
from math import prod
from typing import TYPE_CHECKING

import numpy as np
from llvmlite import ir
from numba import njit, types
from numba.extending import intrinsic

from gridstride.workers.families import networks
from gridstride.workers.families.local import padded
from gridstride.workers.families.rank_bisect import (
    FLOAT,
    SIGNED,
    TILE,
    UNSIGNED,
    bisect,
    bisect_valid,
    from_keys,
    key_of,
    to_keys,
)
from gridstride.workers.operators.base import Window

if TYPE_CHECKING:
    from gridstride.workers.families.rank import Rank

VECTOR = 64  # bytes; a processor of shorter registers takes several for each
CHUNK = 1024  # bytes of a row of outputs worked on at a time: the lists of 5 rows stay in the first-level cache
PITCH = CHUNK + 2 * VECTOR  # bytes between lists: a chunk, its halo, and what the last vector holds too much
SORT, MERGE, SELECT, SELECT_PLANE = range(4)


def rank(op: Rank, window: Window, out: np.ndarray) -> None:
    """Apply `op` to a window; out: of the want's shape and the data's dtype."""
    if out.size == 0:
        return
    dtype, lead = window.data.dtype, max(0, 3 - out.ndim)
    unsigned = np.dtype(f"u{dtype.itemsize}")
    kind = {"f": FLOAT, "i": SIGNED}.get(dtype.kind, UNSIGNED)
    shape = op.padded_shape(window.want, window.grid)
    flat = np.empty(prod(shape) + VECTOR // dtype.itemsize, dtype)  # the last vector reads past the end
    keys = flat.view(unsigned)
    keys[prod(shape) :] = 0
    padded(op, window, op.cval, into=flat[: prod(shape)].reshape(shape))
    if kind != UNSIGNED:
        to_keys(keys[: prod(shape)], kind)
    shape = (*(1,) * lead, *shape)
    pitches = np.array([prod(shape[axis + 1 :]) for axis in range(len(shape))])
    result = out.view(unsigned).reshape((1,) * lead + out.shape) if lead else out.view(unsigned)
    box = op.finds_median_of
    network = BOXES.get(box) if box is not None else None
    if network is None:
        _bisected(op, keys, pitches[lead:], kind, out.view(unsigned))
        return
    for index in np.ndindex(*result.shape[:-3]):
        first = int(np.dot(index, pitches[: len(index)]))
        network(keys[first:], int(pitches[-3]), int(pitches[-2]), kind, result[index])


def _bisected(op: Rank, keys: np.ndarray, pitches: np.ndarray, kind: int, out: np.ndarray) -> None:
    taps = op.taps
    offsets = taps @ pitches
    missing = None if op.missing is None else key_of(op.missing, out.dtype, kind)
    item = max(2, out.itemsize) if len(taps) < 2**16 else max(4, out.itemsize)
    count = np.empty(TILE, f"u{item}")
    for index in np.ndindex(*out.shape[:-2]):
        first = int(np.dot(index, pitches[: len(index)]))
        rows = out[index] if out.ndim > 1 else out[None]
        bases = first + np.arange(len(rows)) * (pitches[-2] if out.ndim > 1 else 0)
        if missing is None:
            bisect(keys, bases, offsets, op.rank, kind, count, rows)
        else:
            bisect_valid(keys, bases, offsets, op.ranks, missing, kind, rows)


def _network(stage: int, size: int):
    """The operations of a stage, and where its inputs and outputs are: (number in the table of addresses, bytes)."""
    if stage == SORT:
        operations, outputs = networks.sorting(size)
        return operations, outputs, [(k, 0) for k in range(size)], [(size, i * PITCH) for i in range(size)]
    if stage == MERGE:
        operations, outputs = networks.merging(size, size)
        sources = [(k, i * PITCH) for k in range(size) for i in range(size)]
        return operations, outputs, sources, [(size, i * PITCH) for i in range(size * size)]
    length = size * size if stage == SELECT else size
    operations, outputs = networks.selecting(size, length)
    return operations, outputs, [(x, i * PITCH) for x in range(size) for i in range(length)], [(size, 0)]


@intrinsic(prefer_literal=True)
def run(context, keys, stage, size, table, at):
    """A stage of a network on a vector of keys: the addresses in the array `table`, `at` bytes on. One straight piece
    of code, in which nothing needs to be proved not to overlap.

    For SELECT, the addresses are those of the lists moved by 0, 1 ... elements.
    """
    operations, outputs, sources, targets = _network(stage.literal_value, size.literal_value)
    bits = keys.dtype.bitwidth

    def code(context, builder, signature, arguments):
        word, vector = ir.IntType(64), ir.VectorType(ir.IntType(bits), VECTOR * 8 // bits)
        addresses = builder.inttoptr(arguments[3], word.as_pointer())
        bases = [
            builder.add(builder.load(builder.gep(addresses, [word(k)])), arguments[4])
            for k in range(max(k for k, _ in sources + targets) + 1)
        ]
        wires = {}

        def place(k, offset):
            return builder.inttoptr(builder.add(bases[k], word(offset)), vector.as_pointer())

        def wire(number):
            if number not in wires:
                wires[number] = builder.load(place(*sources[number]), align=1)
            return wires[number]

        for number, (least, a, b) in enumerate(operations):
            chosen = builder.icmp_unsigned("<" if least else ">", wire(a), wire(b))
            wires[len(sources) + number] = builder.select(chosen, wire(a), wire(b))
        for number, target in zip(outputs, targets, strict=True):
            builder.store(wire(number), place(*target), align=1)
        return context.get_dummy_value()

    return types.void(keys, stage, size, table, at), code


@njit(nogil=True, cache=True)
def kept(array):
    """Numba frees an array after its last mention, though its address may still be in use: mention it after that."""
    return array.size


def boxes(size):
    """The medians of boxes of `size` along z, y and x, and along y and x.

    keys: flat, with `planes` and `rows` elements from one plane or row to the next; out: (z, y, x)
    """

    @njit(nogil=True, cache=True)
    def volume(keys, planes, rows, kind, out):
        item = keys.itemsize
        work = np.empty(2 * size * size * PITCH + CHUNK + VECTOR, np.uint8)
        base = (work.ctypes.data + VECTOR - 1) // VECTOR * VECTOR
        merged, line = base + size * size * PITCH, np.empty(CHUNK // item, keys.dtype)
        sources, ring, last = np.empty(size + 1, np.int64), np.empty(size + 1, np.int64), np.empty(size + 1, np.int64)
        for k in range(size):
            ring[k] = base + k * size * PITCH  # rows in any order: merged, they give the same
            last[k] = merged + k * item
        ring[size], last[size] = merged, line.ctypes.data
        nz, ny, nx = out.shape
        for z in range(nz):
            for x0 in range(0, nx, CHUNK // item):
                n = min(CHUNK // item, nx - x0)
                for y in range(ny + size - 1):
                    for k in range(size):
                        sources[k] = keys.ctypes.data + ((z + k) * planes + y * rows + x0) * item
                    sources[size] = base + y % size * size * PITCH
                    for at in range(0, (n + size - 1) * item, VECTOR):
                        run(keys, SORT, size, sources.ctypes.data, at)
                    if y >= size - 1:
                        for at in range(0, (n + size - 1) * item, VECTOR):
                            run(keys, MERGE, size, ring.ctypes.data, at)
                        for at in range(0, n * item, VECTOR):
                            run(keys, SELECT, size, last.ctypes.data, at)
                        from_keys(line, kind, out[z, y - size + 1, x0 : x0 + n])
        kept(work), kept(sources), kept(ring), kept(last), kept(line)

    @njit(nogil=True, cache=True)
    def plane(keys, planes, rows, kind, out):
        item = keys.itemsize
        work = np.empty(size * PITCH + VECTOR, np.uint8)
        base, line = (work.ctypes.data + VECTOR - 1) // VECTOR * VECTOR, np.empty(CHUNK // item, keys.dtype)
        sources, last = np.empty(size + 1, np.int64), np.empty(size + 1, np.int64)
        for k in range(size):
            last[k] = base + k * item
        sources[size], last[size] = base, line.ctypes.data
        nz, ny, nx = out.shape
        for z in range(nz):
            for y in range(ny):
                for x0 in range(0, nx, CHUNK // item):
                    n = min(CHUNK // item, nx - x0)
                    for k in range(size):
                        sources[k] = keys.ctypes.data + (z * planes + (y + k) * rows + x0) * item
                    for at in range(0, (n + size - 1) * item, VECTOR):
                        run(keys, SORT, size, sources.ctypes.data, at)
                    for at in range(0, n * item, VECTOR):
                        run(keys, SELECT_PLANE, size, last.ctypes.data, at)
                    from_keys(line, kind, out[z, y, x0 : x0 + n])
        kept(work), kept(sources), kept(last), kept(line)

    return volume, plane


BOXES: dict[tuple[int, ...], Callable[..., None]] = {}
for length in (3, 5):
    BOXES[length, length, length], BOXES[1, length, length] = boxes(length)
