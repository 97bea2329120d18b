"""nl-means: a mean of elements whose surroundings are alike, as skimage.restoration.denoise_nl_means."""

from __future__ import annotations

from typing import Annotated, ClassVar

import numpy as np
from pydantic import BeforeValidator, Field

from gridstride.workers.families.derivatives import numbers, scaled, stored
from gridstride.workers.families.patches import NonLocalMean
from gridstride.workers.operators.base import Grid, Operator, accumulator, rounding
from gridstride.workers.operators.fields import Scaling
from gridstride.workers.operators.graph import Step
from gridstride.workers.operators.kinds import Spread, Width, Words, within

MOST_AXES = 3
SMALLEST = 1e-15  # h: with its square, float32 still has the scale of differences
LONGEST = 101  # of a patch, and the farthest that patches are looked for


class NlMeans(Scaling):
    """Mean of the elements near each, of those whose patches are like its own: noise goes, texture stays.

    Equal to skimage.restoration.denoise_nl_means in its fast mode, at the array's edges too (--mode mirror), with its
    exponential, which is within 4 % of the true one, and with its patches, which lack their first row and column: of
    float32 within 1e-5 of the largest value. Along 1 to 3 axes; channels are filtered one by one. Sigma is given, not
    estimated. Patches with NaN or infinity are left out, and such elements stay as they are.
    Example: gridstride filter nl-means cells.zarr out.zarr --patch-size 5 --patch-distance 6 --h 0.02 --sigma 0.01
    """

    formula: ClassVar[str] = (
        "sum of w x / sum of w, w = exp(-max(0, sum over the patch of (difference^2 - 2 sigma^2)) / (h^2 patch_size^n))"
    )
    source: ClassVar[str] = "skimage.restoration.denoise_nl_means, fast_mode=True; A. Buades et al., 2005"

    patch_size: Annotated[int, BeforeValidator(within(2, LONGEST))] = Field(
        7, description="Of patches in elements along each axis; an even size is taken as the next odd one."
    )
    patch_distance: Annotated[int, BeforeValidator(within(0, LONGEST))] = Field(
        11, description="How far away patches are looked for, in elements along each axis."
    )
    h: Width = Field(0.1, description="How different patches may be: the larger, the smoother.")
    sigma: Spread = Field(0.0, description="Standard deviation of the noise, whose share in differences is taken off.")
    mode: Words = Field(
        "mirror", description="Boundary: reflect, mirror, nearest, wrap or constant; one, or one per filtered axis."
    )

    def notes(self) -> list[str]:
        even = [f"patch_size {self.patch_size} is taken as {self.patch_size + 1}: patches are odd"]
        return [*super().notes(), *(even if self.patch_size % 2 == 0 else [])]

    def bind(self, grid: Grid) -> Operator:
        asked = self.filtered(grid)
        if len(asked) > MOST_AXES:
            raise ValueError(f"patches of {len(asked)} axes: expected {MOST_AXES} at most; name them with axes")
        if self.h < SMALLEST:
            raise ValueError(f"h is {self.h:g}: expected {SMALLEST:g} or more")
        if self.scaling(grid) and self.out_dtype(grid).kind in "iu":
            raise ValueError(
                f"results are parts of {np.iinfo(grid.dtype).max}, which {self.out_dtype(grid)} cannot hold: give "
                "--preserve-range and an h in the array's units, or leave dtype out"
            )
        modes = dict(zip(asked, self.modes(asked), strict=True))
        axes, patch, sums = sorted(asked), self.patch_size | 1, self.sums(grid)
        size = 2 * self.patch_distance + patch - 1
        before = self.patch_distance + patch // 2 - 1
        every = range(grid.ndim)
        mean = NonLocalMean(
            tuple(size if axis in axes else 1 for axis in every),
            tuple(before if axis in axes else 0 for axis in every),
            tuple(modes.get(axis, "nearest") for axis in every),
            float(self.outside(grid)),
            tuple(axes),
            patch,
            self.patch_distance,
            float(self.h),
            float(self.sigma) ** 2,
        )
        return self.between_casts(grid, mean, accumulator(sums))

    def between_casts(self, grid: Grid, mean: NonLocalMean, number: np.dtype) -> Operator:
        """The mean of floating-point numbers that the array's elements become first."""
        steps, source = scaled(grid, number, self.preserve_range)
        if not steps:
            steps, source = numbers(grid, number)
        steps.append(Step("mean", mean, (source,)))
        says = (*self.scaling(grid), *(rounding(grid, self.sums(grid)) if self.preserve_range else ()))
        return stored(steps, number, self.out_dtype(grid), self.cast, says)
