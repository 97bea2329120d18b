"""What recipes of many passes over an array have in common."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

from pydantic import BeforeValidator

from gridstride.workers.families.derivatives import numbers, scaled, stored
from gridstride.workers.operators.base import Grid
from gridstride.workers.operators.fields import Filter, Fractions
from gridstride.workers.operators.graph import Graph, Step
from gridstride.workers.operators.kinds import within

MOST_PASSES = 10_000
Passes = Annotated[int, BeforeValidator(within(1, MOST_PASSES))]


class Iterative(Fractions, Filter):
    """A filter of many passes, whose results are floating-point numbers."""

    def begun(self, grid: Grid, preserve_range: bool = True) -> tuple[list[Step], str]:
        """The steps that make the input such numbers, and the name of what they give. preserve_range: or else integers
        become parts of the largest of their dtype"""
        steps, source = scaled(grid, self.between(grid), preserve_range)
        return (steps, source) if steps else numbers(grid, self.between(grid))

    def ended(self, grid: Grid, steps: Sequence[Step], says: Sequence[str] = ()) -> Graph:
        """The steps, the last of which gives such numbers, with their result stored."""
        return stored(steps, self.between(grid), self.out_dtype(grid), "round", says)
