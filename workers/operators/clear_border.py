"""clear-border: objects that touch no end of an axis, as skimage.segmentation.clear_border."""

from __future__ import annotations

from typing import Annotated, ClassVar

from pydantic import BeforeValidator, Field

from gridstride.workers.operators.base import Grid, Operator
from gridstride.workers.operators.kinds import LARGEST, Size, within
from gridstride.workers.operators.objects import Objects, of_objects


class ClearBorder(Objects):
    """Clear objects that touch an end of a filtered axis: their elements become 0.

    Equal to skimage.segmentation.clear_border. Of integers, an object is connected elements of one value; a label in
    several pieces is cleared piece by piece.
    Example: gridstride filter clear-border labels.zarr inner.zarr --spatial 2
    """

    formula: ClassVar[str] = "out[i] = 0 if the object that i is in touches an end of a filtered axis, else in[i]"
    source: ClassVar[str] = "skimage.segmentation.clear_border"

    buffer_size: Annotated[int, BeforeValidator(within(0, LARGEST))] = Field(
        0, description="Elements from an end at which an object still touches it."
    )
    connectivity: Size | None = Field(
        None,
        description="What connects elements: 1 a common face, 2 an edge too, 3 a corner (default: all).",
    )

    def bind(self, grid: Grid) -> Operator:
        of = of_objects(grid, "clear-border")
        labels = self.labels(grid).but(of=of, gives="border", border=self.buffer_size + 1, dtype=grid.dtype)
        thinnest = min((grid.shape[axis] for axis in labels.axes), default=1)
        if self.buffer_size >= thinnest > 0:
            raise ValueError(
                f"buffer_size is {self.buffer_size}: expected less than {thinnest}, the shortest filtered axis"
            )
        return self.stored(labels, grid)
