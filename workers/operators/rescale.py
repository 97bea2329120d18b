"""rescale: one range of values stretched over another, as skimage.exposure.rescale_intensity."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from math import inf, isfinite
from typing import Annotated, Any, ClassVar

import numpy as np
from pydantic import BeforeValidator, Field

from gridstride.workers.families.keys import FINITE
from gridstride.workers.families.measured import Measured, Number, over, pair, surveyed
from gridstride.workers.families.measured import Numbers as Six
from gridstride.workers.families.ranges import Rescaled
from gridstride.workers.operators.base import Cast, Grid, Operator
from gridstride.workers.operators.fields import DType, Names, named_numbers
from gridstride.workers.operators.kinds import Numbers, Several, plain, real
from gridstride.workers.operators.recipe import Recipe

# Ranges that are called by the name of a dtype; of integers not here, all values that they have.
NAMED: dict[str, tuple[float, float]] = {
    "bool": (0.0, 1.0), "float": (-1.0, 1.0), "float16": (-1.0, 1.0), "float32": (-1.0, 1.0), "float64": (-1.0, 1.0),
    "uint10": (0.0, 1023.0), "uint12": (0.0, 4095.0), "uint14": (0.0, 16383.0),
}  # fmt: skip
INTEGERS = ("uint8", "uint16", "uint32", "uint64", "int8", "int16", "int32", "int64")
NAMED |= {name: (float(np.iinfo(name).min), float(np.iinfo(name).max)) for name in INTEGERS}
Range = Annotated[str | tuple[float, float], BeforeValidator(lambda value: range_of(value)), Several(str)]


def range_of(given: Any) -> str | tuple[float, float]:
    """A word, or two numbers, as text too."""
    value = plain(given)
    parts = value.split(",") if isinstance(value, str) and "," in value else value
    if isinstance(parts, str):
        if parts in (*NAMED, "image", "dtype"):
            return parts
    elif isinstance(parts, list | tuple) and len(parts) == 2:
        try:
            low, high = (real(float(part) if isinstance(part, str) else part) for part in parts)
            return low, high
        except ValueError:
            pass
    raise ValueError("expected two numbers LOW,HIGH, or image, dtype or the name of a dtype such as uint8 or uint12")


class Rescale(Recipe):
    """One range of values stretched over another, such as the array's own over all that its dtype has.

    Equal to skimage.exposure.rescale_intensity: values outside of the range are cut to it; two numbers for --out-range
    give floating-point numbers; integers are truncated. --percentiles 2,98 is a range between two percentiles of the
    array. NaN and infinities count for no range; NaN stays. With --per c each channel has a range of its own.
    Example: gridstride filter rescale cells.zarr bright.zarr --percentiles 2,98 --out-range uint8
    """

    formula: ClassVar[str] = "out = (cut(in, in0, in1) - in0) / (in1 - in0) (out1 - out0) + out0"
    source: ClassVar[str] = "skimage.exposure.rescale_intensity"

    in_range: Range = Field(
        "image", description="LOW,HIGH, or image (its extremes), dtype (all values), or a dtype such as uint12."
    )
    out_range: Range = Field(
        "dtype", description="The same of the result: dtype (of floats -1 or 0 to 1), a dtype, image, or LOW,HIGH."
    )
    percentiles: Numbers | None = Field(None, description="Two percentiles as in_range, such as 2,98.")
    per: Names | None = Field(None, description="Axes, each index of which has ranges of its own, such as c.")
    dtype: DType = Field(None, description="Of the result (default: as out_range says).")
    cast: Cast = Field("scipy", description="To integers: truncate, as scikit-image and scipy do, or round.")

    def out_dtype(self, grid: Grid) -> np.dtype:
        if self.dtype is not None:
            return np.dtype(self.dtype)
        if not isinstance(self.out_range, str):
            return np.dtype(np.float32 if grid.dtype.name in ("float16", "float32") else np.float64)
        if self.out_range in ("image", "dtype"):
            return grid.dtype
        return np.dtype(np.uint16 if self.out_range in ("uint10", "uint12", "uint14") else self.out_range)

    def resolved(self, grid: Grid) -> dict[str, Any]:
        return {"dtype": self.out_dtype(grid).name}

    def bind(self, grid: Grid) -> Operator:
        percentiles = () if self.percentiles is None else pair(self.percentiles, "percentiles")
        if percentiles and "in_range" in self.model_fields_set:
            raise ValueError("give in_range or percentiles, not both")
        if not isinstance(self.in_range, str) and self.in_range[0] >= self.in_range[1]:
            low, high = self.in_range
            raise ValueError(f"in_range is {low:g},{high:g}: expected LOW,HIGH, the first the smaller one")
        out, per = self.out_dtype(grid), [] if self.per is None else sorted(named_numbers(grid, self.per))
        if out.kind != "f" and not isinstance(self.out_range, str):
            least, most = NAMED[out.name]
            if not all(least <= value <= most for value in self.out_range):
                low, high = self.out_range
                raise ValueError(f"out_range is {low:g},{high:g}: dtype {out} has values from {least:g} to {most:g}")
        image = "image" in (self.out_range, "" if percentiles else self.in_range)
        survey = surveyed(grid, per, extremes=image, percentiles=percentiles)
        wanted = f"percentiles {percentiles[0]:g} and {percentiles[1]:g}" if percentiles else _text(self.in_range)
        where = f" {over(grid, per)}" if percentiles or image else ""
        target = Rescaled(
            out, np.zeros((0, 6)), np.zeros(0, np.int64), tuple(per), grid.dtype.name in ("float16", "float32"),
            self.cast == "scipy" and out.kind != "f", f"{wanted} to {_text(self.out_range)}{where}",
        )  # fmt: skip
        made = Stretched(survey, target, in_range=self.in_range, out_range=self.out_range)
        return made if percentiles or image else made.resolved(grid)


def _text(given: str | tuple[float, float]) -> str:
    return given if isinstance(given, str) else f"{given[0]:g} .. {given[1]:g}"


@dataclass(frozen=True)
class Stretched(Measured):
    """in_range, out_range: names, or two numbers"""

    in_range: str | tuple[float, float] = "image"
    out_range: str | tuple[float, float] = "dtype"

    def numbers(self, group: int) -> tuple[Six, int]:
        survey = self.survey
        if (survey.extremes or survey.percentiles) and not survey.of(FINITE, group):
            return (-inf, inf, 0.0, 1.0, 1.0, 0.0), 0
        if survey.percentiles:
            low, high = (survey.exact_percentile(number, group) for number in (0, 1))
            if not (isfinite(low) and isfinite(high)):
                raise ValueError(f"rescale: the percentiles are {low} and {high}: expected finite numbers")
        else:
            low, high = self._ends(self.in_range, group)
        least, most = self._ends(self.out_range, group)
        if isinstance(self.out_range, str) and self.out_range != "image" and low >= 0:
            least = 0.0  # as scikit-image does where no value is negative
        if low == high:
            only = min(max(low, least), most)  # in scikit-image values are cut to the first range, then to the other
            return (only, only, 0.0, 1.0, 1.0, 0.0), 0
        span, gain = float(Fraction(high) - Fraction(low)), float(Fraction(most) - Fraction(least))
        return (low, high, low, span, gain, least), round(low)

    def _ends(self, given: str | tuple[float, float], group: int) -> tuple[Number, Number]:
        if not isinstance(given, str):
            return given
        if given == "image":
            return self.survey.low[group].item(), self.survey.high[group].item()
        return NAMED[self.survey.dtype.name if given == "dtype" else given]
