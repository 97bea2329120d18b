"""What recipes of many passes over an array have in common."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

import numpy as np
from pydantic import BeforeValidator, Field

from gridstride.workers.families.derivatives import numbers, scaled, stored
from gridstride.workers.operators.base import WIDE, Grid
from gridstride.workers.operators.fields import DType, Filter
from gridstride.workers.operators.graph import Graph, Step
from gridstride.workers.operators.kinds import within

MOST_PASSES = 10_000
Passes = Annotated[int, BeforeValidator(within(1, MOST_PASSES))]


class Iterative(Filter):
    """A filter of many passes, whose results are floating-point numbers."""

    dtype: DType = Field(
        None, description="Of the result (default: float32, but float64 for 32-bit integers and wider)."
    )

    def out_dtype(self, grid: Grid) -> np.dtype:
        return np.dtype(self.dtype or ("float64" if grid.dtype.name in WIDE else "float32"))

    def between(self, grid: Grid) -> np.dtype:
        """What numbers are between one pass and the next."""
        return np.dtype(np.float64 if {grid.dtype.name, self.out_dtype(grid).name} & set(WIDE) else np.float32)

    def begun(self, grid: Grid, preserve_range: bool = True) -> tuple[list[Step], str]:
        """The steps that make the input such numbers, and the name of what they give. preserve_range: or else integers
        become parts of the largest of their dtype"""
        steps, source = scaled(grid, self.between(grid), preserve_range)
        return (steps, source) if steps else numbers(grid, self.between(grid))

    def ended(self, grid: Grid, steps: Sequence[Step], says: Sequence[str] = ()) -> Graph:
        """The steps, the last of which gives such numbers, with their result stored."""
        return stored(steps, self.between(grid), self.out_dtype(grid), "round", says)
