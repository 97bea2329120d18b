"""gaussian-laplace: the Laplacian of Gaussian, as scipy.ndimage.gaussian_laplace."""

from __future__ import annotations

from typing import ClassVar

from pydantic import Field

from gridstride.workers.families.derivatives import added, gaussian_derivatives
from gridstride.workers.families.separable import Separable
from gridstride.workers.operators.base import Grid, Operator, accumulator, signs
from gridstride.workers.operators.fields import Linear, per_axis
from gridstride.workers.operators.kinds import Positive, Positives


class GaussianLaplace(Linear):
    """Laplacian of Gaussian: the sum of its second derivatives. Bright spots are below 0.

    Equal to scipy.ndimage.gaussian_laplace: not scaled by sigma^2. Results below 0 are 0 in unsigned integers: give a
    dtype. Of several modes, each is that of the term with the derivative along its axis, on all axes, as in scipy.
    NaN gives NaN as far as the Gaussian reaches.
    Example: gridstride filter gaussian-laplace cells.zarr spots.zarr --sigma 2 --dtype float32
    """

    formula: ClassVar[str] = "sum over axes of the second derivative of G_sigma * x"
    source: ClassVar[str] = "scipy.ndimage.gaussian_laplace"

    sigma: Positives = Field(description="Standard deviation in elements, one or one per filtered axis.")
    truncate: Positive = Field(4.0, description="Cut the Gaussian at this many sigma.")

    def bind(self, grid: Grid) -> Operator:
        axes = self.filtered(grid)
        sums, out, scipys = self.sums(grid), self.out_dtype(grid), self.cast == "scipy"
        between = out if scipys else accumulator(sums)
        sigmas, modes = per_axis(self.sigma, axes, "sigma"), self.modes(axes)
        terms = gaussian_derivatives(axes, sigmas, 2, modes, self.outside(grid), self.truncate)
        parts = [Separable.of(passes, between, sums, self.cast) for passes in terms]
        return added(parts, out, accumulator(sums), self.cast, signs(out, self.cast))
