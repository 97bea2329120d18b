"""Launches of separable filters: cuda/separable.cu, and cuda/march.cu where passes can be fused."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import TYPE_CHECKING, Any

import numpy as np

from gridstride.workers.families.march import (
    FUSED_HIGH,
    FUSED_SHAPES,
    MARCH_TYPES,
    THREADS,
    WIDTH,
    launch_march,
    pitch,
)
from gridstride.workers.launches import SHARED_BYTES, Launches, Ref, ceil_div, instantiation, power_of_two, type_name
from gridstride.workers.operators.base import Window, accumulator

if TYPE_CHECKING:
    from gridstride.workers.families.separable import Pass, Separable

COLUMN_OUTPUTS, ROW_OUTPUTS = 8, 7  # R in cuda/separable.cu

INPUTS = ("u8", "u16", "u32", "u64", "i8", "i16", "i32", "i64", "f32", "f64")
OUTPUTS = (*INPUTS, "bool")
ACCUMULATORS = ("f32", "f64")


def instantiations() -> list[tuple[str, str]]:
    """Every (file, name expression) that can be asked for.

    A pass reads the block's type and leaves sums, or reads sums and writes any type; all else goes through `cast`: the
    full product of types would be many times as many.
    """
    found = []
    for acc in ACCUMULATORS:
        types = [(i, acc) for i in INPUTS] + [(acc, o) for o in OUTPUTS if o != acc]
        for name in ("pass_columns", "pass_rows", "pass_direct"):
            found += [("separable.cu", f"{name}<{i}, {acc}, {o}>") for i, o in types]
        found += [("separable.cu", f"cast<{acc}, {o}, {o}>") for o in OUTPUTS if o != acc]
        found += [("separable.cu", f"cast<{acc}, {o}, {acc}>") for o in OUTPUTS if o != acc]
        found += [("separable.cu", f"halves<{acc}>")]
    for name in ("pass_columns", "pass_rows", "pass_direct"):  # sums of whole numbers
        found.append(("separable.cu", f"{name}<i64, i64, i64>"))
    return found


def stored(dtype: np.dtype, precision: str) -> np.dtype:
    """What the kernels store for a result of a dtype: float16 they do not write, so sums are left as they are."""
    return accumulator(precision) if dtype == np.float16 else dtype


def launch_separable(op: Separable, window: Window, launches: Launches) -> None:
    """The passes of `op`. window.data: contiguous, of a type the kernels read, and no more than is needed."""
    acc, out, ndim = accumulator(op.precision), stored(op.out_dtype, op.precision), window.grid.ndim
    tables, extent = op.tables(window), window.want.shape
    launches.out_dtype = out
    if prod(extent) == 0:
        return
    passes = op.passes or op.identity(ndim)
    shape, held, dtype = list(window.data.shape), Ref("data"), np.dtype(window.data.dtype)
    truncate = np.int32(op.cast == "scipy")
    apart = len(passes) - _fusible(op, ndim, dtype)
    for number, step in enumerate(passes[:apart]):
        last = number == len(passes) - 1
        # The first pass reads the block's type, so it leaves sums; only a later one writes any type.
        into = out if last and number > 0 else acc
        size = extent[step.axis]
        view = prod(shape[: step.axis]), shape[step.axis], size, prod(shape[step.axis + 1 :])
        shape[step.axis] = size
        count = prod(shape)
        target = Ref("out") if last and into == out else launches.reserve("ab"[number % 2], count * acc.itemsize)
        _launch_pass(launches, step, view, tables[step.axis], (dtype, acc, into), (held, target), truncate)
        held, dtype = target, into
        if op.between and not last:
            _round_through(launches, held, count, acc, op)
    if apart < len(passes):
        into = out if out in (acc, dtype) else acc
        target = Ref("out") if into == out else launches.reserve("ab"[apart % 2], prod(extent) * acc.itemsize)
        _launch_fused(launches, passes[apart:], shape, extent, tables, (dtype, into), (held, target))
        held, dtype = target, into
    if dtype != out:
        launch_cast(launches, (acc, out, out), held, Ref("out"), prod(shape), truncate)


def _launch_pass(
    launches: Launches,
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
    args: list[Any] = [*places, launches.constant(table.astype(np.int32)), launches.constant(step.weights.astype(acc))]
    args += [np.int32(taps), np.int32(step.symmetry), *(np.int64(n) for n in view)]
    args += [acc.type(step.cval), acc.type(step.divisor), truncate]
    launches.launch("separable.cu", instantiation(kernel, types), tiles, threads, shared, args)


def _fusible(op: Separable, ndim: int, dtype: np.dtype) -> int:
    """How many of the last passes one kernel can make, for blocks of a dtype: 0, 2 or 3.

    It must not depend on the block: fused sums are made in another order. Zeros outside are zeros after every pass,
    but of another constant each pass would have to see what those before it made.
    """
    if op.precision != "single" or op.cast != "round" or op.between:
        return 0
    last: list[Pass] = []
    for step in reversed(op.passes):
        if step.axis < ndim - 3 or (step.mode == "constant" and step.cval != 0):
            break
        last.append(step)
    read = np.dtype(np.float32) if len(last) < len(op.passes) else dtype
    return len(last) if type_name(read) in MARCH_TYPES and _taps(last, ndim) in FUSED_SHAPES else 0


def _taps(passes: Sequence[Pass], ndim: int) -> tuple[int, int, int]:
    """Of passes along the last three axes."""
    taps = {step.axis - ndim: len(step.weights) for step in passes}
    return taps.get(-3, 1), taps.get(-2, 1), taps.get(-1, 1)


def _launch_fused(
    launches: Launches,
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
    middle = 2 * tall * pitch(WIDTH) if taps[2] > 1 else 0
    last = weights, types[0].type(0), divisor
    launch_march(launches, "fused", taps, FUSED_HIGH, middle, shape, extent, tables, types, places, last)


def _round_through(launches: Launches, held: Ref, count: int, acc: np.dtype, op: Separable) -> None:
    """Round sums to what op.out_dtype holds, as scipy does by keeping them there between passes."""
    if op.out_dtype == np.float16:
        tiles = ceil_div(count, THREADS)
        launches.launch("separable.cu", f"halves<{type_name(acc)}>", tiles, (THREADS, 1), 0, (held, np.int64(count)))
    elif op.out_dtype != acc:
        launch_cast(launches, (acc, op.out_dtype, acc), held, held, count, np.int32(op.cast == "scipy"))


def launch_cast(launches: Launches, types: Any, source: Ref, target: Ref, count: int, truncate: np.int32) -> None:
    args = (source, target, np.int64(count), truncate)
    launches.launch("separable.cu", instantiation("cast", types), ceil_div(count, THREADS), (THREADS, 1), 0, args)
