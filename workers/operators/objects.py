"""What the operators of objects, which are connected elements, share."""

from __future__ import annotations

from math import prod

from pydantic import Field

from gridstride.workers.families.elementwise import stored_as
from gridstride.workers.families.labelling import Of
from gridstride.workers.families.labels import Labels
from gridstride.workers.families.labels_cells import cell_of
from gridstride.workers.operators.base import Grid, Operator
from gridstride.workers.operators.fields import Filter
from gridstride.workers.operators.kinds import Size


class Objects(Filter):
    """A filter of objects: elements that are connected along the filtered axes, in each slice of the others."""

    connectivity: Size | None = Field(
        1,
        description="What connects elements: 1 a common face, 2 an edge too, 3 a corner.",
    )

    def connected(self, grid: Grid, axes: list[int]) -> int:
        """The connectivity, checked: by default all elements around one."""
        if self.connectivity is None:
            return len(axes)
        if self.connectivity > len(axes):
            expected = f"1 to {len(axes)}, the number of filtered axes" if len(axes) > 1 else "1, for one filtered axis"
            raise ValueError(f"connectivity is {self.connectivity}: expected {expected}")
        return self.connectivity

    def labels(self, grid: Grid) -> Labels:
        """The operator that numbers objects, on which others are made."""
        axes = sorted(self.filtered(grid))
        return Labels(tuple(axes), self.connected(grid, axes), cell_of(grid, axes))

    def stored(self, operator: Operator, grid: Grid) -> Operator:
        """The result in the dtype asked for."""
        return operator if self.dtype is None else stored_as(operator, grid, self.out_dtype(grid))


def of_objects(grid: Grid, name: str) -> Of:
    """What an operator's objects are of: truth values, or the values of labels. Raises ValueError for other numbers."""
    if grid.dtype.kind not in "biu":
        raise ValueError(
            f"{name} takes bool or integers, and the array is {grid.dtype}: make a mask by threshold first"
        )
    return "objects" if grid.dtype.kind == "b" else "values"


def most_objects(grid: Grid, axes: tuple[int, ...]) -> int:
    """How many objects an array can have: every other element of each slice."""
    size = prod(grid.shape[axis] for axis in axes)
    return prod(grid.shape) // max(1, size) * ((size + 1) // 2)
