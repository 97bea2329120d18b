"""Launches of rank filters: cuda/rank.cu."""

from __future__ import annotations

from math import prod
from typing import TYPE_CHECKING, Any

import numpy as np

from gridstride.workers.families.networks import CUDA_BOXES
from gridstride.workers.launches import AXES, INPUTS, Launches, Ref, ceil_div, six, strides, type_name
from gridstride.workers.operators.base import Window

if TYPE_CHECKING:
    from gridstride.workers.families.minmax import MinMax
    from gridstride.workers.families.patches import LikeMean
    from gridstride.workers.families.rank import Rank

KEYS = ("u8", "u16", "u32", "u64")
NETWORKS = KEYS[:3]  # of 64 bits a box takes more registers than there are
THREADS, BOX_THREADS, BOX_ROWS, RUN = 256, 128, 16, 64  # as in rank.cu
COUNT_BYTES = 4 * (2 * (256 + 16) + 2)
FEWEST_COUNTED = 256  # elements of a box from which on counting takes less time than bisection
PADDING = np.dtype([(key, np.int64, AXES) for key in ("size", "in_stride", "table")])
WINDOWS = np.dtype([(key, np.int64, AXES) for key in ("size", "stride")])


def instantiations() -> list[tuple[str, str]]:
    """Every (file, name expression) that can be asked for."""
    names = [f"pad<{t}>" for t in INPUTS]
    names += [f"{name}<{key}>" for name in ("rank_of", "rank_of_valid", "rank_counted") for key in KEYS]
    names += [f"box_median<{key}, {a}, {b}, {c}>" for key in NETWORKS for a, b, c in CUDA_BOXES]
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
    geometry["size"], geometry["stride"] = six(window.want.shape, 1), six(strides(padded), 0)
    args: list[Any] = [keys, Ref("out"), launches.constant(geometry)]
    kind = np.int32({"i": 1, "f": 2}.get(dtype.kind, 0))
    key = f"u{8 * dtype.itemsize}"
    box = (1, 1, *op.size)[-3:]
    plain = op.footprint is None and op.missing is None
    if plain and box in CUDA_BOXES and prod(box) == op.count == 2 * op.rank + 1 and key in NETWORKS:
        rows, columns = ceil_div(window.want.shape[-2], BOX_ROWS), BOX_THREADS - box[2] + 1
        tiles = prod(window.want.shape[:-2]) * rows * ceil_div(window.want.shape[-1], columns)
        name, shared = f"box_median<{key}, {box[0]}, {box[1]}, {box[2]}>", prod(box[:2]) * BOX_THREADS * dtype.itemsize
        launches.launch("rank.cu", name, tiles, (BOX_THREADS, 1), shared, [*args, kind])
        return
    args.append(launches.constant(offsets.astype(np.int32)))
    if plain and op.count >= FEWEST_COUNTED:
        runs = prod(window.want.shape[:-1]) * ceil_div(window.want.shape[-1], RUN)
        args += [np.int64(runs), np.int32(op.count), np.int32(op.size[-1]), np.int32(op.rank), kind]
        launches.launch("rank.cu", f"rank_counted<{key}>", runs, (BOX_THREADS, 1), COUNT_BYTES, args)
        return
    args += [np.int64(count), np.int32(op.count)]
    name = "rank_of" if op.missing is None else "rank_of_valid"
    if op.missing is None:
        args += [np.int32(op.rank), kind]
    else:
        args += [launches.constant(op.ranks.astype(np.int32)), _key_of(op.missing, dtype), kind]
    launches.launch("rank.cu", f"{name}<{key}>", ceil_div(count, THREADS), (THREADS, 1), 0, args)


def _key_of(value: float | int, dtype: np.dtype) -> np.generic:
    """The key of a value of the dtype: an unsigned integer in the order of the values, NaN the last."""
    unsigned = np.dtype(f"u{dtype.itemsize}")
    bits, top = int(np.array(value, dtype).view(unsigned)), 1 << (8 * dtype.itemsize - 1)
    if dtype.kind == "f":
        largest = 2 * top - 1
        bits = largest if value != value else largest - bits if bits & top else bits | top
    return unsigned.type(bits ^ top if dtype.kind == "i" else bits)


def launch_pad(op: Rank | MinMax | LikeMean, window: Window, launches: Launches, keys: Ref) -> None:
    """The window's data with their whole boundary, as keys in the order of the values, NaN the last."""
    dtype, tables = np.dtype(window.data.dtype), op.tables(window)
    lines = [*[np.zeros(1, np.int64)] * (AXES - len(tables)), *tables]
    geometry = np.zeros((), PADDING)
    geometry["size"] = [len(line) for line in lines]
    geometry["in_stride"] = six(strides(window.data.shape), 0)
    geometry["table"] = np.cumsum([0, *(len(line) for line in lines[:-1])])
    constants = launches.constant(geometry), launches.constant(np.concatenate(lines).astype(np.int32))
    count = prod(len(line) for line in lines)
    args = Ref("data"), keys, *constants, np.int64(count), dtype.type(op.cval)
    launches.launch("rank.cu", f"pad<{type_name(dtype)}>", ceil_div(count, THREADS), (THREADS, 1), 0, args)
