"""Ranks of boxes by selection networks, compiled for one box, rank and dtype: vectors of 64 bytes go through them.

Values are sorted along z, merged along y, selected from along x. The lists that are sorted are shared by all windows
that hold a column, the merged ones by those of a row. For the median of 3 x 3 x 3:

          z sorted             y merged                    x
        a column of 3   ->   3 columns, 9 values   ->   the median of 3 such lists

Networks run on keys, integers in the order of the values; floating-point numbers become keys where they are loaded, but
for rows without NaN and -0.0, whose values are compared as they are: on many processors that takes two thirds the time.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable
from functools import lru_cache
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
INFINITY = {16: 0x7C00, 32: 0x7F800000, 64: 0x7FF0000000000000}  # the bits of infinity, by how many there are
EDGE = 2 * BYTES  # bytes before and after a chunk in its lists: what a box reaches over it, at most
# Numba keeps what was compiled until this file changes: a part of the keys under which it does.
STAMP = zlib.crc32(Path(networks.__file__).read_bytes())


def _keys(builder, value, sign):
    """Bits of floating-point numbers as keys, those of NaN the last. sign: a vector of the sign bit"""
    vector, width = sign.type, sign.type.element.width
    infinity, shift, largest = (
        ir.Constant(vector, [number] * vector.count) for number in (INFINITY[width], width - 1, (1 << width) - 1)
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


def _places(stage: int, a: int, b: int, c: int, kept: list[tuple[int, ...]]):
    """Where a stage's inputs and outputs are: (number in its table of addresses, bytes)."""
    step = pitch(a, c)
    if stage == SORT:
        return [(k, 0) for k in range(a)], [(a, i * step) for i in kept[0]]
    if stage == MERGE:
        return [(k, i * step) for k in range(b) for i in range(a)], [(b, i * step) for i in kept[1]]
    return [(x, i * step) for x in range(c) for i in range(a * b)], [(c, 0)]


@intrinsic(prefer_literal=True)
def run(context, like, kind, stage, a, b, c, rank, plain, table, start, stop, last):
    """A stage of the network of a box on the vectors that begin `start`, `start` + 64 ... (below `stop`) bytes after
    the addresses in the array `table`; on none after `last`, but on that. One straight piece of code for each vector,
    in which nothing needs to be proved not to overlap. like: a key; plain: of floating-point numbers, to compare them

    For SELECT, the addresses are those of the lists moved by 0, 1 ... elements, and that of the result. The first stage
    reads values and the last one writes them; between them are keys.
    """
    number, order, *box = (value.literal_value for value in (stage, kind, a, b, c, rank))
    found = networks.box_stages(*box)
    network = found[number][0]
    sources, targets = _places(number, box[0], box[1], box[2], [kept for _, kept in found])
    raw = number == (SORT if box[0] > 1 else MERGE)
    bits = like.bitwidth

    def vector_code(builder, bases, floats):
        """floats: the vectors are of these"""
        numbers = {32: ir.FloatType(), 64: ir.DoubleType()}.get(bits) if floats else ir.IntType(bits)
        vector = ir.VectorType(numbers, BYTES * 8 // bits)
        sign = None if floats else ir.Constant(vector, [1 << (bits - 1)] * vector.count)
        compare = builder.icmp_signed if order == SIGNED else builder.fcmp_ordered if floats else builder.icmp_unsigned
        convert = order == FLOAT and not floats
        wires = {}

        def place(k, offset):
            return builder.inttoptr(builder.add(bases[k], ir.IntType(64)(offset)), vector.as_pointer())

        def wire(name):
            if name not in wires:
                value = builder.load(place(*sources[name]), align=1)
                wires[name] = _keys(builder, value, sign) if raw and convert else value
            return wires[name]

        for name, (least, p, q) in enumerate(network.operations, network.inputs):
            chosen = compare("<" if least else ">", wire(p), wire(q))
            wires[name] = builder.select(chosen, wire(p), wire(q))
        for name, target in zip(network.outputs, targets, strict=True):
            value = _bits(builder, wire(name), sign) if number == SELECT and convert else wire(name)
            builder.store(value, place(*target), align=1)

    def loop(builder, arguments, floats):
        word = ir.IntType(64)
        table, start, stop, last = arguments
        addresses = builder.inttoptr(table, word.as_pointer())
        count = max(k for k, _ in sources + targets) + 1
        bases = [builder.load(builder.gep(addresses, [word(k)])) for k in range(count)]
        with cgutils.for_range_slice(builder, start, stop, word(BYTES), word) as (at, _):
            at = builder.select(builder.icmp_signed("<", at, last), at, last)
            vector_code(builder, [builder.add(base, at) for base in bases], floats)

    def code(context, builder, signature, arguments):
        if order == FLOAT and bits > 16:
            with builder.if_else(builder.trunc(arguments[7], ir.IntType(1))) as (plain_ones, others):
                with plain_ones:
                    loop(builder, arguments[8:], True)
                with others:
                    loop(builder, arguments[8:], False)
        else:
            loop(builder, arguments[8:], False)
        return context.get_dummy_value()

    return types.void(like, kind, stage, a, b, c, rank, plain, table, start, stop, last), code


@intrinsic
def any_odd(context, like, address, count):
    """1 if NaN or -0.0 is among the floating-point numbers in `count` bytes, or in a vector if that is more; else 0."""
    bits = like.bitwidth

    def code(context, builder, signature, arguments):
        word, vector = ir.IntType(64), ir.VectorType(ir.IntType(bits), BYTES * 8 // bits)
        sign, infinity = 1 << (bits - 1), INFINITY[bits]

        def every(number):
            return ir.Constant(vector, [number % (1 << bits)] * vector.count)

        # NaN above infinity and -0.0 follow one another, then come numbers below 0, and NaN below minus infinity.
        near, most = (cgutils.alloca_once_value(builder, every(number)) for number in (-1, 0))
        last = builder.sub(arguments[2], word(BYTES))
        last = builder.select(builder.icmp_signed("<", last, word(0)), word(0), last)
        with cgutils.for_range_slice(builder, word(0), arguments[2], word(BYTES), word) as (at, _):
            at = builder.select(builder.icmp_signed("<", at, last), at, last)
            value = builder.load(builder.inttoptr(builder.add(arguments[1], at), vector.as_pointer()), align=1)
            for place, sought, relation in (near, builder.sub(value, every(infinity + 1)), "<"), (most, value, ">"):
                had = builder.load(place)
                builder.store(builder.select(builder.icmp_unsigned(relation, sought, had), sought, had), place)
        odd = builder.or_(
            builder.icmp_unsigned("<", builder.load(near), every(sign - infinity)),
            builder.icmp_unsigned(">", builder.load(most), every(sign + infinity)),
        )
        number = builder.bitcast(odd, ir.IntType(vector.count))
        some = builder.icmp_unsigned("!=", number, ir.IntType(vector.count)(0))
        return builder.zext(some, word)

    return types.int64(like, types.int64, types.int64), code


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


@njit(nogil=True, cache=True)
def odd_rows(data, length, apart, cval, q, table, start, stop):
    """Whether NaN or -0.0 is in the rows of plane q that entries `start` to `stop` of a table name."""
    if q >= 0:
        for y in range(start, stop):
            address = data.ctypes.data + (q * apart[0] + table[y] * apart[1]) * data.itemsize
            if table[y] >= 0 and any_odd(cval, address, length * data.itemsize):
                return 1
    return 0


@lru_cache(64)
def compiled(a: int, b: int, c: int, rank: int, kind: int) -> Callable[..., None]:
    """The elements of a rank of boxes of a along z, b along y and c along x.

    data: planes of rows, and all between; length: of a row; apart: elements from one plane and row to the next
    tz, ty, tx: where to find each padded position (-1: `cval`), those of tx from `first` to
    `last` in a row, the others at most EDGE bytes at each end; shift: elements from one of a box to the next along x;
    free: 64 bytes past a row may be read, or else there is a vector in each chunk
    out, shape, steps: the result, and all between; (z, y, x); elements from one to the next along these
    """
    begin, rows = (SORT, a) if a > 1 else (MERGE, b)
    wide, step, stamp = chunk(a, c), pitch(a, c), STAMP

    @njit(nogil=True, cache=True)
    def boxes(data, length, apart, tz, ty, tx, first, last, shift, free, cval, out, shape, steps):
        item, lanes = data.itemsize, BYTES // data.itemsize
        nz, ny, nx = shape
        parts = (nx * item + wide - 1) // wide
        # Planes are gone through row by row, boxes of three axes chunk by chunk, whose rows stay in the cache.
        count = ny + b - 1 if a > 1 else ny
        held = a * b * step if a > 1 else 0
        work = np.empty(held + a * b * step + wide + 2 * BYTES + rows * EDGE, np.uint8)
        base = (work.ctypes.data + BYTES - 1) // BYTES * BYTES
        merged = base + held
        line = merged + a * b * step
        strips = line + wide + BYTES
        blank = np.empty(length + lanes, data.dtype)
        blank[:] = cval
        source, edge = np.empty(rows + 1, np.int64), np.empty(rows + 1, np.int64)
        ring, moved = np.empty(b + 1, np.int64), np.empty(c + 1, np.int64)
        for k in range(c):
            moved[k] = merged + EDGE + k * shift * item
        for k in range(b):  # rows in any order: merged, they give the same
            ring[k] = base + k * a * step + EDGE
        ring[b] = merged + EDGE
        cuts = np.array([nx * part // parts for part in range(parts + 1)])
        odd, plain = np.zeros(a if a > 1 else b, np.int64), 0
        odd_outside = any_odd(cval, blank.ctypes.data, BYTES) if kind == FLOAT else 0
        for z in range(nz):
            for outer in range(parts if a > 1 else count):
                for inner in range(count if a > 1 else parts):
                    part, y = (outer, inner) if a > 1 else (inner, outer)
                    if kind == FLOAT:
                        if a > 1 and part == 0 and y == 0:
                            for k in range(0 if z == 0 else a - 1, a):
                                odd[(z + k) % a] = odd_rows(data, length, apart, cval, tz[z + k], ty, 0, count)
                        if a == 1 and part == 0:
                            for k in range(0 if y == 0 else b - 1, b):
                                found = odd_rows(data, length, apart, cval, tz[z], ty, y + k, y + k + 1)
                                odd[(y + k) % b] = found
                        plain = 1 - max(odd_outside, odd.max())
                    x0, x1 = cuts[part], cuts[part + 1]
                    end = x1 + (c - 1) * shift
                    low, high = max(first, x0), min(last, end)
                    for k in range(rows):
                        q, r = (tz[z + k], ty[y]) if a > 1 else (tz[z], ty[y + k])
                        source[k] = blank.ctypes.data
                        if q >= 0 and r >= 0:
                            source[k] = data.ctypes.data + (q * apart[0] + r * apart[1]) * item
                    source[rows] = edge[rows] = (ring[y % b] if a > 1 else ring[b]) - x0 * item
                    for p, q in ((x0, low), (high, end)):
                        if p < q:
                            n = (q - p + lanes - 1) // lanes * lanes
                            at = (q - n if q == low else p) * item
                            fill_strips(cval, tx.ctypes.data, source.ctypes.data, rows, strips - at, p, q)
                            for k in range(rows):
                                edge[k] = strips - at + k * EDGE
                            stop = at + n * item
                            run(cval, kind, begin, a, b, c, rank, plain, edge.ctypes.data, at, stop, stop)
                    for k in range(rows):
                        source[k] += (tx[first] - first) * item
                    limit = high * item if free else high * item - BYTES
                    run(cval, kind, begin, a, b, c, rank, plain, source.ctypes.data, low * item, high * item, limit)
                    to = y
                    if a > 1:
                        to = y - b + 1
                        if to < 0:
                            continue
                        stop = (end - x0) * item
                        run(cval, kind, MERGE, a, b, c, rank, plain, ring.ctypes.data, 0, stop, stop)
                    stop = (x1 - x0) * item
                    target = z * steps[0] + to * steps[1] + x0 * steps[2]
                    if steps[2] == 1 and x1 - x0 >= lanes:
                        moved[c] = out.ctypes.data + target * item
                        run(cval, kind, SELECT, a, b, c, rank, plain, moved.ctypes.data, 0, stop, stop - BYTES)
                    else:
                        moved[c] = line
                        run(cval, kind, SELECT, a, b, c, rank, plain, moved.ctypes.data, 0, stop, stop)
                        for x in range(x1 - x0):
                            out[target + x * steps[2]] = element(cval, line + x * item)
        kept(work), kept(blank), kept(source), kept(edge), kept(ring), kept(moved)
        return stamp

    return boxes
