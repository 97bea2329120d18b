"""Separable filters on the CPU. Blocks give the parallelism, so no loop is threaded (`loops` has them).

Work goes plane by plane, so that what one pass leaves for the next stays in cache.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import prod
from typing import TYPE_CHECKING

import numpy as np

from gridstride.workers.families.casting import store
from gridstride.workers.families.local import segments
from gridstride.workers.loops import KERNELS
from gridstride.workers.operators.base import Window, accumulator

if TYPE_CHECKING:
    from gridstride.workers.families.separable import Pass, Separable


def readable(data: np.ndarray) -> np.ndarray:
    """The block as a contiguous array of a dtype the kernels read."""
    if data.dtype == np.float16:
        return data.astype(np.float32)
    if data.dtype == np.bool_:
        data = data.view(np.uint8)
    return np.ascontiguousarray(data)


def _consecutive(table: np.ndarray) -> tuple[int, int]:
    """The longest run of consecutive indices in a table, as (first, last + 1); (0, 0) if there is none."""
    runs = [
        (t.stop - t.start, t.start, t.stop)
        for t, s in segments(table)
        if s is not None and table[t.stop - 1] - table[t.start] == t.stop - t.start - 1
    ]
    return max(runs)[1:] if runs else (0, 0)


def _taps(step: Pass | None, acc: np.dtype) -> tuple[np.ndarray, np.ndarray, int]:
    """A pass's taps in the order they are added up, (order, weights, symmetry): scipy adds the last of unsymmetric taps
    first. (Sums start from -0.0, which leaves the sign of a zero that is the first tap's alone.)"""
    if step is None:
        return np.zeros(1, np.int64), np.ones(1, acc), 0
    order = np.arange(len(step.weights))
    if step.symmetry == 0:
        order = np.roll(order, 1)
    return order, step.weights[order].astype(acc), step.symmetry


class _Planes:
    """Makes the planes z of a pass along the first axis of a (Z, Y, X) array."""

    def __init__(self, data: np.ndarray, table: np.ndarray, step: Pass | None, acc: np.dtype) -> None:
        self.data, self.table, self.acc = data, table, acc
        self.order, self.weights, self.symmetry = _taps(step, acc)
        self.divisor = acc.type(1 if step is None else step.divisor)
        self.cval = 0.0 if step is None else step.cval
        self.area = prod(data.shape[1:])
        self.rows = KERNELS[acc][0]

    def make(self, z: int, out: np.ndarray) -> None:
        """out (Y, X) = the weighted sum of planes table[z : z + taps]."""
        index = self.table[z + self.order]
        data, area = self.data, self.area
        if (index < 0).any():  # the constant value: only planes at the grid's edge come here
            data = np.full((len(index), *data.shape[1:]), self.cval, self.acc)
            for k, plane in enumerate(index):
                if plane >= 0:
                    data[k] = self.data[plane]
            index = np.arange(len(index))
        bases = np.arange(out.shape[0], dtype=np.int64) * out.shape[1]
        zero = -self.acc.type(0)
        self.rows(data.reshape(-1), bases, index * area, self.weights, self.symmetry, zero, self.divisor, out)


def separable(op: Separable, window: Window, out: np.ndarray) -> None:
    """Apply `op` to a window; out: of the want's shape and op.out_dtype."""
    if not out.flags.c_contiguous:
        result = np.empty(out.shape, out.dtype)
        separable(op, window, result)
        out[...] = result
        return
    acc, ndim = accumulator(op.precision), window.grid.ndim
    pad = max(0, 3 - ndim)
    data = readable(window.data)
    data = data.reshape((1,) * pad + data.shape)
    tables = [np.zeros(1, np.int64)] * pad + op.tables(window)

    def through_output(values: np.ndarray) -> None:
        """scipy keeps each pass's result in the output dtype. (The last is stored once: uint64 does not survive it
        twice, as what wraps around to nearly 2^64 is rounded up to that.)"""
        if op.between:
            stored = np.empty(values.shape, op.out_dtype)
            store(values, stored, op.cast)
            values[...] = stored

    # The passes along the last three axes are fused, if they come last and in that order; others are made one by one.
    axes = [p.axis + pad for p in op.passes]
    alone = [axis < data.ndim - 3 for axis in axes] if axes == sorted(set(axes)) else [True] * len(axes)
    fused: dict[int, Pass] = {}
    for axis, step, by_itself in zip(axes, op.passes, alone, strict=True):
        if by_itself:
            last = step is op.passes[-1]
            data = _one_pass(data, axis, tables[axis], step, acc, None if last else through_output)
            tables[axis] = np.arange(data.shape[axis])
        else:
            fused[axis - (data.ndim - 3)] = step
    if out.size:
        steps = [fused.get(i) for i in range(3)]
        results = out.reshape(-1, *((1,) * pad + out.shape)[-3:])
        for source, target in zip(data.reshape(-1, *data.shape[-3:]), results, strict=True):
            _last_three(op, source, target, steps, tables[-3:], acc, through_output)


def _one_pass(
    data: np.ndarray,
    axis: int,
    table: np.ndarray,
    step: Pass,
    acc: np.dtype,
    through_output: Callable[[np.ndarray], None] | None,
) -> np.ndarray:
    """A pass along any axis, on the array seen as (before, axis, 1, after)."""
    before, after = prod(data.shape[:axis]), prod(data.shape[axis + 1 :])
    n = len(table) - len(step.weights) + 1
    source = data.reshape(before, data.shape[axis], 1, after)
    result = np.empty((before, n, 1, after), acc)
    for i in range(before):
        planes = _Planes(source[i], table, step, acc)
        for z in range(n):
            planes.make(z, result[i, z])
            if through_output is not None:
                through_output(result[i, z])
    return result.reshape(*data.shape[:axis], n, *data.shape[axis + 1 :])


def _last_three(
    op: Separable,
    data: np.ndarray,
    out: np.ndarray,
    steps: Sequence[Pass | None],
    tables: Sequence[np.ndarray],
    acc: np.dtype,
    through_output: Callable[[np.ndarray], None],
) -> None:
    """The passes along z, y and x, fused: data (Z, Y, X) -> out, one plane of z at a time."""
    _, sliding, along = KERNELS[acc]
    z_step, y_step, x_step = steps
    planes = _Planes(data, tables[0], z_step, acc)
    # One more row holds the constant value of the pass along y.
    after_z = np.empty((data.shape[1] + 1, data.shape[2]), acc)
    if y_step is not None:
        after_z[-1] = y_step.cval
        y_table = np.where(tables[1] < 0, data.shape[1], tables[1])
        y_order, y_weights, y_symmetry = _taps(y_step, acc)
    after_y = np.empty((out.shape[1], data.shape[2]), acc)
    if x_step is not None:
        first, last = _consecutive(tables[2])
        x_order, x_weights, x_symmetry = _taps(x_step, acc)
    # The last pass writes the result itself, if that has the accumulator's type.
    result = np.empty(out.shape[1:], acc)
    for z in range(out.shape[0]):
        if out.dtype == acc:
            result = out[z]
        plane = result if y_step is None and x_step is None else after_z[:-1]
        planes.make(z, plane)
        if y_step is not None:
            if z_step is not None:
                through_output(plane)
            plane = result if x_step is None else after_y
            sliding(after_z.reshape(-1), y_table, y_order, y_weights, y_symmetry, acc.type(y_step.divisor), plane)
        if x_step is not None:
            if z_step is not None or y_step is not None:
                through_output(plane)
            cval, divisor = acc.type(x_step.cval), acc.type(x_step.divisor)
            along(plane, tables[2], first, last, x_order, x_weights, x_symmetry, cval, divisor, result)
        if out.dtype != acc:
            store(result, out[z], op.cast)
