"""gaussian: the Gaussian filter and its derivatives, as scipy.ndimage.gaussian_filter."""

from __future__ import annotations

from typing import ClassVar

from pydantic import Field

from gridstride.workers.families.derivatives import NARROWEST, gaussian_passes
from gridstride.workers.families.exact import exactly
from gridstride.workers.families.separable import Separable
from gridstride.workers.operators.base import Grid, Operator
from gridstride.workers.operators.fields import Linear, per_axis
from gridstride.workers.operators.kinds import Counts, Numbers, Positive


class Gaussian(Linear):
    """Smooth with a Gaussian, or take derivatives of one.

    Equal to scipy.ndimage.gaussian_filter. NaN gives NaN as far as the Gaussian reaches.
    Example: gridstride filter gaussian cells.zarr smooth.zarr --sigma 1,2,2
    """

    formula: ClassVar[str] = "along each axis: sum over k of w[k] in[i + k], w[k] ~ exp(-k^2 / 2 sigma^2), sum of w = 1"
    source: ClassVar[str] = "scipy.ndimage.gaussian_filter"

    sigma: Numbers = Field(description="Standard deviation in elements, one or one per filtered axis.")
    order: Counts = Field(0, description="Order of derivative, one or one per filtered axis.")
    truncate: Positive = Field(4.0, description="Cut the Gaussian at this many sigma.")
    radius: Counts | None = Field(None, description="Cut the Gaussian at this many elements instead.")

    def bind(self, grid: Grid) -> Operator:
        axes, outside = self.filtered(grid), self.outside(grid)
        sigmas, orders = per_axis(self.sigma, axes, "sigma"), per_axis(self.order, axes, "order")
        self.check_sigmas(grid, axes, sigmas, orders)
        radii = per_axis(self.radius, axes, "radius")
        passes = gaussian_passes(axes, sigmas, orders, self.modes(axes), outside, self.truncate, radii=radii)
        operator = Separable.of(passes, self.out_dtype(grid), self.sums(grid), self.cast)
        return exactly(operator, grid, self.precision)

    def check_sigmas(self, grid: Grid, axes: list[int], sigmas: list[float], orders: list[int]) -> None:
        """Refuse a Gaussian without width, with what to type where it is meant to leave an axis out."""
        wide = [i for i, sigma in enumerate(sigmas) if sigma > NARROWEST]
        if len(wide) == len(axes):
            return
        flat = next(i for i in range(len(axes)) if i not in wide)
        if sigmas[flat] < 0 or not wide or orders[flat]:
            raise ValueError(f"sigma is {sigmas[flat]}: expected a number above 0 (leave an axis out with --axes)")
        names = [grid.axes[axes[i]].name or str(axes[i]) for i in wide]
        options = [f"--axes {','.join(names)}"]
        for name in ("sigma", "order", "radius", "mode"):
            if isinstance(values := getattr(self, name), tuple):
                options.append(f"--{name} {','.join(str(values[i]).removesuffix('.0') for i in wide)}")
        raise ValueError(f"sigma is 0 along an axis, which is then not filtered: type {' '.join(options)} for that")
