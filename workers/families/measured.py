"""Measured: operators whose numbers follow from the whole array, or from each part of it, by earlier sweeps."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from math import inf, prod
from typing import Any

import numpy as np

from gridstride.workers.families.ranges import Rescaled
from gridstride.workers.families.survey import Survey
from gridstride.workers.nodata import NoData
from gridstride.workers.operators.base import Grid, Operator, Report
from gridstride.workers.region import Region

MOST_GROUPS = 10_000  # sets of numbers: each is found by itself
Number = float | Fraction
Numbers = tuple[Number, Number, Number, Number, Number, Number]


def surveyed(grid: Grid, per: Sequence[int], **asked: object) -> Survey:
    """What is asked of each part of an array. per: axes, each index of which is a part. Raises ValueError."""
    groups = prod(grid.shape[axis] for axis in per)
    if groups > MOST_GROUPS:
        raise ValueError(f"per names {groups} parts of the array: expected {MOST_GROUPS} at most")
    return Survey(grid.dtype, tuple(per), max(groups, 1), **asked)  # type: ignore[arg-type]


def over(grid: Grid, per: Sequence[int]) -> str:
    """What numbers are taken over, for people."""
    if not per:
        return "of the whole array"
    names = ", ".join(grid.axes[axis].name or f"axis {axis}" for axis in per)
    return f"of each of {prod(grid.shape[axis] for axis in per)} parts along {names}"


def pair(given: Any, name: str) -> tuple[float, float]:
    """Two percentiles, the first below the second. Raises ValueError."""
    values = given if isinstance(given, tuple) else (given,)
    if len(values) != 2 or not 0 <= values[0] < values[1] <= 100:
        text = ",".join(f"{value:g}" for value in values[:4])
        raise ValueError(f"{name} is {text}: expected two from 0 to 100, the first below the second, such as 1,99")
    return values[0], values[1]


@dataclass(frozen=True)
class Measured(Operator):
    """`Rescaled` by numbers that are not known yet.

    survey: what is asked of the array and known already
    target: the operator with everything but its numbers
    """

    survey: Survey
    target: Rescaled
    nodata: NoData | None = None

    def numbers(self, group: int) -> tuple[Numbers, int]:
        """low, high, shift, span, gain and offset of a part of the array that has been measured, exact; and a whole
        number near the shift. Raises ValueError where the array's values are none to go on with."""
        raise NotImplementedError

    def out_grid(self, grid: Grid) -> Grid:
        return self.target.out_grid(grid)

    def scratch(self, want: Region, grid: Grid, device: str) -> int:
        wanted = self.target if self.nodata is None else self.target.without(self.nodata, grid)[0]
        return wanted.scratch(want, grid, device)

    def element_time(self, grid: Grid) -> float:
        return self.target.element_time(grid)

    def describe(self) -> str:
        return self.target.describe()

    def without(self, nodata: NoData, grid: Grid) -> tuple[Operator, NoData]:
        left = nodata.stored_as(self.target.out_dtype)
        return replace(self, survey=replace(self.survey, nodata=nodata), nodata=nodata), left

    def first_sweep(self) -> Operator | None:
        return self.survey.sweep()

    def sweeps(self) -> int:
        return self.survey.sweeps()

    def resolve(self, reports: Iterable[Report], grid: Grid) -> Operator:
        known = replace(self, survey=self.survey.taken(reports))
        return known if known.first_sweep() is not None else known.resolved(grid)

    def resolved(self, grid: Grid) -> Operator:
        """The operator, when all is known."""
        rows, bits = [], []
        for group in range(self.survey.groups):
            numbers, whole = self.numbers(group)
            if grid.dtype.kind in "iu" and grid.dtype.itemsize == 8:
                whole = min(max(whole, int(np.iinfo(grid.dtype).min)), int(np.iinfo(grid.dtype).max))
            else:
                whole = 0
            rows.append([_less(number, whole) for number in numbers[:3]] + [float(number) for number in numbers[3:]])
            bits.append(whole % 2**64)
        made = self.target.but(numbers=np.array(rows, np.float64), whole=np.array(bits, np.uint64).view(np.int64))
        return made if self.nodata is None else made.without(self.nodata, grid)[0]


def _less(number: Number, whole: int) -> float:
    """A number less a whole one, rounded once."""
    return float(number) if number in (inf, -inf) else float(Fraction(number) - whole)
