"""denoise-tv: total variation made less, as skimage.restoration.denoise_tv_chambolle."""

from __future__ import annotations

from pydantic import Field

from gridstride.workers.families.denoising import Iterative, Passes
from gridstride.workers.families.relay import alone, shares
from gridstride.workers.families.variation import Variation
from gridstride.workers.operators.base import Grid, Operator
from gridstride.workers.operators.fields import divided
from gridstride.workers.operators.graph import Step
from gridstride.workers.operators.kinds import Width

MOST_FUSED = 32  # updates in one sweep: each is an element more that it looks beyond a block's edge


class DenoiseTv(Iterative):
    """Make noise less and keep edges: an image like the one given, but of less total variation.

    Equal to skimage.restoration.denoise_tv_chambolle with eps=0 and max_num_iter iterations, a fixed number: when
    scikit-image stops earlier depends on the whole image. Integers become parts of the largest of their dtype, as
    there, and the weight is meant for these. Elements that are NaN, infinite or without data stay as they are, and no
    others are changed by them. More than 33 iterations are made in several sweeps.
    Example: gridstride filter denoise-tv cells.zarr smooth.zarr --weight 0.05 --iterations 30
    """

    formula = "u = in + div p, again and again p = (p - tau grad u) / (1 + tau |grad u| / weight), tau = 1 / (2 axes)"
    source = (
        "A. Chambolle, An algorithm for total variation minimization and applications, 2004; "
        "skimage.restoration.denoise_tv_chambolle"
    )

    weight: Width = Field(0.1, description="The larger, the less noise is left, and the less of the image.")
    iterations: Passes = Field(50, description="How many; the first is the image itself.")
    preserve_range: bool = Field(
        False, description="Leave integers as they are, not divided by the largest of their dtype."
    )

    def bind(self, grid: Grid) -> Operator:
        axes, out = tuple(sorted(self.filtered(grid))), self.out_dtype(grid)
        if not self.preserve_range and grid.dtype.kind in "iu" and out.kind != "f":
            raise ValueError(f"dtype is {out}, and integers become parts of their largest, 1: give preserve_range too")
        steps, source = self.begun(grid, self.preserve_range)
        updates = shares(self.iterations - 1, MOST_FUSED)
        parts = [
            Variation(axes, 1 / (2 * len(axes)), self.weight, count, takes=n > 0, gives=n < len(updates) - 1)
            for n, count in enumerate(updates)
        ]
        steps.append(Step("denoised", alone(tuple(parts)), (source,)))
        return self.ended(grid, steps, divided(grid) if not self.preserve_range else ())
