"""How the CPU's loops see an array: which axes are planes, rows and elements of a row. Pure, for plans too."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod

import numpy as np

TOGETHER = 8  # planes of results that are made together
ROWS = 8  # rows of each that are made at a time
MERGED = 4096  # elements of axes without a pass that are taken as one row
SLAB = 2**20  # bytes of sums that are kept before they become a result that the loops do not write
SHORTEST = 16  # elements of such a row; fewer are taken along by the axis before them


@dataclass(frozen=True)
class View:
    """z, y: the axes of planes and of rows, if any
    x: that of rows' elements, if it has a pass; each of `inner` numbers, of axes without a pass behind it
    row: the length of a row; others: axes that are gone through one by one
    """

    z: int | None
    y: int | None
    x: int | None
    inner: int
    row: int
    others: tuple[int, ...]

    @classmethod
    def of(cls, shape: Sequence[int], axes: Sequence[int]) -> View:
        """axes: those that have a pass, ascending, of which two may be beside x."""
        end, inner = len(shape), 1
        while end > 0 and end - 1 not in axes and (inner == 1 or inner * shape[end - 1] <= MERGED):
            end -= 1
            inner *= shape[end]
        x, row = None, inner
        if end > 0 and end - 1 in axes and inner < SHORTEST:
            end -= 1
            x, row = end, inner * shape[end]
        down = [axis for axis in axes if axis != x]
        z = down[0] if down else None
        y = down[1] if len(down) > 1 else None
        if y is None and end - 1 > (-1 if z is None else z):
            y = end - 1
        return cls(z, y, x, inner, row, tuple(axis for axis in range(end) if axis not in (z, y)))


def count_alone(shape: Sequence[int], axes: Sequence[int]) -> int:
    """How many of the first passes must be made one by one. The last two down the array and one along rows are made
    together, if they come in the axes' order."""
    if list(axes) != sorted(set(axes)):
        return len(axes) - 1
    return max(0, len(axes) - (2 if View.of(shape, axes[-2:]).x is None else 3))


def writes(acc: np.dtype, out: np.dtype, cast: str) -> bool:
    """Whether the loops write a result's dtype."""
    if out == acc or out in (np.float32, np.float64):
        return True
    return cast == "round" and out.kind in "iu" and out.itemsize < acc.itemsize


def loops_bytes(shape: Sequence[int], taps: dict[int, int], item: int, read: int) -> int:
    """At most what the loops and their tables take, for an array of a padded shape.

    taps: of the axes that have a pass; item, read: bytes of a sum, and of an element of the array
    """
    view = View.of(shape, sorted(taps))

    def of(axis: int | None) -> tuple[int, int]:
        return (1, 1) if axis is None else (shape[axis], taps.get(axis, 1))

    (planes, z), (height, y), (_, x) = of(view.z), of(view.y), of(view.x)
    planes, height = min(TOGETHER, planes), min(ROWS, height)
    slots = y + height if view.y in taps else 0
    pitch = item * (view.row + 2 * x * view.inner) + 640
    rows = planes * (slots + 1) + z + planes + planes * height
    numbers = 8 * (4 * (slots + planes * height) + 4 * x * view.inner + 6 * sum(shape))
    copied = read * prod(shape) if view.row * item < 128 else 0
    return rows * pitch + numbers + copied + 48 * prod(shape[axis] for axis in view.others)
