"""anisotropic-diffusion: noise flows away, edges stay, by Perona and Malik's equation."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from gridstride.workers.families.denoising import Iterative, Passes
from gridstride.workers.families.diffusion import Diffusion
from gridstride.workers.families.relay import alone, shares
from gridstride.workers.operators.base import Grid, Operator
from gridstride.workers.operators.fields import per_axis
from gridstride.workers.operators.graph import Step
from gridstride.workers.operators.kinds import Positives, Width

MOST_FUSED = 32  # iterations in one sweep: each is an element more that it looks beyond a block's edge
STEP = 0.1  # if that is stable


class AnisotropicDiffusion(Iterative):
    """Smooth within regions and not across their edges, by anisotropic diffusion.

    For a spacing of 1 as medpy.filter.smoothing.anisotropic_diffusion, options 1 (exponential) and 2 (quadratic), whose
    gamma is the step. Kappa is a fixed number, in the array's own values: ITK's filters make theirs from the mean
    gradient of the whole image. Integers are taken as they are. Nothing flows through the array's ends. Elements that
    are NaN, infinite or without data stay as they are, and no others are changed by them. More than 32 iterations are
    made in several sweeps.
    Example: gridstride filter anisotropic-diffusion cells.zarr smooth.zarr --kappa 2000 --iterations 10
    """

    formula = (
        "u += step * sum over neighbours n of c(s) (u_n - u) / h^2, s = |u_n - u| / (h kappa), "
        "c(s) = exp(-s^2) or 1 / (1 + s^2)"
    )
    source = "P. Perona, J. Malik, Scale-space and edge detection using anisotropic diffusion, 1990"

    kappa: Width = Field(description="Difference of neighbours from which on they are an edge, in the array's values.")
    iterations: Passes = Field(10, description="How many: the more, the smoother.")
    conductance: Literal["exponential", "quadratic"] = Field(
        "exponential", description="exponential keeps edges of high contrast, quadratic prefers large regions."
    )
    step: Width | None = Field(None, description="Time of an iteration (default: 0.1, or less where that is unstable).")
    spacing: Positives = Field(1.0, description="Between elements, one or one per filtered axis.")

    def bind(self, grid: Grid) -> Operator:
        axes = self.filtered(grid)
        by_axis = sorted(zip(axes, per_axis(self.spacing, axes, "spacing"), strict=True))
        spacing = tuple(h for _, h in by_axis)
        step = self.stable(spacing)
        parts = [
            Diffusion(tuple(sorted(axes)), spacing, self.kappa, step, self.conductance == "quadratic", count)
            for count in shares(self.iterations, MOST_FUSED)
        ]
        steps, source = self.begun(grid)
        return self.ended(grid, [*steps, Step("smooth", alone(tuple(parts)), (source,))])

    def stable(self, spacing: tuple[float, ...]) -> float:
        """The step. Raises ValueError for one by which values would go beyond those of their neighbours."""
        if not all(1e-12 < h < 1e12 for h in spacing):
            raise ValueError(f"spacing is {self.spacing}: expected numbers from 1e-12 to 1e12")
        most = 1 / (2 * sum(h**-2.0 for h in spacing))
        if self.step is None:
            return min(STEP, 0.6 * most)
        if self.step > most * (1 + 1e-9):
            raise ValueError(f"step is {self.step:g}: expected {most:.6g} at most, beyond which diffusion is unstable")
        return self.step
