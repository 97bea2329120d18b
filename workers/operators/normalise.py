"""normalise: values on a scale of their own: by mean and standard deviation, by extremes, or by percentiles."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from math import inf, isfinite
from typing import ClassVar, Literal

import numpy as np
from pydantic import Field

from gridstride.workers.families.keys import FINITE
from gridstride.workers.families.measured import Measured, over, pair, surveyed
from gridstride.workers.families.measured import Numbers as Six
from gridstride.workers.families.ranges import Rescaled
from gridstride.workers.operators.base import Grid, Operator
from gridstride.workers.operators.fields import Fractions, Names, named_numbers
from gridstride.workers.operators.kinds import Numbers


class Normalise(Fractions):
    """Values on a scale of their own: less the mean, divided by the standard deviation; or by extremes or percentiles.

    Method zscore equals scipy.stats.zscore of the whole array, minmax (x - min) / (max - min), percentile the same
    between two percentiles (numpy.percentile), 0 to 1 if --clip is given. With --per c each channel has numbers of its
    own. They are exact: sums are rounded once, so they depend on no cut. NaN and infinities are left out of them, and
    stay; of equal values all become 0. Example: gridstride filter normalise cells.zarr normal.zarr --method zscore
    """

    formula: ClassVar[str] = (
        "zscore: (in - mean) / std; minmax: (in - min) / (max - min); percentile: (in - p0) / (p1 - p0)"
    )
    source: ClassVar[str] = "scipy.stats.zscore; numpy.percentile"

    method: Literal["zscore", "minmax", "percentile"] = Field("zscore", description="What the numbers are.")
    per: Names | None = Field(None, description="Axes, each index of which has numbers of its own, such as c.")
    percentiles: Numbers = Field((1.0, 99.0), description="Of method percentile: what becomes 0 and what becomes 1.")
    clip: bool = Field(False, description="Cut the results of minmax and percentile to 0 .. 1.")

    def notes(self) -> list[str]:
        given = []
        if self.method != "percentile" and "percentiles" in self.model_fields_set:
            given.append(f"percentiles has no effect: it is of method percentile, and method is {self.method}")
        if self.method == "zscore" and self.clip:
            given.append("clip has no effect: it is of methods minmax and percentile, and method is zscore")
        return given

    def bind(self, grid: Grid) -> Operator:
        out, per = self.out_dtype(grid), [] if self.per is None else sorted(named_numbers(grid, self.per))
        if out.kind != "f":
            raise ValueError(f"dtype is {out}: expected a floating-point type, results being about 1 or below")
        ends = pair(self.percentiles, "percentiles")
        percentiles = ends if self.method == "percentile" else ()
        survey = surveyed(
            grid, per, moments=self.method == "zscore", extremes=self.method != "zscore", percentiles=percentiles
        )
        what = f"percentiles {percentiles[0]:g} and {percentiles[1]:g}" if percentiles else self.method
        target = Rescaled(out, np.zeros((0, 6)), np.zeros(0, np.int64), tuple(per), method=f"{what} {over(grid, per)}")
        return Normalised(survey, target, clip=self.clip)


@dataclass(frozen=True)
class Normalised(Measured):
    """clip: whether results of minmax and percentile are cut to 0 .. 1"""

    clip: bool = False

    def numbers(self, group: int) -> tuple[Six, int]:
        survey = self.survey
        if not survey.of(FINITE, group):
            return (-inf, inf, 0.0, 1.0, 1.0, 0.0), 0
        if survey.moments:
            whole, mean = survey.whole[group], survey.whole[group] + Fraction(float(survey.rest[group]))
            return (-inf, inf, mean, float(survey.std[group]) or 1.0, 1.0, 0.0), whole
        low: float | Fraction
        high: float | Fraction
        if survey.percentiles:
            low, high = (survey.exact_percentile(number, group) for number in (0, 1))
        else:
            low, high = survey.low[group].item(), survey.high[group].item()
        if not (isfinite(low) and isfinite(high)):
            raise ValueError(f"normalise: the percentiles are {low} and {high}: expected finite numbers")
        whole = round(low)
        apart = float(Fraction(high) - Fraction(low)) or 1.0
        ends = (low, high) if self.clip else (-inf, inf)
        return (*ends, low, apart, 1.0, 0.0), whole
