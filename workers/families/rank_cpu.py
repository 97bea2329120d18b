"""Rank filters on the CPU, on keys: integers in the order of the values, so that there are few types.

    small boxes                 selection networks      rank_network
    large boxes of bytes        sliding histograms      rank_histogram
    all else                    bisection               rank_bisect

All give the same bits: which is taken is a question of time alone.
"""

from __future__ import annotations

from itertools import pairwise
from math import prod
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from gridstride.workers.families.local import longest_run, padded
from gridstride.workers.families.rank_bisect import FLOAT, SIGNED, UNSIGNED, bisect, key_of, to_keys
from gridstride.workers.families.rank_histogram import MOST_ELEMENTS as MOST_COUNTED
from gridstride.workers.families.rank_histogram import slide
from gridstride.workers.families.rank_network import EDGE, chunk, compiled
from gridstride.workers.families.rows import in_a_row, walkable
from gridstride.workers.operators.base import Window
from gridstride.workers.vectors import BYTES

if TYPE_CHECKING:
    from gridstride.workers.families.rank import Rank

# Networks are compiled for medians of these boxes; for other boxes and ranks where the array is so large that it pays.
USUAL = {(3, 3, 3), (5, 5, 5), (1, 3, 3), (1, 5, 5)}
LARGE = 2**22  # elements
MOST_TAPS = (7, 7, 7), (1, 15, 15)  # of a box's axes, the first of which is 1 in the second
FEWEST_COUNTED = 128  # elements of a box from which on histograms take less time than bisection


class Source(NamedTuple):
    """What networks read: the elements as unsigned integers, where to find each padded position on each axis, those of
    the last axis that lie in a row, and whether 64 bytes past a row may be read."""

    data: np.ndarray
    tables: list[np.ndarray]
    run: tuple[int, int]
    free: bool


def rank(op: Rank, window: Window, out: np.ndarray) -> None:
    """Apply `op` to a window; out: of the want's shape and the data's dtype."""
    if out.size == 0:
        return
    if not walkable(out):
        result = np.empty(out.shape, out.dtype)
        rank(op, window, result)
        out[...] = result
        return
    kind = {"f": FLOAT, "i": SIGNED}.get(window.data.dtype.kind, UNSIGNED)
    boxes = op.footprint is None and op.missing is None and max(op.size) > 1
    if boxes and (_by_network(op, window, kind, out) or _by_histogram(op, window, kind, out)):
        return
    _by_bisection(op, window, kind, out)


def _by_network(op: Rank, window: Window, kind: int, out: np.ndarray) -> bool:
    """Whether the box is one for networks, which then have found its ranks."""
    last = max(axis for axis, n in enumerate(op.size) if n > 1)
    row = prod(out.shape[last + 1 :])  # short rows are taken together: what is filtered then lies a row apart
    joined = out.shape[-1] * out.itemsize < BYTES and (op.size[last] - 1) * row * out.itemsize <= EDGE
    if not (joined and out.flags.c_contiguous):
        last, row = out.ndim - 1, 1
    result = out.view(f"u{out.itemsize}")
    result = result if last == out.ndim - 1 else result.reshape(*out.shape[:last], -1)
    arranged = _arranged(op.size[: last + 1], result.shape)
    if arranged is None:
        return False
    order, box = arranged
    median = op.rank == prod(box) // 2
    if any(n > most for n, most in zip(box, MOST_TAPS[box[0] == 1], strict=True)) or not (
        (box in USUAL and median) or prod(window.grid.shape) >= LARGE
    ):
        return False
    source = _source(op, window, box, last)
    network = compiled(*box, op.rank, kind)
    _each_volume(source, order, result, row, _bits(op.cval, out.dtype), network)
    return True


def _arranged(size: tuple[int, ...], shape: tuple[int, ...]) -> tuple[tuple[int, ...], tuple[int, int, int]] | None:
    """The axes as networks have them, after two more in front: those without a box, then z, y and x; and the box along
    these. None if it has more axes."""
    size, shape = (1, 1, *size), (1, 1, *shape)
    x = len(size) - 1
    rows = [axis for axis in range(x) if size[axis] > 1]
    others = sorted((axis for axis in range(x) if size[axis] == 1), key=lambda axis: shape[axis])
    if len(rows) > 2:
        return None
    while len(rows) < 2:
        rows.insert(0, others.pop())
    order = (*others, *rows, x)
    return order, (size[rows[0]], size[rows[1]], size[x])


def _source(op: Rank, window: Window, box: tuple[int, int, int], last: int) -> Source:
    """The window's own data where they can be read as they are, or else a copy with the whole boundary; the axes from
    `last` on are one."""
    data, dtype = window.data, np.dtype(f"u{window.data.itemsize}")
    tables = op.tables(window)
    if last == data.ndim - 1 and data.strides[-1] == data.itemsize and walkable(data):
        run = longest_run(tables[-1])
        if _can_be_read(run, len(tables[-1]), box, data.itemsize):
            return Source(data.view(dtype), tables, run, False)
    keys = _padded_keys(op, window, UNSIGNED)
    keys = keys.reshape(*keys.shape[:last], -1)
    return Source(keys, [np.arange(n) for n in keys.shape], (0, keys.shape[-1]), True)


def _can_be_read(run: tuple[int, int], positions: int, box: tuple[int, int, int], item: int) -> bool:
    """Whether rows of the data have a vector in each chunk, and few positions outside of them."""
    width, lanes = positions - box[2] + 1, BYTES // item
    parts = -(-width * item // chunk(box[0], box[2]))
    first, last = run
    cuts = [width * part // parts for part in range(parts + 1)]
    inside = (min(last, x1 + box[2] - 1) - max(first, x0) for x0, x1 in pairwise(cuts))
    return max(first, positions - last) * item <= EDGE and min(inside) >= lanes


def _each_volume(source: Source, order: tuple[int, ...], out: np.ndarray, row: int, cval, network) -> None:
    data = source.data[None, None].transpose(order)
    result = out[None, None].transpose(order)
    tables = [np.zeros(1, np.int64)] * 2 + [table.astype(np.int64) for table in source.tables]
    *loops, z, y, x = (tables[axis] for axis in order)
    for index in np.ndindex(*result.shape[:-3]):
        part = data[tuple(int(table[i]) for table, i in zip(loops, index, strict=True))]
        (flat, apart), (target, steps) = in_a_row(part), in_a_row(result[index])
        have, made = (flat, part.shape[-1], apart[:2]), (target, result[index].shape, steps)
        network(*have, z, y, x, *source.run, row, source.free, cval, *made)


def _by_histogram(op: Rank, window: Window, kind: int, out: np.ndarray) -> bool:
    """Whether the box is one for histograms, which then have found its ranks."""
    arranged = _arranged(op.size, out.shape)
    if arranged is None or out.itemsize > 1 or not FEWEST_COUNTED <= prod(op.size) <= MOST_COUNTED:
        return False
    order, box = arranged
    keys, result = _padded_keys(op, window, kind), out.view(np.uint8)[None, None].transpose(order)
    keys = keys[None, None].transpose(order)
    for index in np.ndindex(*result.shape[:-3]):
        (flat, apart), (target, steps) = in_a_row(keys[index]), in_a_row(result[index])
        turn = np.uint8(128 if kind == SIGNED else 0)
        slide(flat, apart[:2], *box, op.rank, turn, target, result[index].shape, steps)
    return True


def _padded_keys(op: Rank, window: Window, kind: int) -> np.ndarray:
    """The keys of the window's elements with their whole boundary, in memory that a vector can be read past its end."""
    shape, dtype = op.padded_shape(window.want, window.grid), window.data.dtype
    flat = np.empty(prod(shape) + BYTES // dtype.itemsize, dtype)
    flat[prod(shape) :] = 0
    padded(op, window, op.cval, into=flat[: prod(shape)].reshape(shape))
    keys = flat.view(f"u{dtype.itemsize}")
    if kind != UNSIGNED:
        to_keys(keys[: prod(shape)], kind)
    return keys[: prod(shape)].reshape(shape)


def _bits(value: float | int, dtype: np.dtype) -> np.generic:
    return np.array([value]).astype(dtype).view(f"u{dtype.itemsize}")[0]


def _by_bisection(op: Rank, window: Window, kind: int, out: np.ndarray) -> None:
    taps, item = op.taps, out.itemsize
    keys = _padded_keys(op, window, kind)
    pitches = np.array([prod(keys.shape[axis + 1 :]) for axis in range(keys.ndim)])
    valid, missing = np.empty(0, keys.dtype), keys.dtype.type(0)
    if op.missing is not None:
        missing = key_of(op.missing, keys.dtype, kind)
        valid = np.append((keys != missing).ravel(), np.zeros(BYTES, bool)).astype(keys.dtype)
        keys[keys == missing] = np.iinfo(keys.dtype).max
    wide = np.min_scalar_type(len(taps))
    if wide.itemsize > item:  # keys count elements too
        keys, valid = np.append(keys, np.zeros(BYTES, wide)), valid.astype(wide)
    offsets, result = taps @ pitches, out.view(f"u{item}")
    for index in np.ndindex(*out.shape[:-2]):
        rows = result[index] if out.ndim > 1 else result[None]
        bases = int(np.dot(index, pitches[: len(index)])) + np.arange(len(rows)) * (pitches[-2] if out.ndim > 1 else 0)
        made = np.empty(rows.shape, rows.dtype)
        bisect(keys.ravel(), valid, bases, offsets, op.ranks, missing, kind, made)
        rows[...] = made
