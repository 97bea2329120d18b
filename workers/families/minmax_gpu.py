"""Launches of minima and maxima: cuda/minmax.cu, after the padded copy of cuda/rank.cu."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import isqrt, prod
from typing import TYPE_CHECKING

import numpy as np

from gridstride.workers.families.minmax_plan import runs_of
from gridstride.workers.families.rank_gpu import INPUTS, THREADS, WINDOWS, launch_pad
from gridstride.workers.launches import Launches, Ref, ceil_div, six, strides, type_name
from gridstride.workers.operators.base import Window

if TYPE_CHECKING:
    from gridstride.workers.families.minmax import MinMax

ROW_ITEMS = 4  # of cuda/minmax.cu
ONE_PASS = 8  # taps along an axis; more are two passes, the second over windows of the first


def instantiations() -> list[tuple[str, str]]:
    """Every (file, name expression) that can be asked for."""
    return [("minmax.cu", f"lowest<{t}>") for t in INPUTS]


@dataclass(frozen=True)
class Pass:
    """out[i] = the lowest of keys at places of `size` and strides, and offsets from there, in elements."""

    size: tuple[int, ...]
    strides: tuple[int, ...]
    offsets: np.ndarray
    to: int = 0  # where the results of chords begin in the buffer of keys; of the last pass, where that ends


def launch_minmax(op: MinMax, window: Window, launches: Launches) -> None:
    """A padded copy of the data as keys, and passes over it, of which the last makes values of the lowest keys."""
    dtype = np.dtype(window.data.dtype)
    launches.out_dtype = dtype if window.grid.dtype.kind != "b" else np.dtype(bool)
    if prod(window.want.shape) == 0:
        return
    padded, unsigned = op.padded_shape(window.want, window.grid), np.dtype(f"u{dtype.itemsize}")
    chords = op.footprint is not None
    if op.footprint is None:
        passes = list(box_passes(op.size, padded))
    else:
        passes = list(chord_passes(op.footprint, padded, window.want.shape))
    turn = unsigned.type(dtype.kind == "f" and not op.largest), unsigned.type(np.iinfo(unsigned).max * op.largest)
    source = launches.reserve("keys", (passes[-1].to if chords else prod(padded)) * dtype.itemsize)
    launch_pad(op, window, launches, source)
    for number, step in enumerate(passes):
        last = number == len(passes) - 1
        if last:
            target = Ref("out")
        elif chords:
            target = Ref("keys", step.to * dtype.itemsize)
        else:
            name = "between" if source.buffer == "keys" else "keys"
            target = launches.reserve(name, prod(step.size) * dtype.itemsize)
        geometry = np.zeros((), WINDOWS)
        geometry["size"], geometry["stride"] = six(step.size, 1), six(step.strides, 0)
        constants = launches.constant(geometry), launches.constant(step.offsets.astype(np.int64))
        rows, n = prod(step.size[:-1]), step.size[-1]
        args = source, target, *constants, np.int32(len(step.offsets)), np.int64(rows), *turn
        name = f"lowest<{type_name(dtype if last else unsigned)}>"
        launches.launch("minmax.cu", name, rows * ceil_div(n, ROW_ITEMS * THREADS), (THREADS, 1), 0, args)
        source = source if chords else target


def box_passes(size: Sequence[int], padded: tuple[int, ...]) -> Iterator[Pass]:
    """A pass or two along each axis."""
    shape = list(padded)
    if max(size) == 1:
        yield Pass(tuple(shape), tuple(strides(padded)), np.zeros(1, np.int64))
    for axis, n in enumerate(size):
        some = n if n <= ONE_PASS else isqrt(n - 1) + 1
        for window, offsets in ((some, range(some)), (n - some + 1, [*range(0, n - some, some), n - some])):
            if window == 1:
                continue
            before = strides(tuple(shape))
            shape[axis] -= window - 1
            yield Pass(tuple(shape), tuple(before), np.array(offsets) * before[axis])


def chord_passes(footprint: np.ndarray, padded: tuple[int, ...], want: tuple[int, ...]) -> Iterator[Pass]:
    """Windows of 2, 4, 8 ... elements along x, one array after another in the same buffer; then all chords."""
    begins, size = runs_of(footprint)
    level = np.array([int(n).bit_length() - 1 for n in size])
    total = prod(padded)
    for k in range(1, level.max() + 1):
        offsets = (k - 1) * total + np.array([0, 2 ** (k - 1)])
        yield Pass((total - 2**k + 1,), (1,), offsets, k * total)
    first = level * total + begins @ np.array(strides(padded))
    offsets = np.unique(np.concatenate([first, first + size - 2**level]))
    yield Pass(want, tuple(strides(padded)), offsets, int(level.max() + 1) * total)
