"""softmax: shares of a whole along an axis, as torch.nn.Softmax."""

from __future__ import annotations

from typing import Any, ClassVar

from pydantic import Field

from gridstride.workers.families.softmax import Softmax as Lines
from gridstride.workers.operators.base import Grid, Operator
from gridstride.workers.operators.fields import AxisName, DType, find_axis
from gridstride.workers.operators.layers import FLOATING, Floats, channel_of


class Softmax(Floats):
    """A layer of a neural network: numbers above 0 that sum to 1 along an axis.

    Equal to torch.nn.functional.softmax and scipy.special.softmax to float32's rounding. The largest element is
    subtracted first, so that nothing overflows; e^x is made in steps that are the same on every processor. Of a line
    with NaN or infinity all is NaN (of -infinity the element is 0). A block reads whole lines.
    Example: gridstride filter softmax cells.zarr shares.zarr --axis z
    """

    formula: ClassVar[str] = "exp(in - m) / sum of exp(in - m) along the axis, m = max of in along the axis"
    source: ClassVar[str] = "torch.nn.functional.softmax, scipy.special.softmax"

    axis: AxisName | None = Field(None, description="By name or number (default: the axis of type channel).")
    dtype: DType = FLOATING

    def bind(self, grid: Grid) -> Operator:
        return self.floating(grid, Lines(self.number(grid)))

    def resolved(self, grid: Grid) -> dict[str, Any]:
        return super().resolved(grid) | {"axis": self.number(grid)}

    def number(self, grid: Grid) -> int:
        """The axis. Raises ValueError if there is none."""
        found = channel_of(grid) if self.axis is None else find_axis(grid, self.axis)
        if found is None:
            raise ValueError(f"the array has no axis of channels ({grid.axis_list()}): name one with axis")
        return found
