"""Launches of means weighted by likeness: cuda/patches.cu."""

from __future__ import annotations

from math import prod
from typing import TYPE_CHECKING

import numpy as np

from gridstride.workers.families.exponential import LARGEST
from gridstride.workers.families.rank_gpu import THREADS, WINDOWS, launch_pad
from gridstride.workers.launches import AXES, Launches, Ref, ceil_div, six, strides, type_name
from gridstride.workers.operators.base import Window

if TYPE_CHECKING:
    from gridstride.workers.families.patches import BilateralMean, LikeMean, NonLocalMean

FILE = "patches.cu"
RUN, RUN_THREADS = 8, 128  # as in patches.cu
VOLUMES = np.dtype([(key, np.int64, AXES) for key in ("size", "stride", "out_stride")])


def instantiations() -> list[tuple[str, str]]:
    """Every (file, name expression) that can be asked for."""
    names = [f"{name}<{t}>" for name in ("bilateral", "non_local") for t in ("f32", "f64")]
    return [(FILE, name) for name in (*names, "numbers<u32>", "numbers<u64>")]


def launch_bilateral(op: BilateralMean, window: Window, launches: Launches) -> None:
    launches.out_dtype = dtype = np.dtype(window.data.dtype)
    if (count := prod(window.want.shape)) == 0:
        return
    padded, steps = _padded(op, window, launches)
    geometry = np.zeros((), WINDOWS)
    geometry["size"], geometry["stride"] = six(window.want.shape, 1), six(steps, 0)
    tables = launches.constant(geometry), _offsets(op.taps @ np.array(steps), launches)
    spatial = launches.constant(op.spatial.astype(dtype))
    numbers = (
        np.int32(len(op.taps)),
        np.int32(np.dot(op.before, steps)),
        dtype.type(op.scale),
        dtype.type(LARGEST[dtype]),
    )
    args = padded, Ref("out"), *tables, spatial, np.int64(count), *numbers
    launches.launch(FILE, f"bilateral<{type_name(dtype)}>", ceil_div(count, THREADS), (THREADS, 1), 0, args)


def launch_non_local(op: NonLocalMean, window: Window, launches: Launches) -> None:
    launches.out_dtype = dtype = np.dtype(window.data.dtype)
    want = window.want.shape
    if prod(want) == 0:
        return
    padded, steps = _padded(op, window, launches)
    order: list[int | None] = [axis for axis in range(len(want)) if axis not in op.axes]
    order = [*[None] * (3 - len(order)), *order, *[None] * (3 - len(op.axes)), *op.axes]
    geometry = np.zeros((), VOLUMES)
    for key, values, missing in (("size", want, 1), ("stride", steps, 0), ("out_stride", strides(want), 0)):
        geometry[key] = [missing if axis is None else values[axis] for axis in order]
    inner = geometry["stride"][-3:]
    offsets = _offsets(op.shifts @ inner, launches)
    runs = prod(geometry["size"].tolist()) // int(geometry["size"][4]) * ceil_div(int(geometry["size"][4]), RUN)
    begin, first = int(inner.sum()) * op.reach, -int(inner.sum()) * (op.patch // 2 - 1)
    taps = [np.int32(op.patch - 1 if step else 1) for step in inner]
    args = (padded, Ref("out"), launches.constant(geometry), offsets, np.int32(len(op.shifts)))
    more = np.int64(runs), np.int64(begin), np.int64(first), *taps, launches.constant(op.terms(dtype))
    tiles = ceil_div(runs, RUN_THREADS)
    launches.launch(FILE, f"non_local<{type_name(dtype)}>", tiles, (RUN_THREADS, 1), 0, (*args, *more))


def _padded(op: LikeMean, window: Window, launches: Launches) -> tuple[Ref, list[int]]:
    """The data with their whole boundary, and its strides."""
    dtype, shape = np.dtype(window.data.dtype), op.padded_shape(window.want, window.grid)
    padded = launches.reserve("padded", prod(shape) * dtype.itemsize)
    launch_pad(op, window, launches, padded)
    key = f"u{8 * dtype.itemsize}"
    args = padded, np.int64(prod(shape))
    launches.launch(FILE, f"numbers<{key}>", ceil_div(prod(shape), THREADS), (THREADS, 1), 0, args)
    return padded, strides(shape)


def _offsets(offsets: np.ndarray, launches: Launches) -> Ref:
    if np.abs(offsets).max(initial=0) >= 2**31:
        raise ValueError("a window spans too much of a block for the GPU: give smaller blocks")
    return launches.constant(np.append(offsets, 0).astype(np.int32))
