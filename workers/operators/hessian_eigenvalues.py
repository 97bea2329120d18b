"""hessian-eigenvalues: of the second derivatives, as skimage.feature.hessian_matrix_eigvals."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from pydantic import Field

from gridstride.workers.families.derivatives import scaled, stored
from gridstride.workers.families.hessian import Made, check_axes, hessian
from gridstride.workers.families.symmetric import Symmetric
from gridstride.workers.operators.base import Grid, Operator
from gridstride.workers.operators.fields import Precise, Scaling, per_axis
from gridstride.workers.operators.graph import Step
from gridstride.workers.operators.kinds import Positives, Words


class HessianEigenvalues(Precise, Scaling):
    """Eigenvalues of the matrix of second derivatives, by derivatives of a Gaussian.

    Equal to skimage.feature.hessian_matrix_eigvals of hessian_matrix(use_gaussian_derivatives=True): the result has a
    new first axis, along which the largest comes first. Results are floating-point numbers, and integers are divided by
    the largest of their dtype before (--preserve-range leaves them). Of 1 to 3 axes. NaN gives NaN as far
    as the Gaussian reaches.
    Example: gridstride filter hessian-eigenvalues cells.zarr out.zarr --sigma 2
    """

    formula: ClassVar[str] = "eigenvalues of (d/di G_s * d/dj G_s * x), s = sigma / sqrt(2)"
    source: ClassVar[str] = "skimage.feature.hessian_matrix, hessian_matrix_eigvals"

    sigma: Positives = Field(1.0, description="Standard deviation in elements, one or one per filtered axis.")
    mode: Words = Field(
        "constant", description="Boundary: reflect, mirror, nearest, wrap or constant; one, or one per filtered axis."
    )

    def bind(self, grid: Grid) -> Operator:
        axes = self.filtered(grid)
        check_axes(grid, axes, 1)
        dtype = self.between(grid)
        steps, source = scaled(grid, dtype, self.preserve_range)
        made = Made(axes, self.modes(axes), self.outside(grid), self.sums(grid), dtype, source)
        more, names = self.matrix(made, per_axis(self.sigma, axes, "sigma"))
        steps += [*more, Step("eigenvalues", Symmetric("eigenvalues"), names)]
        return stored(steps, dtype, self.out_dtype(grid), self.cast, self.scaling(grid))

    def matrix(self, made: Made, sigmas: Sequence[float]) -> tuple[list[Step], tuple[str, ...]]:
        return hessian(made, sigmas)
