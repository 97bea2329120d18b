"""rolling-ball: the array less its background, as skimage.restoration.rolling_ball finds it."""

from __future__ import annotations

from math import ceil, pi
from typing import ClassVar

from pydantic import Field

from gridstride.workers.families.ball import Background, Ball
from gridstride.workers.operators.base import Grid, Operator
from gridstride.workers.operators.fields import Filter
from gridstride.workers.operators.graph import INPUT, Step
from gridstride.workers.operators.kinds import Width
from gridstride.workers.operators.morphology import difference

MOST_ELEMENTS = 2**26  # under a ball: 250 along a radius of three axes


class RollingBall(Filter):
    """The array less its background: what a ball that rolls below the landscape of its values reaches.

    Equal to image - skimage.restoration.rolling_ball(image, radius=radius) in each dtype, in 1 to 5 dimensions, and
    exact for 64-bit integers too; differences of signed integers saturate where NumPy's wrap around. The ball should be
    larger than the objects. NaN is left out of what the ball touches, and stays NaN. (ImageJ shrinks and smooths the
    image first, and gives other numbers.)
    Example: gridstride filter rolling-ball cells.zarr objects.zarr --radius 20 --axes y,x
    """

    formula: ClassVar[str] = "in[i] - min over |k| <= r of (in[i + k] + r - sqrt(r^2 - |k|^2))"
    source: ClassVar[str] = "skimage.restoration.rolling_ball; S. Sternberg, Biomedical image processing, 1983"

    radius: Width = Field(100.0, description="Of the ball, in elements and in units of the values.")

    def bind(self, grid: Grid) -> Operator:
        axes = self.filtered(grid)
        if grid.dtype.kind == "b":
            raise ValueError("the array holds truth values, which have no background: cast it first, such as to uint8")
        count = (2.0 * ceil(self.radius)) ** len(axes) * {2: pi / 4, 3: pi / 6}.get(len(axes), 1)
        if count > MOST_ELEMENTS:
            raise ValueError(
                f"radius is {self.radius:g}, a ball over {count:.2g} elements: expected {MOST_ELEMENTS:.2g} at most, "
                "such as of a downsampled array, or of fewer axes"
            )
        background = Background(Ball.of(tuple(sorted(axes)), self.radius, grid.dtype))
        return difference(grid, self.out_dtype(grid), (Step("background", background),), INPUT, "background")
