"""remove-small: objects of at least some size, as skimage.morphology.remove_small_objects."""

from __future__ import annotations

from typing import ClassVar

from pydantic import Field

from gridstride.workers.families.labels_sizes import Sized
from gridstride.workers.operators.base import Grid, Operator
from gridstride.workers.operators.kinds import Size
from gridstride.workers.operators.objects import Objects, of_objects


class RemoveSmall(Objects):
    """Keep objects of at least so many elements: those of smaller ones become 0.

    Equal to skimage.morphology.remove_small_objects with max_size one less. Of bool, objects are connected elements; of
    integers, all elements of one value in a slice, connected or not (make a mask by threshold first if these are no
    labels).
    Example: gridstride filter remove-small mask.zarr large.zarr --size 6000
    """

    formula: ClassVar[str] = "out[i] = in[i] if the object that i is in has at least size elements, else 0"
    source: ClassVar[str] = "skimage.morphology.remove_small_objects"

    size: Size = Field(64, description="Number of elements of the smallest objects that are kept.")
    connectivity: Size = Field(
        1,
        description="What connects elements of bool: 1 a common face, 2 an edge too, 3 a corner.",
    )

    def bind(self, grid: Grid) -> Operator:
        labels = self.labels(grid).but(gives="small", size=self.size, dtype=grid.dtype)
        by_value = of_objects(grid, "remove-small") == "values"
        return self.stored(Sized(labels.axes, self.size) if by_value else labels, grid)
