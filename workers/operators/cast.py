"""cast: the same numbers as another dtype."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any, ClassVar

import numpy as np
from pydantic import BeforeValidator, Field

from gridstride.workers.families.elementwise import Elementwise
from gridstride.workers.families.reindex import Reindex
from gridstride.workers.operators.base import Grid, Operator
from gridstride.workers.operators.fields import dtype_name
from gridstride.workers.operators.recipe import Recipe


class Cast(Recipe):
    """The same numbers as another dtype: rounded half to even, and cut to what the dtype holds.

    Equal to numpy.rint, numpy.clip and astype, one after another. NaN becomes 0 in integers; true is what is rounded to
    1 or more. Example: gridstride filter cast cells.zarr small.zarr --dtype uint8
    """

    formula: ClassVar[str] = "out = min(max(round(in), least), most)"
    source: ClassVar[str] = "numpy: rint, clip, ndarray.astype"

    dtype: Annotated[str, BeforeValidator(dtype_name)] = Field(description="Of the result, such as uint8 or float32.")

    def resolved(self, grid: Grid) -> dict[str, Any]:
        return {"dtype": self.dtype}

    def bind(self, grid: Grid) -> Operator:
        if grid.dtype == self.dtype:
            return Reindex(grid.shape, (0,) * grid.ndim, (1,) * grid.ndim, ("nearest",) * grid.ndim)
        return Conversion("cast", np.dtype(self.dtype))


@dataclass(frozen=True)
class Conversion(Elementwise):
    """A cast that says what is lost by it."""

    def remarks(self, grid: Grid) -> tuple[str, ...]:
        have, out = grid.dtype, self.out_dtype
        if out.kind == "f":
            digits, most = np.finfo(out).nmant + 1, float(np.finfo(out).max)
            if have.kind in "iu" and 8 * have.itemsize - (have.kind == "i") > digits:
                return (f"whole numbers beyond 2^{digits} are rounded to the nearest that {out} has",)
            larger = have.kind == "f" and have.itemsize > out.itemsize
            return (f"numbers beyond {most:.6g} become infinite",) if larger else ()
        low, high = _limits(out)
        if have.kind == "f":
            return (f"fractions are rounded, numbers are cut to {low} .. {high}, and NaN becomes 0",)
        least, most = _limits(have)
        ends = ([f"below {low}"] if least < low else []) + ([f"above {high}"] if most > high else [])
        return (f"numbers {' and '.join(ends)} are cut to that",) if ends else ()


def _limits(dtype: np.dtype) -> tuple[int, int]:
    return (0, 1) if dtype.kind == "b" else (int(np.iinfo(dtype).min), int(np.iinfo(dtype).max))
