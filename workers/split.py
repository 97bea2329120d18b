"""Blocks cut in parts, where memory does not suffice for the whole: the parts' results together are the block's.

Operators apply boundaries by global index, so the cut changes no bit; the FFT's last bits aside.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from gridstride.workers.operators.base import Block, boundary_table


def halves(operator: Any, block: Block) -> tuple[Block, Block]:
    """The block cut in two along the axis that leaves each half least to read, with just the data it needs.

    Put together along that axis, the halves' results are the block's. The channel axis is not cut.
    """
    axis, middle = _cut(operator, block)
    return (
        _part(operator, block, axis, block.start[axis], middle),
        _part(operator, block, axis, middle, block.stop[axis]),
    )


def ranges(operator: Any, block: Block, halvings: int) -> Iterator[Block]:
    """The block, which needs no data, halved so many times (or as often as it can be); `reach` says what each part
    needs."""
    try:
        axis, middle = _cut(operator, block)
    except ValueError:
        halvings = 0
    if halvings == 0:
        yield block
        return
    yield from ranges(operator, replace(block, stop=_changed(block.stop, axis, middle)), halvings - 1)
    yield from ranges(operator, replace(block, start=_changed(block.start, axis, middle)), halvings - 1)


def reach(operator: Any, block: Block) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Global range of the data that a block needs; below 0 and past the end where the grid is periodic."""
    lo, hi = [], []
    for axis, (size, start, stop) in enumerate(zip(block.shape, block.start, block.stop, strict=True)):
        (before, after), mode = operator.halo[axis], operator.modes[axis]
        first, last = start - before, stop + after
        if mode != "wrap":
            first, last = _ends(boundary_table(size, start, stop, before, after, 0, size, mode))
        lo.append(first)
        hi.append(last)
    return tuple(lo), tuple(hi)


def where(operator: Any, part: Block, block: Block) -> tuple[slice, ...]:
    """Where a part's result lies in the block's."""
    channel = getattr(operator, "channel_axis", None)
    return tuple(
        slice(None) if axis == channel else slice(a - origin, b - origin)
        for axis, (a, b, origin) in enumerate(zip(part.start, part.stop, block.start, strict=True))
    )


def _cut(operator: Any, block: Block) -> tuple[int, int]:
    """The axis to cut a block along, and where. Raises ValueError if it cannot be cut."""
    extent, channel = block.extent, getattr(operator, "channel_axis", None)
    shares = [
        ((n + 1) // 2 + sum(halo)) / (n + sum(halo)) if n > 1 and axis != channel else 1.0
        for axis, (n, halo) in enumerate(zip(extent, operator.halo, strict=True))
    ]
    axis = shares.index(min(shares))
    if shares[axis] == 1:
        raise ValueError(f"a block of {' x '.join(map(str, extent))} cannot be cut")
    return axis, block.start[axis] + (extent[axis] + 1) // 2


def _part(operator: Any, block: Block, axis: int, start: int, stop: int) -> Block:
    """The block from start to stop on an axis. Its data are those that the boundary table of that range names: where
    the halo is reflected at the grid's edge, that can be more than the range and its halo."""
    (before, after), mode = operator.halo[axis], operator.modes[axis]
    size, lo, available = block.shape[axis], block.lo[axis], block.data.shape[axis]
    table = boundary_table(size, start, stop, before, after, lo, available, mode)
    if mode == "wrap":  # what is needed may lie at both ends: put it in a row, as on a periodic axis that is cut
        data, first = block.data.take(table, axis), start - before - lo
    else:
        first, last = _ends(table)
        data = block.data[(slice(None),) * axis + (slice(first, last),)]
    return Block(
        data,
        _changed(block.lo, axis, lo + first),
        _changed(block.start, axis, start),
        _changed(block.stop, axis, stop),
        block.shape,
    )


def _ends(table: Any) -> tuple[int, int]:
    """The range of indices that a boundary table names."""
    inside = table[table >= 0]
    return int(inside.min()), int(inside.max()) + 1


def _changed(values: tuple[int, ...], axis: int, value: int) -> tuple[int, ...]:
    return (*values[:axis], value, *values[axis + 1 :])
