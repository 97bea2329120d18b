"""clip: no values outside of a range, as numpy.clip."""

from __future__ import annotations

from math import ceil, floor, inf, isinf, isnan
from typing import ClassVar

import numpy as np
from pydantic import Field

from gridstride.workers.families.ranges import Clipped
from gridstride.workers.operators.base import Grid, Operator
from gridstride.workers.operators.kinds import Value
from gridstride.workers.operators.recipe import Recipe


class Clip(Recipe):
    """Values below a lowest one become that, values above a highest one that.

    Equal to numpy.clip, in the array's own dtype: a bound that it lacks, such as 2.5 for integers, is the next value
    inside the range. NaN stays. Example: gridstride filter clip cells.zarr clipped.zarr --low 500 --high 20000
    """

    formula: ClassVar[str] = "out = min(max(in, low), high)"
    source: ClassVar[str] = "numpy.clip"

    low: Value | None = Field(None, description="Lowest value of the result (default: no limit).")
    high: Value | None = Field(None, description="Highest value of the result (default: no limit).")

    def bind(self, grid: Grid) -> Operator:
        if self.low is None and self.high is None:
            raise ValueError("give clip a low, a high, or both")
        low, high = (-inf if self.low is None else self.low), (inf if self.high is None else self.high)
        for name, bound in (("low", low), ("high", high)):
            if isnan(bound):
                raise ValueError(f"{name} is NaN: expected a number")
        if low > high:
            raise ValueError(f"low is {low} and high is {high}: expected a low that is not above high")
        found = _of_floats(low, high, grid.dtype) if grid.dtype.kind == "f" else _of_whole(low, high, grid.dtype)
        return Clipped(*found)


def _of_floats(low: float, high: float, dtype: np.dtype) -> tuple[float, float]:
    """The bounds as the dtype has them, rounded to nearest. Raises ValueError for a range beyond all its numbers."""
    with np.errstate(over="ignore"):
        found = float(dtype.type(low)), float(dtype.type(high))
    for name, bound, given, side in (("low", found[0], low, inf), ("high", found[1], high, -inf)):
        if bound == side and not isinf(given):
            raise ValueError(f"{name} is {given}: expected a value that {dtype} has")
    return found


def _of_whole(low: float, high: float, dtype: np.dtype) -> tuple[int, int]:
    """The first and the last integer of a dtype inside a range. Raises ValueError where there is none."""
    limits = np.iinfo(np.uint8 if dtype.kind == "b" else dtype)
    least, most = (0, 1) if dtype.kind == "b" else (int(limits.min), int(limits.max))
    first = least if low <= least else most + 1 if low > most else ceil(low)
    last = most if high >= most else least - 1 if high < least else floor(high)
    if first > last:
        raise ValueError(
            f"no value of dtype {dtype} is from {low} to {high}: expected a range within {least} to {most}"
        )
    return first, last
