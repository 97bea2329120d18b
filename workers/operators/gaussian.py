"""gaussian: the Gaussian filter and its derivatives, as scipy.ndimage.gaussian_filter."""

from __future__ import annotations

import numpy as np
from pydantic import Field

from gridstride.workers.families.separable import Pass, Separable
from gridstride.workers.families.weights import gaussian_weights
from gridstride.workers.operators.base import Grid
from gridstride.workers.operators.fields import Counts, Linear, Numbers, Real, per_axis


class Gaussian(Linear):
    """Smooth with a Gaussian, or take derivatives of one.

    Equal to scipy.ndimage.gaussian_filter. Example: gridstride filter gaussian cells.zarr smooth.zarr --sigma 1,2,2
    """

    sigma: Numbers = Field(description="Standard deviation in elements, one or one per filtered axis.")
    order: Counts = Field(0, description="Order of derivative, one or one per filtered axis.")
    truncate: Real = Field(4.0, description="Cut the Gaussian at this many sigma.")
    radius: Counts | None = Field(None, description="Cut the Gaussian at this many elements instead.")

    def bind(self, grid: Grid) -> Separable:
        axes = self.filtered(grid)
        if not (self.truncate > 0 and np.isfinite(self.truncate)):
            raise ValueError(f"truncate is {self.truncate}: expected a number above 0")
        sigmas, orders = per_axis(self.sigma, axes, "sigma"), per_axis(self.order, axes, "order")
        for sigma in sigmas:
            if not (sigma > 0 and np.isfinite(sigma)):
                raise ValueError(f"sigma is {sigma}: expected a number above 0 (leave an axis out with --axes)")
        for order in orders:
            if order < 0:
                raise ValueError(f"order is {order}: expected a whole number, 0 or more")
        passes = []
        parts = zip(axes, sigmas, orders, self.modes(axes), per_axis(self.radius, axes, "radius"), strict=True)
        for axis, sigma, order, mode, radius in parts:
            weights = gaussian_weights(float(sigma), order, self.truncate, radius)
            passes.append(Pass(axis, weights, len(weights) // 2, mode, self.cval))
        return Separable.of(passes, self.out_dtype(grid), self.sums(grid), self.cast)
