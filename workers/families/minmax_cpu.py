"""Minima and maxima on the CPU, on keys: boxes pass by pass (`minmax_box`), footprints by chords (`minmax_chords`)."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import TYPE_CHECKING, Any

import numpy as np

from gridstride.workers.families.local import longest_run
from gridstride.workers.families.minmax_box import box
from gridstride.workers.families.minmax_chords import chords
from gridstride.workers.families.minmax_keys import flip_of, load, store
from gridstride.workers.families.minmax_plan import LINE, PIECE, Chords, Tile, chords_of, merged
from gridstride.workers.families.rows import aligned, in_a_row, walkable
from gridstride.workers.operators.base import Window

if TYPE_CHECKING:
    from gridstride.workers.families.minmax import MinMax

Tables = Sequence[np.ndarray]
Keys = tuple[bool, Any, Any]  # numbers of the data's type, as `minmax_box.box` has them


def minmax(op: MinMax, window: Window, out: np.ndarray) -> None:
    """Apply `op` to a window; out: of the want's shape and the data's dtype."""
    if out.size == 0:
        return
    if out.strides[-1] != out.itemsize or not walkable(out):
        result = np.empty(out.shape, out.dtype)
        minmax(op, window, result)
        out[...] = result
        return
    dtype, unsigned = out.dtype, np.dtype(f"u{out.itemsize}")
    flip = unsigned.type(flip_of(dtype, op.largest))
    keys = dtype.kind == "f", flip, np.array(op.cval, dtype).view(unsigned)[()]
    data = window.data
    if data.strides[-1] != out.itemsize or not walkable(data):
        data = np.ascontiguousarray(data)
    size, tables, step = list(op.size), op.tables(window), 1
    data, result = data.view(unsigned), out.view(unsigned)
    if (
        (count := merged(data.shape, out.shape, size, out.itemsize))
        and data.flags.c_contiguous
        and out.flags.c_contiguous
    ):
        axis, step = data.ndim - count - 1, prod(data.shape[-count:])
        data, result = (x.reshape(*x.shape[:axis], -1) for x in (data, result))
        line = tables[axis][:, None]
        tables[axis:] = [np.where(line < 0, -1, line * step + np.arange(step)).reshape(-1)]
        del size[axis + 1 :]
    if op.footprint is None:
        boxes(data, size, step, tables, keys, result)
    else:
        footprints(data, op.footprint.reshape(size), step, tables, keys, result)


def boxes(data: np.ndarray, size: Sequence[int], step: int, tables: Tables, keys: Keys, out: np.ndarray) -> None:
    """Passes along the leading axes one by one, and along the last three together."""
    tables = list(tables)
    for axis in range(data.ndim - 3):
        if size[axis] > 1:
            data = along(data, axis, size[axis], tables[axis], keys)
            tables[axis] = np.arange(data.shape[axis])
    data, out, tables, size = three(data, out, tables, size)
    for index in np.ndindex(*out.shape[:-3]):
        place = tuple(table[i] for table, i in zip(tables, index, strict=False))
        last_three(data[place], tables[-3:], (*size[-3:], step), keys, out[index], None)


def along(data: np.ndarray, axis: int, size: int, table: np.ndarray, keys: Keys) -> np.ndarray:
    """Minima along one axis, of the array seen as (before, axis, after)."""
    data = np.ascontiguousarray(data)
    before, after, n = prod(data.shape[:axis]), prod(data.shape[axis + 1 :]), len(table) - size + 1
    out = np.empty((*data.shape[:axis], n, *data.shape[axis + 1 :]), data.dtype)
    data, made = data.reshape(before, -1, after), out.reshape(before, n, after)
    for x in range(0, after, PIECE):
        part, into = data[..., x : x + PIECE], made[..., x : x + PIECE]
        last_three(part, (np.arange(before), table, np.arange(into.shape[2])), (1, size, 1, 1), keys, into, None)
    return out


def footprints(data: np.ndarray, footprint: np.ndarray, step: int, tables: Tables, keys: Keys, out: np.ndarray) -> None:
    """The last three axes together, and what they give for each place of the footprint along the axes before them."""
    data, out, tables, size = three(data, out, list(tables), footprint.shape)
    footprint = footprint.reshape(size)
    lead, taps = tables[:-3], (*size[-3:], step)
    parts = [(place, chords_of(footprint[place])) for place in np.ndindex(*size[:-3]) if footprint[place].any()]
    for index in np.ndindex(*out.shape[:-3]):
        total, made = out[index], np.empty(out.shape[-3:], out.dtype) if len(parts) > 1 else out[index]
        for number, (place, found) in enumerate(parts):
            source = [table[i + k] for table, i, k in zip(lead, index, place, strict=True)]
            if min(source, default=0) < 0:
                made[...] = keys[2]
            else:
                last_three(data[tuple(source)], tables[-3:], taps, keys, made, found)
            if len(parts) > 1:
                combine(total, made, keys, number == 0)


def combine(total: np.ndarray, values: np.ndarray, keys: Keys, first: bool) -> None:
    """total = the lower of the two, in the order of keys."""
    if first:
        total[...] = values
        return
    floats, flip, _ = keys
    lanes = LINE // total.itemsize
    spare, n = np.empty(lanes, total.dtype), total.shape[-1]
    a, b = (np.zeros(n + 2 * lanes, total.dtype) for _ in range(2))
    for index in np.ndindex(*total.shape[:-1]):
        load(total[index], 0, n, floats, flip, a, 0, spare)
        load(values[index], 0, n, floats, flip, b, 0, spare)
        np.minimum(a, b, out=a)
        store(a, 0, n, floats, flip, total[index], 0, spare)


def three(data, out, tables, size):
    """The same with three axes at least."""
    pad = max(0, 3 - data.ndim)
    data, out = (x[(None,) * pad] for x in (data, out))
    return data, out, [np.zeros(1, np.int64)] * pad + list(tables), (1,) * pad + tuple(size)


def last_three(
    data: np.ndarray, tables: Tables, taps: tuple[int, ...], keys: Keys, out: np.ndarray, footprint: Chords | None
) -> None:
    """data (z, y, x) -> out, by one kernel; rows of both are contiguous. taps: as `minmax_box.box` has them"""
    item = data.itemsize
    tile = Tile.of(out.shape[1], out.shape[2], taps, item, footprint)
    work = [aligned(n, data.dtype) for n in tile.lengths]
    (source, apart), (target, out_apart) = in_a_row(data), in_a_row(out)
    same = (*apart[:2], *out_apart[:2]), taps, tuple(tables), longest_run(tables[2]), keys
    if footprint is None:
        box(source, *same, tile.shape, tuple(work), target)
        return
    most = int((footprint.discs[:, 1] - footprint.discs[:, 0]).max())
    work[-1:] = [np.empty(most, np.int64), np.zeros(1, np.int64), work[-1]]
    arrays = footprint.lengths, footprint.runs, footprint.discs, footprint.planes
    chords(source, *same, arrays, tile.shape, tuple(work), target)
