"""bilateral: a mean that keeps edges, as cv2.bilateralFilter."""

from __future__ import annotations

from math import ceil, log, prod, sqrt
from typing import ClassVar

import numpy as np
from pydantic import Field

from gridstride.workers.families.derivatives import numbers, stored
from gridstride.workers.families.patches import BilateralMean
from gridstride.workers.operators.base import Grid, Operator, accumulator, rounding
from gridstride.workers.operators.fields import Linear, per_axis
from gridstride.workers.operators.graph import Step
from gridstride.workers.operators.kinds import Counts, Sizes, Width, Widths

MOST_ELEMENTS = 2**17  # of a neighbourhood: 50 along each of three axes


class Bilateral(Linear):
    """Mean of the elements around each, of those with values like its own: noise goes, edges stay.

    The exact formula, along any number of axes. Of 2 axes equal to cv2.bilateralFilter with d = 2 radius + 1 and --mode
    mirror: in float32 within 1e-5 of the largest value, its table's error. skimage.restoration.denoise_bilateral 0.26
    has a box (its win_size is --size) and differs: it reads the weights of distances from a table of another width, so
    that they are those of other places, and the weights of values from a table of 10000 steps. NaN and infinity are
    left out, and stay as they are.
    Example: gridstride filter bilateral cells.zarr out.zarr --sigma-color 800 --sigma-spatial 1.5
    """

    formula: ClassVar[str] = "sum of w x / sum of w, w = exp(-(x - x0)^2 / 2 sigma_color^2 - |r|^2 / 2 sigma_spatial^2)"
    source: ClassVar[str] = "cv2.bilateralFilter; C. Tomasi, R. Manduchi, Bilateral filtering for gray and color images"

    sigma_color: Width = Field(description="Standard deviation of values that count as alike, in the array's units.")
    sigma_spatial: Widths = Field(
        1.0, description="Standard deviation of distances in elements, one or one per filtered axis."
    )
    radius: Counts | None = Field(
        None, description="Of the ball, one or one per filtered axis (default: 3 sigma_spatial, rounded up)."
    )
    size: Sizes | None = Field(None, description="Of a box instead, in elements, one or one per filtered axis.")

    def bind(self, grid: Grid) -> Operator:
        axes = self.filtered(grid)
        sigmas = per_axis(self.sigma_spatial, axes, "sigma_spatial")
        size, before = self.box(axes, sigmas)
        if prod(size) > MOST_ELEMENTS:
            shape = " x ".join(f"{n:.6g}" for n in size)
            raise ValueError(
                f"the neighbourhood of {shape} elements is too large: expected {MOST_ELEMENTS} at most; give a smaller "
                "size or radius, or sigma_spatial without them"
            )
        places = np.indices(size).reshape(len(size), -1).T
        away = (places - before)[(places != before).any(axis=1)]  # the element itself has weight 1
        if self.size is None:
            away = away[((away / np.maximum(before, 1)) ** 2).sum(axis=1) <= 1 + 1e-12]
        spatial = log(2) ** -1 / 2 * ((away / np.array(sigmas)) ** 2).sum(axis=1)
        return self.between_casts(grid, axes, size, before, away + before, spatial)

    def box(self, axes: list[int], sigmas: list[float]) -> tuple[list[int], list[int]]:
        """The neighbourhood's size and the elements of it before the output, on each filtered axis."""
        if self.size is not None and self.radius is not None:
            raise ValueError("give size or radius, not both")
        if self.size is not None:
            size = per_axis(self.size, axes, "size")
            return size, [n // 2 for n in size]
        default = [ceil(3 * sigma) for sigma in sigmas]
        radius = default if self.radius is None else per_axis(self.radius, axes, "radius")
        return [2 * r + 1 for r in radius], radius

    def between_casts(
        self, grid: Grid, axes: list[int], size: list[int], before: list[int], taps: np.ndarray, spatial: np.ndarray
    ) -> Operator:
        """The operator of a box on some axes, of floating-point numbers that the array's elements become first."""
        number = accumulator(self.sums(grid))
        every = {axis: n for n, axis in enumerate(axes)}
        modes = self.modes(axes)

        def on_all(values: list, other: object) -> tuple:
            return tuple(values[every[axis]] if axis in every else other for axis in range(grid.ndim))

        places = np.zeros((len(taps), grid.ndim), np.int64)
        places[:, axes] = taps
        scale = sqrt(1 / (2 * log(2))) / self.sigma_color
        geometry = on_all(size, 1), on_all(before, 0), on_all(modes, "nearest")
        mean = BilateralMean(*geometry, float(self.outside(grid)), places, spatial, scale)
        steps, source = numbers(grid, number)
        steps.append(Step("mean", mean, (source,)))
        return stored(steps, number, self.out_dtype(grid), self.cast, rounding(grid, self.sums(grid)))
