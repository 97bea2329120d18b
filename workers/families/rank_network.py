"""Ranks of boxes by selection networks, compiled for one box, rank and dtype: vectors of 64 bytes go through them.

Values are sorted along z, merged along y, selected from along x. The lists that are sorted are shared by all windows
that hold a column, the merged ones by those of a row. For the median of 3 x 3 x 3:

          z sorted             y merged                    x
        a column of 3   ->   3 columns, 9 values   ->   the median of 3 such lists

Networks run on keys, integers in the order of the values; floating-point numbers become keys where they are loaded.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable
from functools import cache
from pathlib import Path

import numpy as np
from llvmlite import ir
from numba import njit, types
from numba.core import cgutils
from numba.extending import intrinsic

from gridstride.workers.families import networks
from gridstride.workers.families.rank_bisect import FLOAT, SIGNED
from gridstride.workers.vectors import BYTES

SORT, MERGE, SELECT = range(3)
EDGE = 2 * BYTES  # bytes before and after a chunk in its lists: what a box reaches over it, at most
# Numba keeps what was compiled until this file changes: a part of the keys under which it does.
STAMP = zlib.crc32(Path(networks.__file__).read_bytes())


def _keys(builder, value, sign):
    """Bits of floating-point numbers as keys, those of NaN the last. sign: a vector of the sign bit"""
    vector, width = sign.type, sign.type.element.width
    infinity, shift, largest = (
        ir.Constant(vector, [number] * vector.count)
        for number in ({16: 0x7C00, 32: 0x7F800000, 64: 0x7FF0000000000000}[width], width - 1, (1 << width) - 1)
    )
    key = builder.xor(value, builder.or_(builder.ashr(value, shift), sign))
    size = builder.and_(value, builder.not_(sign))
    return builder.select(builder.icmp_unsigned(">", size, infinity), largest, key)


def _bits(builder, key, sign):
    """The bits of floating-point numbers with these keys."""
    shift = ir.Constant(sign.type, [sign.type.element.width - 1] * sign.type.count)
    return builder.xor(key, builder.or_(builder.not_(builder.ashr(key, shift)), sign))


def chunk(a: int, c: int) -> int:
    """Bytes of a row of outputs worked on at a time: the lists of a box stay in the first-level cache."""
    return 1024 if a > 1 or c > 9 else 2048


def pitch(a: int, c: int) -> int:
    """Bytes from one list to the next: a chunk, what a box reaches over it, and what a last vector holds too much."""
    return chunk(a, c) + 2 * EDGE + BYTES


def staged(a: int, kind: int) -> bool:
    """Whether rows go into lists of their own before they are merged: sorted, or as keys, which are made once."""
    return a > 1 or kind == FLOAT


def _places(stage: int, a: int, b: int, c: int, kept: list[tuple[int, ...]]):
    """Where a stage's inputs and outputs are: (number in its table of addresses, bytes)."""
    step = pitch(a, c)
    if stage == SORT:
        return [(k, 0) for k in range(a)], [(a, i * step) for i in kept[0]]
    if stage == MERGE:
        return [(k, i * step) for k in range(b) for i in range(a)], [(b, i * step) for i in kept[1]]
    return [(x, i * step) for x in range(c) for i in range(a * b)], [(c, 0)]


@intrinsic(prefer_literal=True)
def run(context, like, kind, stage, a, b, c, rank, table, start, stop, last):
    """A stage of the network of a box on the vectors that begin `start`, `start` + 64 ... (below `stop`) bytes after
    the addresses in the array `table`; on none after `last`, but on that. One straight piece of code for each vector,
    in which nothing needs to be proved not to overlap. like: a key

    For SELECT, the addresses are those of the lists moved by 0, 1 ... elements, and that of the result. The first stage
    reads values and the last one writes them; between them are keys.
    """
    number, order, *box = (value.literal_value for value in (stage, kind, a, b, c, rank))
    found = networks.box_stages(*box)
    network = found[number][0]
    sources, targets = _places(number, box[0], box[1], box[2], [kept for _, kept in found])
    raw = number == (SORT if staged(box[0], order) else MERGE)

    def vector_code(builder, bases):
        vector = ir.VectorType(ir.IntType(like.bitwidth), BYTES * 8 // like.bitwidth)
        sign = ir.Constant(vector, [1 << (like.bitwidth - 1)] * vector.count)
        compare = builder.icmp_signed if order == SIGNED else builder.icmp_unsigned
        wires = {}

        def place(k, offset):
            return builder.inttoptr(builder.add(bases[k], ir.IntType(64)(offset)), vector.as_pointer())

        def wire(name):
            if name not in wires:
                value = builder.load(place(*sources[name]), align=1)
                wires[name] = _keys(builder, value, sign) if raw and order == FLOAT else value
            return wires[name]

        for name, (least, p, q) in enumerate(network.operations, network.inputs):
            chosen = compare("<" if least else ">", wire(p), wire(q))
            wires[name] = builder.select(chosen, wire(p), wire(q))
        for name, target in zip(network.outputs, targets, strict=True):
            value = _bits(builder, wire(name), sign) if number == SELECT and order == FLOAT else wire(name)
            builder.store(value, place(*target), align=1)

    def code(context, builder, signature, arguments):
        word = ir.IntType(64)
        table, start, stop, last = arguments[7:]
        addresses = builder.inttoptr(table, word.as_pointer())
        count = max(k for k, _ in sources + targets) + 1
        bases = [builder.load(builder.gep(addresses, [word(k)])) for k in range(count)]
        with cgutils.for_range_slice(builder, start, stop, word(BYTES), word) as (at, _):
            at = builder.select(builder.icmp_signed("<", at, last), at, last)
            vector_code(builder, [builder.add(base, at) for base in bases])
        return context.get_dummy_value()

    return types.void(like, kind, stage, a, b, c, rank, table, start, stop, last), code


@intrinsic
def element(context, like, address):
    """The element at an address, of the type of `like`."""

    def code(context, builder, signature, arguments):
        kind = ir.IntType(like.bitwidth)
        return builder.load(builder.inttoptr(arguments[1], kind.as_pointer()), align=like.bitwidth // 8)

    return like(like, types.int64), code


@intrinsic
def size_of(context, like):
    """Bytes of an integer."""

    def code(context, builder, signature, arguments):
        return ir.IntType(64)(like.bitwidth // 8)

    return types.int64(like), code


@intrinsic
def store(context, address, value):
    """Store an element at an address."""

    def code(context, builder, signature, arguments):
        pointer = builder.inttoptr(arguments[0], ir.IntType(value.bitwidth).as_pointer())
        builder.store(arguments[1], pointer, align=value.bitwidth // 8)
        return context.get_dummy_value()

    return types.void(types.int64, value), code


@njit(nogil=True, cache=True)
def kept(array):
    """Numba frees an array after its last mention, though its address may still be in use: mention it after that."""
    return array.size


@njit(nogil=True, cache=True)
def fill_strips(cval, table, rows, count, strips, p, q):
    """Gather the padded positions from p to q, which do not lie in a row, of `count` rows: position x of row k goes to
    byte k * EDGE + x * itemsize of `strips`. table: address of the positions' elements; rows: of the rows' addresses"""
    for k in range(count):
        row = element(np.int64(0), rows + k * 8)
        for x in range(p, q):
            s = element(np.int64(0), table + x * 8)
            store(strips + k * EDGE + x * size_of(cval), element(cval, row + s * size_of(cval)) if s >= 0 else cval)


@cache
def compiled(a: int, b: int, c: int, rank: int, kind: int) -> Callable[..., None]:
    """The elements of a rank of boxes of a along z, b along y and c along x.

    data: 3-D, rows contiguous; tz, ty, tx: where to find each padded position (-1: `cval`), those of tx from `first` to
    `last` in a row, the others at most EDGE bytes at each end; shift: elements from one of a box to the next along x;
    free: 64 bytes past a row may be read, or else there is a vector in each chunk; out: 3-D, of any strides
    """
    first_lists = staged(a, kind)
    begin, rows = (SORT, a) if first_lists else (MERGE, b)
    wide, step, stamp = chunk(a, c), pitch(a, c), STAMP

    @njit(nogil=True, cache=True)
    def boxes(data, tz, ty, tx, first, last, shift, free, cval, out):
        item, lanes = data.itemsize, BYTES // data.itemsize
        nz, ny, nx = out.shape
        parts = (nx * item + wide - 1) // wide
        # Planes are gone through row by row, boxes of three axes chunk by chunk, whose rows stay in the cache.
        count, groups = (ny + b - 1 if first_lists else ny), (parts if a == 1 else 1)
        held = a * b * step * groups if first_lists else 0
        work = np.empty(held + a * b * step + wide + 2 * BYTES + rows * EDGE, np.uint8)
        base = (work.ctypes.data + BYTES - 1) // BYTES * BYTES
        merged = base + held
        line = merged + a * b * step
        strips = line + wide + BYTES
        blank = np.empty(data.shape[2] + lanes, data.dtype)
        blank[:] = cval
        source, edge = np.empty(rows + 1, np.int64), np.empty(rows + 1, np.int64)
        ring, moved = np.empty(b + 1, np.int64), np.empty(c + 1, np.int64)
        for k in range(c):
            moved[k] = merged + EDGE + k * shift * item
        for z in range(nz):
            for turn in range(parts * count):
                part, y = (turn % parts, turn // parts) if a == 1 else (turn // count, turn % count)
                x0, x1 = nx * part // parts, nx * (part + 1) // parts
                end = x1 + (c - 1) * shift
                low, high = max(first, x0), min(last, end)
                for k in range(rows):
                    q, r = (tz[z + k], ty[y]) if first_lists else (tz[z], ty[y + k])
                    source[k] = blank.ctypes.data
                    if q >= 0 and r >= 0:
                        source[k] = data.ctypes.data + q * data.strides[0] + r * data.strides[1]
                for k in range(b):  # rows in any order: merged, they give the same
                    ring[k] = base + ((part % groups) * b + k) * a * step + EDGE
                ring[b] = merged + EDGE
                source[rows] = edge[rows] = (ring[y % b] if first_lists else ring[b]) - x0 * item
                for p, q in ((x0, low), (high, end)):
                    if p < q:
                        n = (q - p + lanes - 1) // lanes * lanes
                        at = (q - n if q == low else p) * item
                        fill_strips(cval, tx.ctypes.data, source.ctypes.data, rows, strips - at, p, q)
                        for k in range(rows):
                            edge[k] = strips - at + k * EDGE
                        stop = at + n * item
                        run(cval, kind, begin, a, b, c, rank, edge.ctypes.data, at, stop, stop)
                for k in range(rows):
                    source[k] += (tx[first] - first) * item
                limit = high * item if free else high * item - BYTES
                run(cval, kind, begin, a, b, c, rank, source.ctypes.data, low * item, high * item, limit)
                to = y
                if first_lists:
                    to = y - b + 1
                    if to < 0:
                        continue
                    stop = (end - x0) * item
                    run(cval, kind, MERGE, a, b, c, rank, ring.ctypes.data, 0, stop, stop)
                stop = (x1 - x0) * item
                if out.strides[2] == item and x1 - x0 >= lanes:
                    moved[c] = out.ctypes.data + z * out.strides[0] + to * out.strides[1] + x0 * item
                    run(cval, kind, SELECT, a, b, c, rank, moved.ctypes.data, 0, stop, stop - BYTES)
                else:
                    moved[c] = line
                    run(cval, kind, SELECT, a, b, c, rank, moved.ctypes.data, 0, stop, stop)
                    for x in range(x0, x1):
                        out[z, to, x] = element(cval, line + (x - x0) * item)
        kept(work), kept(blank), kept(source), kept(edge), kept(ring), kept(moved)
        return stamp

    return boxes
