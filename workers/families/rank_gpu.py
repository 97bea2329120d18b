"""Launches of rank filters: cuda/rank.cu."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import TYPE_CHECKING

import numpy as np

from gridstride.workers.launches import Launches, Ref, ceil_div, strides, type_name
from gridstride.workers.operators.base import Window

if TYPE_CHECKING:
    from gridstride.workers.families.minmax import MinMax
    from gridstride.workers.families.rank import Rank

INPUTS = ("u8", "u16", "u32", "u64", "i8", "i16", "i32", "i64", "f32", "f64")
MEDIANS = (9, 25, 27)  # numbers of values whose median is found in registers
THREADS = 256
AXES = 6
PADDING = np.dtype([(key, np.int64, AXES) for key in ("size", "in_stride", "table")])
WINDOWS = np.dtype([(key, np.int64, AXES) for key in ("size", "stride")])


def instantiations() -> list[tuple[str, str]]:
    """Every (file, name expression) that can be asked for."""
    names = [name for t in INPUTS for name in (f"pad<{t}>", f"rank_of<{t}>", f"rank_of_valid<{t}>")]
    names += [f"median_of<{t}, {count}>" for t in INPUTS for count in MEDIANS]
    return [("rank.cu", name) for name in names]


def launch_rank(op: Rank, window: Window, launches: Launches) -> None:
    """A padded copy of the data as keys, and the rank of each window of it."""
    dtype = np.dtype(window.data.dtype)
    launches.out_dtype = dtype if window.grid.dtype.kind != "b" else np.dtype(bool)
    count = prod(window.want.shape)
    if count == 0:
        return
    padded, taps = op.padded_shape(window.want, window.grid), op.taps
    keys = launches.reserve("keys", prod(padded) * dtype.itemsize)
    launch_pad(op, window, launches, keys)
    offsets = taps @ np.array(strides(padded))
    if offsets.max() >= 2**31:
        raise ValueError(f"a window of {' x '.join(map(str, op.size))} elements spans too much of a block for the GPU")
    geometry = np.zeros((), WINDOWS)
    geometry["size"], geometry["stride"] = _six(window.want.shape, 1), _six(strides(padded), 0)
    args = [keys, Ref("out"), launches.constant(geometry), launches.constant(offsets.astype(np.int32)), np.int64(count)]
    name = type_name(dtype)
    if op.missing is not None:
        expression = f"rank_of_valid<{name}>"
        args += [np.int32(len(taps)), launches.constant(op.ranks.astype(np.int32)), dtype.type(op.missing)]
    elif len(taps) in MEDIANS and op.rank == len(taps) // 2:
        expression = f"median_of<{name}, {len(taps)}>"
    else:
        expression = f"rank_of<{name}>"
        args += [np.int32(len(taps)), np.int32(op.rank)]
    launches.launch("rank.cu", expression, ceil_div(count, THREADS), (THREADS, 1), 0, args)


def launch_pad(op: Rank | MinMax, window: Window, launches: Launches, keys: Ref) -> None:
    """The window's data with their whole boundary, as keys in the order of the values, NaN the last."""
    dtype, tables = np.dtype(window.data.dtype), op.tables(window)
    lines = [*[np.zeros(1, np.int64)] * (AXES - len(tables)), *tables]
    geometry = np.zeros((), PADDING)
    geometry["size"] = [len(line) for line in lines]
    geometry["in_stride"] = _six(strides(window.data.shape), 0)
    geometry["table"] = np.cumsum([0, *(len(line) for line in lines[:-1])])
    constants = launches.constant(geometry), launches.constant(np.concatenate(lines).astype(np.int32))
    count = prod(len(line) for line in lines)
    args = Ref("data"), keys, *constants, np.int64(count), dtype.type(op.cval)
    launches.launch("rank.cu", f"pad<{type_name(dtype)}>", ceil_div(count, THREADS), (THREADS, 1), 0, args)


def _six(values: Sequence[int], missing: int) -> list[int]:
    """Of six axes, the leading ones of which may be missing."""
    return [*[missing] * (AXES - len(values)), *values]
