"""The operators on a GPU: blocks are CuPy arrays, the kernels are in cuda/.

What an operator needs of the device (array functions, FFT, and running a plan) is a `Machine`; launches are
planned from shapes and NumPy values alone, so that tests can run the same launches on the CPU.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import prod
from typing import Any

import numpy as np

from gridstride.workers import kernels
from gridstride.workers.kernels import (
    DENSE_SHAPES,
    FUSED_SHAPES,
    MARCH_TYPES,
    SHARED_BYTES,
    Plan,
    Ref,
    ceil_div,
    instantiation,
    power_of_two,
    strides,
    type_name,
)
from gridstride.workers.operators.base import Block, accumulator, block_tables
from gridstride.workers.operators.correlate import Correlate
from gridstride.workers.operators.separable import Pass, Separable

name = "gpu"

THREADS = 256
COLUMN_OUTPUTS, ROW_OUTPUTS = 8, 7  # R in cuda/separable.cu
OUTPUTS, ROWS = 5, 2  # as in cuda/correlate.cu

# As in cuda/march.cu.
WIDTH, FUSED_HIGH = 32, 32
BOX = np.dtype(
    [("batches", np.int64), ("available", np.int64, 3), ("size", np.int64, 3), ("chunk", np.int64), ("holes", np.int64)]
)

# Blocks of threads that a large GPU runs at a time: two on each of an H100's 132 multiprocessors. It decides how the
# kernels that march cut z, and nothing else.
BLOCKS_AT_ONCE = 264

# A correlation of any size works in this much shared memory: three blocks of threads have room on any device.
CORRELATE_BYTES = 32 * 1024

# `Geometry` in cuda/correlate.cu
GEOMETRY = np.dtype(
    [(key, np.int64, 6) for key in ("size", "in_stride", "out_stride", "table", "taps")]
    + [("chunk_y", np.int64), ("chunk_x", np.int64)]
)


@dataclass(frozen=True)
class Machine:
    """Where operators run. xp: CuPy or NumPy; fft: a module like scipy.fft; run: as `kernels.run`."""

    xp: Any
    fft: Any
    run: Any


def _cupy() -> Machine:
    import cupy
    import cupyx.scipy.fft

    return Machine(cupy, cupyx.scipy.fft, kernels.run)


def separable(op: Separable, block: Block, on: Machine | None = None) -> Any:
    """Apply `op` to a block; returns an array of op.out_dtype and the block's extent."""
    on = on or _cupy()
    block = _readable(_cropped(op, block), on.xp)
    return _finished(on.run(plan_separable(op, block), block.data), op)


def correlate(op: Correlate, block: Block, on: Machine | None = None) -> Any:
    """Apply `op` to a block tap by tap; returns an array of op.out_dtype, outputs along the channel axis."""
    on = on or _cupy()
    block = _readable(_cropped(op, block), on.xp)
    return _finished(on.run(plan_correlate(op, block), block.data), op)


def fft(op: Correlate, block: Block, on: Machine | None = None) -> Any:
    """Apply `op` to a block by FFT, in float64; where the block holds NaN or infinity, tap by tap.

    (An FFT spreads one NaN over the whole block.)
    """
    on = on or _cupy()
    xp = on.xp
    shape = op.out_shape(block.extent)
    if prod(shape) == 0:
        return xp.empty(shape, op.out_dtype)
    padded = _padded(op, block, xp)
    if not xp.isfinite(padded).all():
        return correlate(op, block, on)
    taps, extent, weights = list(op.taps), list(block.extent), op.weights
    if op.channel_axis is None:
        padded = padded[None]
    else:
        padded = xp.moveaxis(padded, op.channel_axis, 0)
        del taps[op.channel_axis], extent[op.channel_axis]
    weights = weights.reshape(*weights.shape[:2], *taps)
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
    if _stored(op, "double") != np.float64:
        result = xp.ascontiguousarray(result)
        result = on.run(plan_cast(result, op), result)
    return _finished(result, op)


def plan_separable(op: Separable, block: Block) -> Plan:
    """The passes of `op`. block.data: contiguous, of a type the kernels read, cropped on axes without a pass."""
    acc, out = accumulator(op.precision), _stored(op)
    tables = block_tables(block, op.halo, op.modes)
    plan = Plan(block.extent, out)
    if prod(block.extent) == 0:
        return plan
    passes = op.passes or (Pass(op.ndim - 1, np.ones(1), 0, "nearest"),)
    shape, held, dtype = list(block.data.shape), Ref("data"), np.dtype(block.data.dtype)
    truncate = np.int32(op.cast == "scipy")
    apart = len(passes) - _fusible(op, dtype)
    for number, step in enumerate(passes[:apart]):
        last = number == len(passes) - 1
        # The first pass reads the block's type, so it leaves sums; only a later one writes any type.
        into = out if last and number > 0 else acc
        size = block.extent[step.axis]
        view = prod(shape[: step.axis]), shape[step.axis], size, prod(shape[step.axis + 1 :])
        shape[step.axis] = size
        count = prod(shape)
        target = Ref("out") if last and into == out else plan.reserve("ab"[number % 2], count * acc.itemsize)
        _launch_pass(plan, step, view, tables[step.axis], (dtype, acc, into), (held, target), truncate)
        held, dtype = target, into
        if op.between and not last:
            _round_through(plan, held, count, acc, op)
    if apart < len(passes):
        into = out if out in (acc, dtype) else acc
        target = Ref("out") if into == out else plan.reserve("ab"[apart % 2], prod(block.extent) * acc.itemsize)
        _launch_fused(plan, passes[apart:], shape, block.extent, tables, (dtype, into), (held, target))
        held, dtype = target, into
    if dtype != out:
        _launch_cast(plan, (acc, out, out), held, Ref("out"), prod(shape), truncate)
    return plan


def _launch_pass(
    plan: Plan,
    step: Pass,
    view: tuple[int, int, int, int],
    table: np.ndarray,
    types: tuple[np.dtype, np.dtype, np.dtype],
    places: tuple[Ref, Ref],
    truncate: np.int32,
) -> None:
    """One pass over an array seen as (before, available -> size, after)."""
    before, _, size, after = view
    acc, taps = types[1], len(step.weights)
    if after > 1:
        # As many columns as fill a warp, or as there are: the fewer, the more rows.
        columns = min(32, power_of_two(after))
        kernel, threads, outputs = "pass_columns", (columns, THREADS // columns), COLUMN_OUTPUTS
        values = (threads[1] * outputs + taps - 1) * columns
        tiles = before * ceil_div(size, threads[1] * outputs) * ceil_div(after, columns)
    else:
        width = min(THREADS, max(4, power_of_two(ceil_div(size, ROW_OUTPUTS))))
        kernel, threads, outputs = "pass_rows", (width, THREADS // width), ROW_OUTPUTS
        values = threads[1] * (width * outputs + taps - 1)
        tiles = ceil_div(before, threads[1]) * ceil_div(size, width * outputs)
    shared = (taps + values) * acc.itemsize
    if shared > SHARED_BYTES:
        kernel, threads, shared = "pass_direct", (THREADS, 1), 0
        tiles = ceil_div(before * size * after, THREADS)
    args: list[Any] = [*places, plan.constant(table.astype(np.int32)), plan.constant(step.weights.astype(acc))]
    args += [np.int32(taps), np.int32(step.symmetry), *(np.int64(n) for n in view)]
    args += [acc.type(step.cval), acc.type(step.divisor), truncate]
    plan.launch("separable.cu", instantiation(kernel, types), tiles, threads, shared, args)


def _fusible(op: Separable, dtype: np.dtype) -> int:
    """How many of the last passes one kernel can make, for blocks of a dtype: 0, 2 or 3.

    It must not depend on the block: fused sums are made in another order. Zeros outside are zeros after every pass,
    but of another constant each pass would have to see what those before it made.
    """
    if op.precision != "single" or op.cast != "round" or op.between:
        return 0
    last: list[Pass] = []
    for step in reversed(op.passes):
        if step.axis < op.ndim - 3 or (step.mode == "constant" and step.cval != 0):
            break
        last.append(step)
    read = np.dtype(np.float32) if len(last) < len(op.passes) else dtype
    return len(last) if type_name(read) in MARCH_TYPES and _taps(last, op.ndim) in FUSED_SHAPES else 0


def _taps(passes: Sequence[Pass], ndim: int) -> tuple[int, int, int]:
    """Of passes along the last three axes."""
    taps = {step.axis - ndim: len(step.weights) for step in passes}
    return taps.get(-3, 1), taps.get(-2, 1), taps.get(-1, 1)


def _launch_fused(
    plan: Plan,
    passes: Sequence[Pass],
    shape: Sequence[int],
    extent: tuple[int, ...],
    tables: list[np.ndarray],
    types: tuple[np.dtype, np.dtype],
    places: tuple[Ref, Ref],
) -> None:
    """Passes along the last three axes of an array of `shape`, all else of which is done."""
    taps = _taps(passes, len(shape))
    weights = np.ones((), [(name, np.float32, n) for name, n in zip("zyx", taps, strict=True)])
    for step in passes:
        weights["zyx"[step.axis - len(shape)]] = step.weights
    divisor = np.float32(prod(step.divisor for step in passes))
    tall = FUSED_HIGH + taps[1] - 1
    middle = 2 * tall * _pitch(WIDTH) if taps[2] > 1 else 0
    last = weights, types[0].type(0), divisor
    _launch_march(plan, "fused", taps, FUSED_HIGH, middle, shape, extent, tables, types, places, last)


def _pitch(wide: int) -> int:
    """`good_pitch` in cuda/march.cu."""
    return (wide + 3) // 8 * 8 + 4


def _launch_march(
    plan: Plan,
    kernel: str,
    taps: tuple[int, ...],
    high: int,
    more: int,
    shape: Sequence[int],
    extent: tuple[int, ...],
    tables: list[np.ndarray],
    types: tuple[np.dtype, np.dtype],
    places: tuple[Ref, Ref],
    last: tuple[Any, ...],
) -> None:
    """A kernel of cuda/march.cu, for tiles of `high` rows. Axes before the last three are as they are.

    more: values in shared memory besides two padded tiles and the places of their rows
    last: the arguments from the weights on
    """
    missing = max(0, 3 - len(shape))
    lines = [*[np.zeros(1, np.int64)] * missing, *tables[-3:]]
    box = np.zeros((), BOX)
    box["batches"] = batches = prod(extent[:-3])
    box["available"], box["size"] = [*[1] * missing, *shape[-3:]], (size := [*[1] * missing, *extent[-3:]])
    columns = batches * ceil_div(size[1], high) * ceil_div(size[2], WIDTH)
    box["chunk"] = chunk = march_length(size[0], taps[0], columns)
    table = np.concatenate(lines)
    box["holes"] = (table < 0).any()
    tall = high + taps[1] - 1
    shared = 4 * (2 * tall * _pitch(WIDTH + taps[2] - 1) + more) + 8 * (ceil_div(tall, 16) * 16)
    skip = [] if kernel == "fused" else ["true" if types[0].kind == "f" and (last[0]["w"] == 0).any() else "false"]
    expression = f"{kernel}<{', '.join([*map(type_name, types), *map(str, taps), *skip])}>"
    tiles = columns * ceil_div(size[0], chunk)
    args = *places, plan.constant(table.astype(np.int32)), box, *last
    plan.launch("march.cu", expression, tiles, (WIDTH, THREADS // WIDTH), shared, args)


def march_length(size: int, more: int, columns: int) -> int:
    """How many outputs along z a block of threads makes: what takes the least time if planes take equal time.

    A block goes through `more` planes besides: its halo (of taps - 1 planes) and one to fill the pipeline. The number
    of `columns` times chunks should be just below a multiple of what the GPU runs at a time. No more is read as halo
    than is made.
    """

    def planes(chunks: int) -> int:
        return ceil_div(columns * chunks, BLOCKS_AT_ONCE) * (ceil_div(size, chunks) + more)

    return ceil_div(size, min(range(1, max(1, min(size // more, 64)) + 1), key=planes))


def _round_through(plan: Plan, held: Ref, count: int, acc: np.dtype, op: Separable) -> None:
    """Round sums to what op.out_dtype holds, as scipy does by keeping them there between passes."""
    if op.out_dtype == np.float16:
        tiles = ceil_div(count, THREADS)
        plan.launch("separable.cu", f"halves<{type_name(acc)}>", tiles, (THREADS, 1), 0, (held, np.int64(count)))
    elif op.out_dtype != acc:
        _launch_cast(plan, (acc, op.out_dtype, acc), held, held, count, np.int32(op.cast == "scipy"))


def _launch_cast(plan: Plan, types: Any, source: Ref, target: Ref, count: int, truncate: np.int32) -> None:
    args = (source, target, np.int64(count), truncate)
    plan.launch("separable.cu", instantiation("cast", types), ceil_div(count, THREADS), (THREADS, 1), 0, args)


def plan_cast(sums: Any, op: Correlate) -> Plan:
    """Sums in float64, stored as op.out_dtype."""
    out = _stored(op, "double")
    plan = Plan(sums.shape, out)
    types = np.dtype(np.float64), out, out
    _launch_cast(plan, types, Ref("data"), Ref("out"), sums.size, np.int32(op.cast == "scipy"))
    return plan


def plan_correlate(op: Correlate, block: Block) -> Plan:
    """The one launch of a correlation (and a cast, where the kernel does not write op.out_dtype)."""
    acc, out = accumulator(op.precision), _stored(op)
    shape = op.out_shape(block.extent)
    plan = Plan(shape, out)
    if prod(shape) == 0:
        return plan
    dtype = np.dtype(block.data.dtype)
    into = out if out in (acc, dtype) else acc
    truncate = np.int32(op.cast == "scipy")
    target = Ref("out") if into == out else plan.reserve("a", prod(shape) * acc.itemsize)
    if _marches(op, dtype):
        _launch_dense(plan, op, block, (dtype, into), (Ref("data"), target))
    else:
        _launch_correlate(plan, op, block, (dtype, acc, into), (Ref("data"), target), truncate)
    if into != out:
        _launch_cast(plan, (acc, out, out), target, Ref("out"), prod(shape), truncate)
    return plan


def _marches(op: Correlate, dtype: np.dtype) -> bool:
    """Whether cuda/march.cu has a kernel for these taps. It must not depend on the block: see `_fusible`."""
    if op.precision != "single" or op.cast != "round" or op.channel_axis is not None:
        return False
    taps = (1, 1, *op.taps)
    if prod(taps[:-3]) > 1 or taps[-3:] not in DENSE_SHAPES or type_name(dtype) not in MARCH_TYPES:
        return False
    return dtype.kind == "f" or "constant" not in op.modes or _holds(dtype, op.cval)


def _holds(dtype: np.dtype, value: float) -> bool:
    """Whether an integer type has the value."""
    limits = np.iinfo(dtype)
    return limits.min <= value <= limits.max and value == int(value)


def _launch_dense(
    plan: Plan, op: Correlate, block: Block, types: tuple[np.dtype, np.dtype], places: tuple[Ref, Ref]
) -> None:
    taps = (1, 1, *op.taps)[-3:]
    weights = np.zeros((), [("w", np.float32, taps)])
    weights["w"] = op.weights.reshape(taps)
    outside = types[0].type(op.cval if "constant" in op.modes else 0)
    bias = np.float32(0 if op.bias is None else op.bias[0])
    high = (8 if taps[0] < 7 else 6) * THREADS // WIDTH
    tables = block_tables(block, op.halo, op.modes)
    last = weights, outside, bias
    _launch_march(plan, "dense", taps, high, 0, block.data.shape, block.extent, tables, types, places, last)


def _launch_correlate(
    plan: Plan,
    op: Correlate,
    block: Block,
    types: tuple[np.dtype, np.dtype, np.dtype],
    places: tuple[Ref, Ref],
    truncate: np.int32,
) -> None:
    """Any correlation."""
    shape, acc = op.out_shape(block.extent), types[1]
    # Axes as the kernel has them: channel, three leading, y, x; missing ones have length 1.
    spatial = [axis for axis in range(len(shape)) if axis != op.channel_axis]
    order: list[int | None] = [op.channel_axis, *[None] * (5 - len(spatial)), *spatial]
    tables = block_tables(block, op.halo, op.modes)
    lines = [np.zeros(1, np.int64) if axis is None else tables[axis] for axis in order]

    def along(values: Any, missing: int) -> list[int]:
        return [missing if axis is None else values[axis] for axis in order]

    geometry = np.zeros((), GEOMETRY)
    geometry["size"] = size = along(shape, 1)
    geometry["in_stride"] = along(strides(block.data.shape), 0)
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
    args = [*places, *map(plan.constant, constants), acc.type(op.cval), truncate]
    shared = (chunk_y * chunk_x + (rows + chunk_y - 1) * (columns + chunk_x - 1)) * acc.itemsize
    tiles = prod(size[:4]) * ceil_div(size[4], rows) * ceil_div(size[5], columns)
    plan.launch("correlate.cu", instantiation("correlate", types), tiles, threads, shared, args)


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


def _cropped(op: Separable | Correlate, block: Block) -> Block:
    """Without what lies outside the block on axes that have no halo."""
    lo, pieces = list(block.lo), [slice(None)] * len(block.lo)
    for axis in (axis for axis, halo in enumerate(op.halo) if halo == (0, 0)):
        first, last = block.start[axis] - block.lo[axis], block.stop[axis] - block.lo[axis]
        pieces[axis], lo[axis] = slice(first, last), block.start[axis]
    return replace(block, data=block.data[tuple(pieces)], lo=tuple(lo))


def _readable(block: Block, xp: Any) -> Block:
    """With contiguous data of a type the kernels read."""
    data = block.data
    if data.dtype == np.float16:
        data = data.astype(np.float32)
    if max(data.shape) >= 2**31 - 2**10:
        raise ValueError(f"a block of shape {data.shape} is too long for the kernels' 32-bit tables")
    data = xp.ascontiguousarray(data)
    return replace(block, data=data.view(np.uint8) if data.dtype == np.bool_ else data)


def _stored(op: Any, precision: str | None = None) -> np.dtype:
    """What the kernels store: float16 they do not write, so sums are left as they are."""
    dtype = np.dtype(op.out_dtype)
    return accumulator(precision or op.precision) if dtype == np.float16 else dtype


def _finished(result: Any, op: Any) -> Any:
    return result if result.dtype == op.out_dtype else result.astype(op.out_dtype)


def _padded(op: Correlate, block: Block, xp: Any) -> Any:
    """The block with its whole halo, boundary applied, in float64."""
    padded = block.data.astype(np.float64)
    for axis, table in enumerate(block_tables(block, op.halo, op.modes)):
        padded = padded.take(xp.asarray(np.maximum(table, 0)), axis)
        if (table < 0).any():
            padded[(slice(None),) * axis + (xp.asarray(np.flatnonzero(table < 0)),)] = op.cval
    return padded
