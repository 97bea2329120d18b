"""gaussian-gradient-magnitude: the norm of a Gaussian's derivatives, as scipy.ndimage.gaussian_gradient_magnitude."""

from __future__ import annotations

from typing import ClassVar

from pydantic import Field

from gridstride.workers.families.derivatives import gaussian_derivatives, joined, stored
from gridstride.workers.families.joined import Joined
from gridstride.workers.families.separable import Separable
from gridstride.workers.operators.base import Grid, Operator, accumulator
from gridstride.workers.operators.fields import Linear, per_axis
from gridstride.workers.operators.kinds import Positive, Positives


class GaussianGradientMagnitude(Linear):
    """Norm of the gradient, by derivatives of a Gaussian.

    Equal to scipy.ndimage.gaussian_gradient_magnitude, but for integers: scipy squares them in their own dtype, which
    overflows; here they are floating-point numbers until the result is stored. Of several modes, each is that of the
    derivative along its axis, on all axes, as in scipy. NaN gives NaN as far as the
    Gaussian reaches.
    Example: gridstride filter gaussian-gradient-magnitude cells.zarr edges.zarr --sigma 1.5
    """

    formula: ClassVar[str] = "sqrt(sum over axes of (derivative of G_sigma * x)^2)"
    source: ClassVar[str] = "scipy.ndimage.gaussian_gradient_magnitude"

    sigma: Positives = Field(description="Standard deviation in elements, one or one per filtered axis.")
    truncate: Positive = Field(4.0, description="Cut the Gaussian at this many sigma.")

    def bind(self, grid: Grid) -> Operator:
        axes, sums = self.filtered(grid), self.sums(grid)
        sigmas, number = per_axis(self.sigma, axes, "sigma"), accumulator(sums)
        terms = gaussian_derivatives(axes, sigmas, 1, self.modes(axes), self.outside(grid), self.truncate)
        parts = [Separable.of(passes, number, sums, "round") for passes in terms]
        return stored(joined(parts, Joined("euclidean")), number, self.out_dtype(grid), self.cast)
