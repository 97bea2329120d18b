"""sato: how much like a tube, as skimage.filters.sato."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import ClassVar

from pydantic import Field

from gridstride.workers.families.derivatives import stored
from gridstride.workers.families.hessian import Made, check_axes, hessian
from gridstride.workers.families.joined import Joined
from gridstride.workers.families.symmetric import Symmetric
from gridstride.workers.operators.base import Grid, Operator
from gridstride.workers.operators.fields import Precise
from gridstride.workers.operators.graph import Step
from gridstride.workers.operators.kinds import Positives


class Sato(Precise):
    """How much each element is in a tube or ridge, by the Hessian's eigenvalues; the largest over all sigmas.

    Equal to skimage.filters.sato: integers keep their range, results are floating-point numbers, and ridges are dark
    unless --no-black-ridges is given. Of 2 or 3 axes. NaN gives NaN as far as the widest Gaussian reaches.
    Example: gridstride filter sato cells.zarr tubes.zarr --sigmas 1,2,3 --no-black-ridges
    """

    formula: ClassVar[str] = "max over sigma of sigma^2 (product of all eigenvalues above 0 but the smallest)^(1/(n-1))"
    source: ClassVar[str] = "skimage.filters.sato; Y. Sato et al., Three-dimensional multi-scale line filter, 1998"

    sigmas: Positives = Field((1.0, 3.0, 5.0, 7.0, 9.0), description="Half widths of ridges to look for, in elements.")
    black_ridges: bool = Field(True, description="Ridges are darker than what is around them.")

    @property
    def widths(self) -> list[float]:
        """The sigmas in order: the result does not depend on theirs."""
        found = sorted(self.sigmas) if isinstance(self.sigmas, tuple) else [self.sigmas]
        for one, other in pairwise(found):
            if one == other:
                raise ValueError(f"sigmas has {one:g} twice: give each once")
        return found

    @property
    def sign(self) -> float:
        """What the matrices are multiplied by: a bright ridge is a dark one of the image times -1."""
        return 1.0 if self.black_ridges else -1.0

    def bind(self, grid: Grid) -> Operator:
        steps: list[Step] = []
        for number, sigma in enumerate(self.widths):
            more, names = self.matrices(grid, sigma, f"s{number} ")
            measure = Symmetric("sato", (self.sign, sigma))
            steps += [*more, *largest(measure, names, number)]
        return stored(steps, self.between(grid), self.out_dtype(grid), self.cast)

    def matrices(self, grid: Grid, sigma: float, prefix: str = "") -> tuple[list[Step], tuple[str, ...]]:
        """The steps that make the Hessian for a sigma, and the names of its elements."""
        axes = self.filtered(grid)
        check_axes(grid, axes, 2)
        outside = self.sign * self.outside(grid)  # of the image times the sign
        made = Made(axes, self.modes(axes), outside, self.sums(grid), self.between(grid), option="sigmas")
        return hessian(made, [sigma] * len(axes), prefix)


def largest(measure: Symmetric, names: Sequence[str], number: int) -> list[Step]:
    """The steps of a measure of matrices, and of the largest of it and of those before."""
    steps = [Step(f"measure{number}", measure, tuple(names))]
    if number:
        before = "measure0" if number == 1 else f"largest{number - 1}"
        steps.append(Step(f"largest{number}", Joined("maximum"), (before, f"measure{number}")))
    return steps
