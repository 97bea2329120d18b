"""expand-labels: labels grow by a distance, as skimage.segmentation.expand_labels."""

from __future__ import annotations

from typing import ClassVar

from pydantic import Field

from gridstride.workers.families.distance import Expansion, Squares, reach_of
from gridstride.workers.families.elementwise import stored_as
from gridstride.workers.operators.base import Grid, Operator
from gridstride.workers.operators.edt import on_axes
from gridstride.workers.operators.fields import Filter, per_axis
from gridstride.workers.operators.kinds import Spread, Widths


class ExpandLabels(Filter):
    """Grow labels into the background, elements that are 0, up to a distance; they do not grow over each other.

    Equal to skimage.segmentation.expand_labels. Of label elements that are as near, the one that is first along the
    last axis is taken, then the one that is first along the axis before it, and so on, as there; no cut changes that.
    Blocks see as far as the distance beyond their edges. NaN is a label.
    Example: gridstride filter expand-labels labels.zarr grown.zarr --distance 3
    """

    formula: ClassVar[str] = (
        "out[i] = in[j], j the nearest to i with in[j] != 0, if |spacing (i - j)| <= distance; else 0"
    )
    source: ClassVar[str] = "skimage.segmentation.expand_labels"

    distance: Spread = Field(1.0, description="How far labels grow.")
    spacing: Widths = Field(1.0, description="Distance between elements, one or one per filtered axis.")

    def bind(self, grid: Grid) -> Operator:
        asked = self.filtered(grid)
        spacing = on_axes(per_axis(self.spacing, asked, "spacing"), asked, grid, 1.0)
        axes = tuple(sorted(asked))
        reach = reach_of(self.distance, spacing, axes, grid)
        grown = Expansion(axes, Squares.of(spacing, reach), reach, self.distance)
        return stored_as(grown, grid, self.out_dtype(grid))
