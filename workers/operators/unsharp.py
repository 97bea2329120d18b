"""unsharp: sharpening by what a Gaussian takes away, as skimage.filters.unsharp_mask."""

from __future__ import annotations

from typing import ClassVar

from pydantic import Field

from gridstride.workers.families.derivatives import gaussian_passes, numbers, stored
from gridstride.workers.families.joined import Joined
from gridstride.workers.families.separable import Separable
from gridstride.workers.operators.base import Grid, Operator, accumulator
from gridstride.workers.operators.fields import Linear, per_axis
from gridstride.workers.operators.graph import Step
from gridstride.workers.operators.kinds import Factor, NotNegatives


class Unsharp(Linear):
    """Sharpen: add what a Gaussian takes away, amount times.

    Equal to skimage.filters.unsharp_mask with preserve_range: floating-point numbers are not clipped. Integers are
    rounded and saturate, which is what scikit-image's clipping to 0..1 does to integers. NaN gives NaN as far as the
    Gaussian reaches.
    Example: gridstride filter unsharp cells.zarr sharp.zarr --radius 2 --amount 0.5
    """

    formula: ClassVar[str] = "x + amount (x - G_radius * x)"
    source: ClassVar[str] = "skimage.filters.unsharp_mask"

    radius: NotNegatives = Field(
        1.0, description="Standard deviation of the Gaussian in elements, one or one per filtered axis."
    )
    amount: Factor = Field(1.0, description="How often what the Gaussian takes away is added.")

    def bind(self, grid: Grid) -> Operator:
        axes, sums = self.filtered(grid), self.sums(grid)
        number, sigmas = accumulator(sums), per_axis(self.radius, axes, "radius")
        passes = gaussian_passes(axes, sigmas, [0] * len(axes), self.modes(axes), self.outside(grid), name="radius")
        steps, source = numbers(grid, number)
        steps.append(Step("blurred", Separable.of(passes, number, sums, "round")))
        steps.append(Step("joined", Joined("weighted", (1 + self.amount, -self.amount)), (source, "blurred")))
        return stored(steps, number, self.out_dtype(grid), self.cast)
