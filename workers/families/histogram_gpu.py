"""Launches of cuda/histogram.cu."""

from __future__ import annotations

from math import prod
from typing import TYPE_CHECKING, Any

import numpy as np

from gridstride.workers.families.parts import nothing, rows_of
from gridstride.workers.launches import INPUTS, Launches, Ref, ceil_div, type_name
from gridstride.workers.operators.base import Window

if TYPE_CHECKING:
    from gridstride.workers.families.histogram import Histogram

THREADS = 256
# Bins that a block of threads counts in its own shared memory, 4 bytes each: six such blocks have room on any device.
PRIVATE_BINS = 2048
# Elements that a block of threads counts for each of its bins, at least, so that adding them to all costs little.
EACH = 16


def instantiations() -> list[tuple[str, str]]:
    """Every (file, name expression) that can be asked for."""
    names = [f"extremes<{t}>" for t in INPUTS]
    names += [f"count_values<{t}, {private}>" for t in INPUTS for private in ("true", "false")]
    return [("histogram.cu", name) for name in (*names, "zero<i64>")]


def launch_extremes(window: Window, launches: Launches) -> None:
    """The extremes of each of some equal parts of a block: a report of a row each."""
    dtype = np.dtype(window.data.dtype)
    count, rows = prod(window.want.shape), rows_of(window)
    launches.out_shape, launches.out_dtype = (rows, 2), dtype
    low, high = nothing(dtype)
    args = Ref("data"), Ref("out"), np.int64(count), np.int64(rows), dtype.type(low), dtype.type(high)
    shared = 2 * THREADS * dtype.itemsize
    launches.launch("histogram.cu", f"extremes<{type_name(dtype)}>", rows, (THREADS, 1), shared, args)


def launch_histogram(op: Histogram, window: Window, launches: Launches) -> None:
    """Counts of zero, to which every block of threads adds what it has counted."""
    dtype, count = np.dtype(window.data.dtype), prod(window.want.shape)
    launches.out_shape, launches.out_dtype = (op.bins,), np.dtype(np.int64)
    tiles = ceil_div(op.bins, THREADS)
    launches.launch("histogram.cu", "zero<i64>", tiles, (THREADS, 1), 0, (Ref("out"), np.int64(op.bins)))
    if count == 0:
        return
    private = op.bins <= PRIVATE_BINS
    edges = np.zeros(1, dtype) if op.edges is None else op.edges.astype(dtype)
    args: list[Any] = [Ref("data"), Ref("out"), np.int64(count), np.int64(op.bins), dtype.type(op.low)]
    args += [np.float64(op.scale), launches.constant(edges)]
    expression = f"count_values<{type_name(dtype)}, {'true' if private else 'false'}>"
    each = max(16 * THREADS, EACH * op.bins if private else 0)
    shared = 4 * op.bins if private else 0
    launches.launch("histogram.cu", expression, ceil_div(count, each), (THREADS, 1), shared, args)
