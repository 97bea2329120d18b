"""Launches of cuda/march.cu: kernels that march along z with a ring of planes in shared memory."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import Any

import numpy as np

from gridstride.workers.launches import Launches, Ref, ceil_div, type_name

# What cuda/march.cu is compiled for: types it reads (it writes float32 or the same) and taps along z, y and x.
MARCH_TYPES = ("u8", "u16", "i16", "f32")
FUSED_TAPS = range(3, 18, 2)
FUSED_SHAPES = frozenset((m, n, n) for m in (1, *FUSED_TAPS) for n in FUSED_TAPS) | {(n, n, 1) for n in FUSED_TAPS}
DENSE_SHAPES = frozenset({(n, n, n) for n in (3, 5, 7)} | {(1, n, n) for n in range(3, 16, 2)})

THREADS = 256
# As in cuda/march.cu.
WIDTH, FUSED_HIGH = 32, 32
BOX = np.dtype(
    [("batches", np.int64), ("available", np.int64, 3), ("size", np.int64, 3), ("chunk", np.int64), ("holes", np.int64)]
)
# Blocks of threads that a large GPU runs at a time: two on each of an H100's 132 multiprocessors. It decides how the
# kernels that march cut z, and nothing else.
BLOCKS_AT_ONCE = 264


def instantiations() -> list[tuple[str, str]]:
    """Every (file, name expression) that can be asked for."""
    found = []
    for i, o in ((read, written) for read in MARCH_TYPES for written in dict.fromkeys(("f32", read))):
        for z, y, x in sorted(FUSED_SHAPES):
            found += [("march.cu", f"fused<{i}, {o}, {z}, {y}, {x}>")]
        for z, y, x in sorted(DENSE_SHAPES):
            found += [("march.cu", f"dense<{i}, {o}, {z}, {y}, {x}, false>")]
            if i == "f32":  # a tap of zero matters where there are infinities
                found += [("march.cu", f"dense<{i}, {o}, {z}, {y}, {x}, true>")]
    return found


def pitch(wide: int) -> int:
    """`good_pitch` in cuda/march.cu."""
    return (wide + 3) // 8 * 8 + 4


def launch_march(
    launches: Launches,
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
    shared = 4 * (2 * tall * pitch(WIDTH + taps[2] - 1) + more) + 8 * (ceil_div(tall, 16) * 16)
    skip = [] if kernel == "fused" else ["true" if types[0].kind == "f" and (last[0]["w"] == 0).any() else "false"]
    expression = f"{kernel}<{', '.join([*map(type_name, types), *map(str, taps), *skip])}>"
    tiles = columns * ceil_div(size[0], chunk)
    args = *places, launches.constant(table.astype(np.int32)), box, *last
    launches.launch("march.cu", expression, tiles, (WIDTH, THREADS // WIDTH), shared, args)


def march_length(size: int, more: int, columns: int) -> int:
    """How many outputs along z a block of threads makes: what takes the least time if planes take equal time.

    A block goes through `more` planes besides: its halo (of taps - 1 planes) and one to fill the pipeline. The number
    of `columns` times chunks should be just below a multiple of what the GPU runs at a time. No more is read as halo
    than is made.
    """

    def planes(chunks: int) -> int:
        return ceil_div(columns * chunks, BLOCKS_AT_ONCE) * (ceil_div(size, chunks) + more)

    return ceil_div(size, min(range(1, max(1, min(size // more, 64)) + 1), key=planes))
