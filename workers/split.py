"""Windows cut in parts, where memory does not suffice for the whole: the parts' results together are the whole's.

Operators apply boundaries by global index, so the cut changes no bit; the FFT's last bits aside.
"""

from __future__ import annotations

from collections.abc import Iterator

from gridstride.workers.operators.base import Grid, Operator
from gridstride.workers.region import Region


def halves(operator: Operator, want: Region, grid: Grid) -> tuple[Region, Region]:
    """The want cut in two along the axis that leaves each half least to read. Axes that the operator must have whole
    are not cut. Raises ValueError if it cannot be cut."""
    whole = operator.uncut(grid)
    reads = [
        (max(operator.needed(half, grid).size for half in want.halves(axis)), axis)
        for axis, n in enumerate(want.shape)
        if n > 1 and axis not in whole
    ]
    if not reads:
        raise ValueError(f"a block of {' x '.join(map(str, want.shape))} cannot be cut")
    return want.halves(min(reads)[1])


def parts(operator: Operator, want: Region, grid: Grid, halvings: int) -> Iterator[Region]:
    """The want halved so many times, or as often as it can be."""
    if halvings > 0:
        try:
            first, second = halves(operator, want, grid)
        except ValueError:
            halvings = 0
    if halvings == 0:
        yield want
        return
    yield from parts(operator, first, grid, halvings - 1)
    yield from parts(operator, second, grid, halvings - 1)
