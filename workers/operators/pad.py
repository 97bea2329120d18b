"""pad: more elements around the array, as numpy.pad."""

from __future__ import annotations

from typing import Any, ClassVar

from pydantic import Field

from gridstride.workers.families.elementwise import stored_as
from gridstride.workers.families.rank import constant
from gridstride.workers.families.reindex import Reindex
from gridstride.workers.operators.base import Grid, Operator
from gridstride.workers.operators.fields import Neighbourhood, per_axis
from gridstride.workers.operators.kinds import LARGEST, Counts, Words


class Pad(Neighbourhood):
    """More elements around the array: its mirror image, its edge, its other end, or a constant.

    Equal to numpy.pad, under scipy.ndimage's names of modes: reflect (NumPy's symmetric), mirror (reflect), nearest
    (edge), wrap, constant; the origin of the axes moves out by what is put before them. Labels may be padded.
    Example: gridstride filter pad cells.zarr wide.zarr --width 0,16,16 --mode reflect
    """

    formula: ClassVar[str] = "out[i] = in[i - before], outside by mode"
    source: ClassVar[str] = "numpy.pad"

    width: Counts | None = Field(None, description="Elements on both sides, one or one per filtered axis.")
    before: Counts | None = Field(None, description="Elements before the first, one or one per filtered axis.")
    after: Counts | None = Field(None, description="Elements after the last, one or one per filtered axis.")
    mode: Words = Field(
        "constant", description="What they are: reflect, mirror, nearest, wrap or constant; one, or one per axis."
    )

    def bind(self, grid: Grid) -> Operator:
        if (self.width is None) == (self.before is None and self.after is None):
            raise ValueError("expected width, or before and after (one of them, or both)")
        axes = self.filtered(grid)
        ends = [("before", self.before), ("after", self.after)] if self.width is None else [("width", self.width)] * 2
        before, after = (per_axis(0 if n is None else n, axes, name) for name, n in ends)
        shape, first, modes = list(grid.shape), [0] * grid.ndim, ["nearest"] * grid.ndim
        for axis, low, high, mode in zip(axes, before, after, self.modes(axes), strict=True):
            shape[axis], first[axis], modes[axis] = low + grid.shape[axis] + high, -low, mode
            if shape[axis] > LARGEST:
                raise ValueError(f"axis {axis} would have {shape[axis]} elements: expected {LARGEST} at most")
            if grid.shape[axis] == 0 and mode != "constant" and low + high:
                raise ValueError(f"axis {axis} has no elements to make others of: use mode constant")
        cval: Any = constant(self.outside(grid), grid.dtype) if "constant" in modes else 0
        operator = Reindex(tuple(shape), tuple(first), (1,) * grid.ndim, tuple(modes), cval)
        return stored_as(operator, grid, self.out_dtype(grid))
