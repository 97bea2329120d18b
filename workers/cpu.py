"""The operators on the CPU. Blocks give the parallelism, so no loop is threaded (`loops` has them).

Work goes plane by plane, so that what one pass leaves for the next stays in cache.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product
from math import prod
from typing import Any

import numpy as np
import scipy.fft

from gridstride.workers.loops import KERNELS, round_to, round_to_64
from gridstride.workers.operators.base import Block, accumulator, block_tables
from gridstride.workers.operators.correlate import Correlate
from gridstride.workers.operators.separable import Pass, Separable

name = "cpu"


def store(values: np.ndarray, out: np.ndarray, cast: str) -> None:
    """Write floating-point values into `out`, of the same shape and any dtype.

    To integers, "round" rounds half to even and saturates, "scipy" truncates and keeps the low bits.
    """
    kind = out.dtype.kind
    if kind == "f":
        with np.errstate(over="ignore"):
            out[...] = values
    elif kind == "b":
        out[...] = np.trunc(values) != 0 if cast == "scipy" else values > 0.5
    elif cast == "scipy":
        with np.errstate(invalid="ignore"):
            out[...] = values.astype(np.int64) if out.dtype != np.uint64 else _truncate_to_uint64(values)
    else:
        limits = np.iinfo(out.dtype)
        flat = out.reshape(-1) if out.flags.c_contiguous else np.empty(out.size, out.dtype)
        values = np.ascontiguousarray(values).reshape(-1)
        if out.dtype.itemsize == 8:
            ints = (out.dtype.type(limits.min), out.dtype.type(limits.max))
            round_to_64(values, float(limits.min), float(limits.max), *ints, flat)
        else:
            round_to(values, float(limits.min), float(limits.max), flat)
        if not out.flags.c_contiguous:
            out[...] = flat.reshape(out.shape)


def _truncate_to_uint64(values: np.ndarray) -> np.ndarray:
    """As C converts: what is negative wraps around."""
    size = np.abs(values).astype(np.uint64)
    return np.where(values < 0, ~size + np.uint64(1), size)


def _readable(data: np.ndarray) -> np.ndarray:
    """The block as a contiguous array of a dtype the kernels read."""
    if data.dtype == np.float16:
        return data.astype(np.float32)
    if data.dtype == np.bool_:
        data = data.view(np.uint8)
    return np.ascontiguousarray(data)


def segments(table: np.ndarray) -> list[tuple[slice, slice | None]]:
    """A boundary table as few slice copies: (target, source), or (target, None) for the constant value.

    Runs that step by 1 are the grid itself, by -1 its reflection; a repeated index is a source of length 1, which
    broadcasts.
    """
    index = np.where(table < 0, -10, table)
    steps = np.diff(index)
    changes = np.append(np.flatnonzero(np.diff(steps)) + 1, len(steps))
    runs: list[tuple[slice, slice | None]] = []
    first = 0
    while first < len(index):
        step = int(steps[first]) if first < len(steps) else 0
        last = (
            int(changes[np.searchsorted(changes, first, side="right")])
            if step in (-1, 0, 1) and first < len(steps)
            else first
        )
        value, end = int(index[first]), int(index[last])
        target = slice(first, last + 1)
        if value < 0:
            runs.append((target, None))
        elif step < 0:
            runs.append((target, slice(value, end - 1 if end > 0 else None, -1)))
        else:
            runs.append((target, slice(value, end + 1)))
        first = last + 1
    return runs


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


def separable(op: Separable, block: Block) -> np.ndarray:
    """Apply `op` to a block; returns an array of op.out_dtype and the block's extent."""
    acc = accumulator(op.precision)
    pad = max(0, 3 - op.ndim)
    data = _readable(block.data)
    data = data.reshape((1,) * pad + data.shape)
    tables = [np.zeros(1, np.int64)] * pad + block_tables(block, op.halo, op.modes)

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
    extent = (1,) * pad + block.extent
    out = np.empty(extent, op.out_dtype)
    if out.size:
        steps = [fused.get(i) for i in range(3)]
        for source, target in zip(data.reshape(-1, *data.shape[-3:]), out.reshape(-1, *extent[-3:]), strict=True):
            _last_three(op, source, target, steps, tables[-3:], acc, through_output)
    return out.reshape(block.extent)


def _one_pass(
    data: np.ndarray, axis: int, table: np.ndarray, step: Pass, acc: np.dtype, through_output: Any
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
    through_output: Any,
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


def padded_block(op: Correlate, block: Block, dtype: np.dtype) -> np.ndarray:
    """The block with its whole halo, boundary applied, as dtype; a channel axis is moved to the front."""
    tables = block_tables(block, op.halo, op.modes)
    padded = np.empty([len(table) for table in tables], dtype)
    for pieces in product(*(segments(table) for table in tables)):
        target = tuple(t for t, _ in pieces)
        source = tuple(s for _, s in pieces)
        padded[target] = op.cval if None in source else block.data[source]
    return padded if op.channel_axis is None else np.ascontiguousarray(np.moveaxis(padded, op.channel_axis, 0))


def _canonical(op: Correlate, block: Block) -> tuple[np.ndarray, np.ndarray, tuple[int, ...]]:
    """Weights as (outputs, channels, *taps of the axes but the channel's), `result` (outputs, *extent) and extent."""
    extent = list(block.extent)
    taps = list(op.taps)
    if op.channel_axis is not None:
        del extent[op.channel_axis], taps[op.channel_axis]
    weights = op.weights.reshape(*op.weights.shape[:2], *taps)
    shape = op.out_shape(block.extent)
    result = np.empty(shape, op.out_dtype)
    return weights, result, tuple(extent)


def _channels_first(op: Correlate, result: np.ndarray) -> np.ndarray:
    return result[None] if op.channel_axis is None else np.moveaxis(result, op.channel_axis, 0)


def correlate(op: Correlate, block: Block) -> np.ndarray:
    """Apply `op` to a block tap by tap; returns an array of op.out_dtype."""
    acc = accumulator(op.precision)
    weights, result, extent = _canonical(op, block)
    if result.size == 0:
        return result
    padded = padded_block(op, block, acc)
    if op.channel_axis is None:
        padded = padded[None]
    rows = KERNELS[acc][0]
    strides = np.array(padded.strides) // padded.itemsize
    # scipy leaves out the taps that are nothing to it; a tap of 0 must not turn an infinity into a NaN.
    nothing = np.finfo(np.float64).eps if op.cast == "scipy" else 0.0
    # The last two axes are a plane; the planes' and rows' first elements in the padded array:
    extent = (1, *extent) if len(extent) == 1 else extent
    row_stride = strides[-2] if len(strides) > 2 else 0
    bases = np.arange(extent[-2], dtype=np.int64) * row_stride
    plane = np.empty(extent[-2:], acc)
    outputs = _channels_first(op, result)
    for o, target in enumerate(outputs):
        used = np.nonzero(np.abs(weights[o]) > nothing)
        taps = weights[o][used].astype(acc)
        offsets = np.stack(used, -1) @ strides
        start = acc.type(0 if op.bias is None else op.bias[o])
        for index in np.ndindex(*extent[:-2]):
            base = int(np.dot(index, strides[1 : 1 + len(index)])) if index else 0
            rows(padded.reshape(-1), bases + base, offsets, taps, 0, start, acc.type(1), plane)
            store(plane[0] if target.ndim == 1 else plane, target[index], op.cast)
    return result


def fft(op: Correlate, block: Block) -> np.ndarray:
    """Apply `op` to a block by FFT, in float64; where the block holds NaN or infinity, tap by tap.

    (An FFT spreads one NaN over the whole block.)
    """
    weights, result, extent = _canonical(op, block)
    if result.size == 0:
        return result
    padded = padded_block(op, block, np.dtype(np.float64))
    if not np.isfinite(padded).all():
        return correlate(op, block)
    if op.channel_axis is None:
        padded = padded[None]
    axes = [axis for axis in range(len(extent)) if weights.shape[2 + axis] > 1]
    lengths = [scipy.fft.next_fast_len(padded.shape[1 + axis], real=True) for axis in axes]
    valid = tuple(slice(0, n) for n in extent)
    spectra = [scipy.fft.rfftn(channel, lengths, axes=axes) for channel in padded]
    del padded
    for o, target in enumerate(_channels_first(op, result)):
        total = 0
        for c, spectrum in enumerate(spectra):
            total = total + spectrum * scipy.fft.rfftn(weights[o, c], lengths, axes=axes).conj()
        values = scipy.fft.irfftn(total, lengths, axes=axes)[valid]
        if op.bias is not None:
            values += op.bias[o]
        store(values, target, op.cast)
    return result
