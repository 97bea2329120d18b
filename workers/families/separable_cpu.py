"""Separable filters on the CPU: how passes are grouped, and what the loops of `separable_loops` are given.

Blocks give the parallelism, so no loop is threaded.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import ceil, log2, prod
from typing import TYPE_CHECKING, Any

import numpy as np

from gridstride.workers.families.casting import store
from gridstride.workers.families.local import longest_run
from gridstride.workers.families.rows import LINE, aligned, in_a_row
from gridstride.workers.families.separable_loops import Shape, Work, passes
from gridstride.workers.families.separable_sums import Out, Step
from gridstride.workers.families.separable_view import ROWS, SLAB, TOGETHER, View, count_alone, writes
from gridstride.workers.operators.base import Window, accumulator

if TYPE_CHECKING:
    from gridstride.workers.families.separable import Pass, Separable


@dataclass(frozen=True)
class Line:
    """A pass as the loops need it. table: where to find each element of the padded axis, -1 outside"""

    axis: int
    table: np.ndarray
    weights: np.ndarray
    lead: int
    symmetry: int
    outside: Any
    divisor: Any

    @property
    def size(self) -> int:
        """Of the axis after the pass."""
        return len(self.table) - len(self.weights) + 1

    def step(self, places: np.ndarray) -> Step:
        return Step(places, self.weights, self.lead, self.symmetry, self.outside, self.divisor)


def separable(op: Separable, window: Window, out: np.ndarray) -> None:
    """Apply `op` to a window; out: of the want's shape and op.out_dtype."""
    if not out.flags.c_contiguous:
        result = np.empty(out.shape, out.dtype)
        separable(op, window, result)
        out[...] = result
        return
    if out.size == 0:
        return
    acc, data = accumulator(op.precision), readable(window.data)
    lines = _lines(op, op.passes or op.identity(data.ndim), op.tables(window), acc)
    alone = count_alone(data.shape, [line.axis for line in lines])
    for line in lines[:alone]:
        shape = (*data.shape[: line.axis], line.size, *data.shape[line.axis + 1 :])
        result = np.empty(shape, acc)
        _make(data, [line], result)
        if op.between:
            _through(result, op)
        data = result
    _finish(op, data, lines[alone:], out)


def readable(data: np.ndarray) -> np.ndarray:
    """The block as a contiguous array of a dtype that the loops read."""
    if data.dtype == np.float16:
        return data.astype(np.float32, order="C")
    return np.require(data.view(np.uint8) if data.dtype == np.bool_ else data, requirements=["C", "A"])


def _lines(op: Separable, steps: Sequence[Pass], tables: Sequence[np.ndarray], acc: np.dtype) -> list[Line]:
    """The passes. float32 sums are divided once, at the end (and kept small by powers of two): integers stay exact."""
    late, found = acc == np.float32 and not op.between, []
    before = last = 1.0  # what the passes so far have left for the end to divide by
    for number, step in enumerate(steps):
        scale = 2.0 ** -ceil(log2(step.divisor)) if late and step.divisor > 1 else 1.0
        last = before * step.divisor * scale if late else step.divisor
        weights, symmetry = step.weights * scale, 0 if acc == np.float32 else step.symmetry
        lead = 0 if acc == np.float32 else len(weights) // 2 if symmetry else len(weights) - 1
        outside = acc.type(step.cval * before if late else step.cval)
        divisor = acc.type(last if not late or number == len(steps) - 1 else 1)
        found.append(Line(step.axis, tables[step.axis], weights.astype(acc), lead, symmetry, outside, divisor))
        before = last
    return found


def _through(values: np.ndarray, op: Separable) -> None:
    """scipy keeps each pass's result in the output dtype. (The last is stored once: uint64 does not survive it twice,
    as what wraps around to nearly 2^64 is rounded up to that.)"""
    high = max(1, SLAB * len(values) // max(1, values.nbytes))
    for start in range(0, len(values), high):
        part = values[start : start + high]
        stored = np.empty(part.shape, op.out_dtype)
        store(part, stored, op.cast)
        part[...] = stored


def _finish(op: Separable, data: np.ndarray, lines: Sequence[Line], out: np.ndarray) -> None:
    """The last passes, and the result. Slab by slab, if the loops cannot do all of it."""
    acc = accumulator(op.precision)
    between = op.between and op.out_dtype != acc and len(lines) > 1
    if not between and writes(acc, out.dtype, op.cast):
        _make(data, lines, out)
        return
    filtered, size = lines[0].axis == 0, acc.itemsize * prod(out.shape[1:])
    if not filtered and size > SLAB and out.ndim > 1:
        lower = [replace(line, axis=line.axis - 1) for line in lines]
        for source, target in zip(data, out, strict=True):
            _finish(op, source, lower, target)
        return
    high = max(TOGETHER if filtered else 1, SLAB // max(1, size))
    for start in range(0, len(out), high):
        target = out[start : start + high]
        part, slab = list(lines), data[start : start + high]
        if filtered:
            table = lines[0].table[start : start + len(target) + len(lines[0].weights) - 1]
            used = table[table >= 0]
            first, last = (int(used.min()), int(used.max()) + 1) if used.size else (0, 1)
            part[0], slab = replace(lines[0], table=np.where(table < 0, -1, table - first)), data[first:last]
        for group in [[line] for line in part] if between else [part]:
            shape = list(slab.shape)
            for line in group:
                shape[line.axis] = line.size
            sums = np.empty(shape, acc)
            _make(slab, group, sums)
            slab = sums
            if between and group[-1] is not part[-1]:
                _through(slab, op)
        store(slab, target, op.cast)


def _make(data: np.ndarray, lines: Sequence[Line], out: np.ndarray) -> None:
    """One to three passes along ascending axes, of a contiguous array into another."""
    acc = lines[0].weights.dtype
    view = View.of(data.shape, [line.axis for line in lines])
    given: dict[int | None, Line] = {line.axis: line for line in lines}
    y, x = given.get(view.y), given.get(view.x)
    z = given.get(view.z) or Line(0, np.zeros(1, np.int64), np.ones(1, acc), 0, 0, acc.type(0), acc.type(1))
    strides = [(0 if view.z is None else a.strides[view.z] // a.itemsize) for a in (data, out)]
    table = np.where(z.table < 0, -1, z.table * strides[0])
    shape = _shape(view, data, out, x, acc)
    work = _work(shape, z, y, x, view.inner)
    bases = np.zeros((1, 2), np.int64)
    for axis in view.others:
        steps = np.array([a.strides[axis] // a.itemsize for a in (data, out)])
        bases = (bases[:, None] + np.arange(out.shape[axis])[:, None] * steps).reshape(-1, 2)
    flat = in_a_row(data)[0]
    if shape.row < 2 * LINE // acc.itemsize:  # what is read past the end of the last row must be there
        flat = np.append(flat, np.zeros(2 * LINE // acc.itemsize, data.dtype))
    x_step = x.step(np.arange(len(x.weights)) * view.inner) if x else _no_step(acc)
    passes(
        flat,
        bases,
        z.step(table),
        y.step(y.table) if y else _no_step(acc),
        x_step,
        shape,
        work,
        _out(out.reshape(-1), acc),
    )


def _no_step(acc: np.dtype) -> Step:
    return Step(np.empty(0, np.int64), np.empty(0, acc), 0, 0, acc.type(0), acc.type(1))


def _shape(view: View, data: np.ndarray, out: np.ndarray, x: Line | None, acc: np.dtype) -> Shape:
    def sizes(axis: int | None) -> tuple[int, int, int, int]:
        """(of the result, of the data, from one to the next in the data, in the result)"""
        if axis is None:
            return 1, 1, 0, 0
        return out.shape[axis], data.shape[axis], data.strides[axis] // data.itemsize, out.strides[axis] // out.itemsize

    (planes, _, _, out_plane), (height, rows, apart, out_row) = sizes(view.z), sizes(view.y)
    lanes, shift, width, padded = LINE // acc.itemsize, 0, view.row, view.row
    if x is not None:
        first, last = longest_run(x.table)
        shift = (int(x.table[first]) - first) * view.inner if last > first else 0
        width, padded = x.size * view.inner, max(view.row, shift + len(x.table) * view.inner)
    left = ceil(max(0, -shift) / lanes) * lanes
    # An odd number of vectors: rows then lie in different parts of a cache.
    pitch = ((left + padded) // lanes + 5 | 1) * lanes
    return Shape(planes, height, width, rows, view.row, apart, pitch, left, shift, out_plane, out_row)


def _out(out: np.ndarray, acc: np.dtype) -> Out:
    """A flat result for the loops: one view of it, and empty arrays of the other types that they write."""
    whole = np.dtype(np.int32 if acc == np.float32 else np.int64)
    types = {0: acc, 8: np.dtype(np.float64 if acc == np.float32 else np.float32)}
    types |= {size: np.dtype(f"i{size}") for size in (1, 2, 4)}
    kind = 0 if out.dtype == acc else 8 if out.dtype == types[8] else out.itemsize
    same, other, *whole_ones = (out.view(t) if key == kind else np.empty(0, t) for key, t in types.items())
    limits = np.iinfo(out.dtype) if out.dtype.kind in "iu" else None
    least, most = (float(limits.min), float(limits.max)) if limits else (0.0, 0.0)
    one, two, four = whole_ones
    return Out(kind, same, other, one, two, four, np.empty(0, whole), least, most)


def _work(shape: Shape, z: Line, y: Line | None, x: Line | None, inner: int) -> Work:
    acc, planes, high = z.weights.dtype, min(TOGETHER, shape.planes), min(ROWS, shape.height)
    slots = 0 if y is None else len(y.weights) + high - 1
    more = len(z.weights) + planes - 1  # rows that the first pass reads at a time
    target, beside = _beside(x, inner)

    def rows(count: int) -> np.ndarray:
        """Rows of sums, the first of which begins a line of cache."""
        return aligned(count * shape.pitch, acc)

    def indices(count: int) -> np.ndarray:
        return np.empty(count, np.int64)

    return Work(
        rows(planes * (slots + 1) if slots else 0), rows(more if (z.table < 0).any() else 0), rows(planes * high),
        np.empty(len(beside), acc), target, beside,
        indices(slots), indices(shape.rows if slots else 0), indices(slots + more),
        np.empty((max(planes * high, slots), 4), np.int64),
    )  # fmt: skip


def _beside(x: Line | None, inner: int) -> tuple[np.ndarray, np.ndarray]:
    """`target` and `beside` of Work."""
    if x is None:
        return np.empty(0, np.int64), np.empty(0, np.int64)
    first, last = longest_run(x.table)
    padded = np.r_[0:first, last : len(x.table)]
    padded = np.concatenate([padded[x.table[padded] >= 0], padded[x.table[padded] < 0]])
    source = x.table[padded]
    within = np.arange(inner)
    target, beside = (places[:, None] * inner + within for places in (padded, source[source >= 0]))
    return target.reshape(-1), beside.reshape(-1)
