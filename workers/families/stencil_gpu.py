"""Launches of stencils: cuda/correlate.cu for any, cuda/march.cu for common sizes, and the FFT by its library."""

from __future__ import annotations

from math import prod
from typing import TYPE_CHECKING, Any

import numpy as np

from gridstride.workers.families.march import THREADS, WIDTH, launch_march
from gridstride.workers.families.separable_gpu import ACCUMULATORS, launch_cast, stored
from gridstride.workers.launches import INPUTS, Launches, Ref, ceil_div, instantiation, power_of_two, strides
from gridstride.workers.operators.base import Window, accumulator

if TYPE_CHECKING:
    from gridstride.workers.families.stencil import Stencil
    from gridstride.workers.gpu import Machine

OUTPUTS, ROWS = 5, 2  # as in cuda/correlate.cu

# A correlation of any size works in this much shared memory: three blocks of threads have room on any device.
CORRELATE_BYTES = 32 * 1024

# `Geometry` in cuda/correlate.cu
GEOMETRY = np.dtype(
    [(key, np.int64, 6) for key in ("size", "in_stride", "out_stride", "table", "taps")]
    + [("chunk_y", np.int64), ("chunk_x", np.int64)]
)


def instantiations() -> list[tuple[str, str]]:
    """Every (file, name expression) that can be asked for: it writes sums or the block's own type."""
    found = []
    for acc in ACCUMULATORS:
        found += [("correlate.cu", f"correlate<{i}, {acc}, {o}>") for i in INPUTS for o in dict.fromkeys((acc, i))]
    return [*found, ("correlate.cu", "correlate<i64, i64, i64>")]


def fft(op: Stencil, window: Window, on: Machine) -> Any:
    """Apply `op` to a window by FFT, in float64; where the window holds NaN or infinity, tap by tap.

    (An FFT spreads one NaN over the whole block.)
    """
    xp, shape = on.xp, window.want.shape
    if prod(shape) == 0:
        return xp.empty(shape, op.out_dtype)
    padded = _padded(op, window, xp)
    if not xp.isfinite(padded).all():
        return op.but(algorithm="direct").on_gpu(window, on)
    taps, extent = list(op.taps), list(shape)
    if op.channel_axis is None:
        padded = padded[None]
    else:
        padded = xp.moveaxis(padded, op.channel_axis, 0)
        del taps[op.channel_axis], extent[op.channel_axis]
    weights = op.weights.reshape(*op.channels, *taps)
    axes = [axis for axis, n in enumerate(taps) if n > 1]
    lengths = [on.fft.next_fast_len(padded.shape[1 + axis], real=True) for axis in axes]
    spectra = [on.fft.rfftn(channel, lengths, axes=axes) if axes else channel for channel in padded]
    del padded
    valid = tuple(slice(0, n) for n in extent)
    sums = []
    for o in range(weights.shape[0]):
        total: Any = 0
        for c, spectrum in enumerate(spectra):
            taps_oc = xp.asarray(weights[o, c])
            total = total + spectrum * (on.fft.rfftn(taps_oc, lengths, axes=axes).conj() if axes else taps_oc)
        values = on.fft.irfftn(total, lengths, axes=axes)[valid] if axes else total
        sums.append(values if op.bias is None else values + op.bias[o])
    result = sums[0] if op.channel_axis is None else xp.stack(sums, op.channel_axis)
    out = stored(op.out_dtype, "double")
    if out != np.float64:
        result = xp.ascontiguousarray(result)
        launches = Launches(shape, out)
        types = np.dtype(np.float64), out, out
        launch_cast(launches, types, Ref("data"), Ref("out"), result.size, np.int32(op.cast == "scipy"))
        result = on.run(launches, result)
    return result


def launch_stencil(op: Stencil, window: Window, launches: Launches) -> None:
    """The one launch of a correlation (and a cast, where the kernel does not write op.out_dtype)."""
    acc, out, shape = accumulator(op.precision), stored(op.out_dtype, op.precision), window.want.shape
    launches.out_dtype = out
    if prod(shape) == 0:
        return
    dtype = np.dtype(window.data.dtype)
    into = out if out in (acc, dtype) else acc
    truncate = np.int32(op.cast == "scipy")
    target = Ref("out") if into == out else launches.reserve("a", prod(shape) * acc.itemsize)
    if op.marches(dtype):
        _launch_dense(launches, op, window, (dtype, into), (Ref("data"), target))
    else:
        _launch_correlate(launches, op, window, (dtype, acc, into), (Ref("data"), target), truncate)
    if into != out:
        launch_cast(launches, (acc, out, out), target, Ref("out"), prod(shape), truncate)


def _launch_dense(
    launches: Launches, op: Stencil, window: Window, types: tuple[np.dtype, np.dtype], places: tuple[Ref, Ref]
) -> None:
    taps = (1, 1, *op.taps)[-3:]
    weights = np.zeros((), [("w", np.float32, taps)])
    weights["w"] = op.weights.reshape(taps)
    outside = types[0].type(op.cval if "constant" in op.modes else 0)
    bias = np.float32(0 if op.bias is None else op.bias[0])
    high = (8 if taps[0] < 7 else 6) * THREADS // WIDTH
    tables = op.tables(window)
    last = weights, outside, bias
    launch_march(launches, "dense", taps, high, 0, window.data.shape, window.want.shape, tables, types, places, last)


def _launch_correlate(
    launches: Launches,
    op: Stencil,
    window: Window,
    types: tuple[np.dtype, np.dtype, np.dtype],
    places: tuple[Ref, Ref],
    truncate: np.int32,
) -> None:
    """Any correlation."""
    shape, acc = window.want.shape, types[1]
    # Axes as the kernel has them: channel, three leading, y, x; missing ones have length 1.
    spatial = [axis for axis in range(len(shape)) if axis != op.channel_axis]
    order: list[int | None] = [op.channel_axis, *[None] * (5 - len(spatial)), *spatial]
    tables = op.tables(window)
    lines = [np.zeros(1, np.int64) if axis is None else tables[axis] for axis in order]

    def along(values: Any, missing: int) -> list[int]:
        return [missing if axis is None else values[axis] for axis in order]

    geometry = np.zeros((), GEOMETRY)
    geometry["size"] = size = along(shape, 1)
    geometry["in_stride"] = along(strides(window.data.shape), 0)
    geometry["out_stride"] = along(strides(shape), 0)
    geometry["table"] = np.cumsum([0, *(len(line) for line in lines[:-1])])
    geometry["taps"] = taps = [op.weights.shape[1], *along(op.taps, 1)[1:]]
    width = min(THREADS, max(4, power_of_two(ceil_div(size[5], OUTPUTS))))
    width = min(width, 32) if size[4] > 1 else width
    threads = (width, THREADS // width) if size[4] > 1 else (width, 1)
    columns, rows = threads[0] * OUTPUTS, threads[1] * ROWS
    chunk_y, chunk_x = _chunks(taps[4], taps[5], rows, columns, acc.itemsize)
    geometry["chunk_y"], geometry["chunk_x"] = chunk_y, chunk_x

    weights = op.weights.copy()
    if op.cast == "scipy":  # scipy leaves out taps that are nothing to it
        weights[np.abs(weights) <= np.finfo(np.float64).eps] = 0
    bias = np.zeros(len(weights)) if op.bias is None else op.bias
    constants = geometry, np.concatenate(lines).astype(np.int32), weights.astype(acc), bias.astype(acc)
    args = [*places, *map(launches.constant, constants), acc.type(op.cval), truncate]
    shared = (chunk_y * chunk_x + (rows + chunk_y - 1) * (columns + chunk_x - 1)) * acc.itemsize
    tiles = prod(size[:4]) * ceil_div(size[4], rows) * ceil_div(size[5], columns)
    launches.launch("correlate.cu", instantiation("correlate", types), tiles, threads, shared, args)


def _chunks(taps_y: int, taps_x: int, rows: int, columns: int, item: int) -> tuple[int, int]:
    """Taps (y, x) for which a tile is loaded at a time, as many as `CORRELATE_BYTES` of shared memory hold.

    Sums are made in C order of taps, so only whole rows of taps may be stacked.
    """
    budget = CORRELATE_BYTES // item
    widest = (budget - rows * (columns - 1)) // (rows + 1)
    if taps_x > widest:
        return 1, widest
    # rows of taps and of the tile: y * taps_x + (rows + y - 1) * pitch <= budget
    pitch = columns + taps_x - 1
    return min(taps_y, (budget - (rows - 1) * pitch) // (taps_x + pitch)), taps_x


def _padded(op: Stencil, window: Window, xp: Any) -> Any:
    """The block with its whole halo, boundary applied, in float64."""
    padded = window.data.astype(np.float64)
    for axis, table in enumerate(op.tables(window)):
        padded = padded.take(xp.asarray(np.maximum(table, 0)), axis)
        if (table < 0).any():
            padded[(slice(None),) * axis + (xp.asarray(np.flatnonzero(table < 0)),)] = op.cval
    return padded
