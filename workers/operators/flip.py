"""flip: the array turned round along some axes."""

from __future__ import annotations

from typing import Any, ClassVar

from pydantic import Field

from gridstride.workers.families.reindex import Reindex
from gridstride.workers.operators.base import Grid, Operator
from gridstride.workers.operators.fields import Names, named_numbers
from gridstride.workers.operators.recipe import Recipe


class Flip(Recipe):
    """The mirror image: the array turned round along some axes.

    Equal to numpy.flip. The mirror image covers the space that the array covered: its origin stays. Any axis may be
    turned round, and labels too. Example: gridstride filter flip cells.zarr mirrored.zarr --axes x
    """

    formula: ClassVar[str] = "out[i] = in[n - 1 - i]"
    source: ClassVar[str] = "numpy.flip"

    axes: Names = Field(description="Axes to turn round, by name or number, such as y,x or yx.")

    def resolved(self, grid: Grid) -> dict[str, Any]:
        return {"axes": named_numbers(grid, self.axes)}

    def bind(self, grid: Grid) -> Operator:
        turned = named_numbers(grid, self.axes)
        first = tuple(n - 1 if axis in turned else 0 for axis, n in enumerate(grid.shape))
        steps = tuple(-1 if axis in turned else 1 for axis in range(grid.ndim))
        return Reindex(grid.shape, first, steps, ("nearest",) * grid.ndim)
