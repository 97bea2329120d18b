"""dog: the difference of two Gaussians, as skimage.filters.difference_of_gaussians."""

from __future__ import annotations

from typing import ClassVar

from pydantic import Field

from gridstride.workers.families.derivatives import gaussian_passes, scaled, stored
from gridstride.workers.families.joined import Joined
from gridstride.workers.families.separable import Separable
from gridstride.workers.operators.base import Grid, Operator, accumulator
from gridstride.workers.operators.fields import Scaling, per_axis
from gridstride.workers.operators.graph import Step
from gridstride.workers.operators.kinds import NotNegatives, Positive, Words


class Dog(Scaling):
    """Difference of Gaussians: what is wider than low and narrower than high.

    Equal to skimage.filters.difference_of_gaussians: results are floating-point numbers, and integers are divided by
    the largest of their dtype before (--preserve-range leaves them). NaN gives NaN as far as the wide Gaussian reaches.
    Example: gridstride filter dog cells.zarr spots.zarr --low 1 --high 3
    """

    formula: ClassVar[str] = "G_low * x - G_high * x"
    source: ClassVar[str] = "skimage.filters.difference_of_gaussians"

    low: NotNegatives = Field(description="Standard deviation of the narrow Gaussian, one or one per filtered axis.")
    high: NotNegatives | None = Field(None, description="Standard deviation of the wide one (default: 1.6 x low).")
    truncate: Positive = Field(4.0, description="Cut the Gaussians at this many sigma.")
    mode: Words = Field(
        "nearest", description="Boundary: reflect, mirror, nearest, wrap or constant; one, or one per filtered axis."
    )

    def bind(self, grid: Grid) -> Operator:
        axes, sums = self.filtered(grid), self.sums(grid)
        low = per_axis(self.low, axes, "low")
        high = [1.6 * sigma for sigma in low] if self.high is None else per_axis(self.high, axes, "high")
        if any(wide < narrow for narrow, wide in zip(low, high, strict=True)):
            raise ValueError(f"high is {self.high}, less than low, {self.low}: expected at least as much on every axis")
        number, modes, outside = accumulator(sums), self.modes(axes), self.outside(grid)
        steps, source = scaled(grid, number, self.preserve_range)
        for name, sigmas in (("low", low), ("high", high)):
            passes = gaussian_passes(axes, sigmas, [0] * len(axes), modes, outside, self.truncate, name)
            steps.append(Step(name, Separable.of(passes, number, sums, "round"), (source,)))
        steps.append(Step("joined", Joined("difference"), ("low", "high")))
        return stored(steps, number, self.out_dtype(grid), self.cast, self.scaling(grid))
