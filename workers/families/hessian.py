"""Steps of graphs that end in matrices of second derivatives, or of products of first ones, at each element."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import combinations_with_replacement
from math import sqrt

import numpy as np

from gridstride.workers.families.derivatives import gaussian_passes, gradient_passes
from gridstride.workers.families.joined import Joined
from gridstride.workers.families.separable import Pass, Separable
from gridstride.workers.operators.base import Grid
from gridstride.workers.operators.graph import INPUT, Step

# Weights below this part of the largest are left out: scikit-image's Gaussians go to 100 sigma, where they are 0.
NEGLIGIBLE = 2.0**-70


def check_axes(grid: Grid, axes: Sequence[int], fewest: int) -> None:
    """Raises ValueError for more axes than the formulas of matrices are of, or fewer than `fewest`."""
    if not fewest <= len(axes) <= 3:
        known = ", ".join(grid.axes[axis].name or str(axis) for axis in axes)
        raise ValueError(f"{len(axes)} axes are filtered ({known}): name {fewest} to 3 of them with axes")


@dataclass(frozen=True)
class Made:
    """How steps are made: along which axes, with what boundary, sums of what precision, numbers of what dtype between
    them, from what, and the user's option that sigmas are from."""

    axes: Sequence[int]
    modes: Sequence[str]
    cval: float | int
    precision: str
    dtype: np.dtype
    source: str = INPUT
    option: str = "sigma"

    def step(self, name: str, passes: Sequence[Pass], source: str | None = None) -> Step:
        operator = Separable.of(passes, self.dtype, self.precision, "round")
        return Step(name, operator, (source or self.source,))

    def pairs(self) -> list[tuple[int, int]]:
        """The elements of the upper triangle of a matrix, row by row."""
        return list(combinations_with_replacement(range(len(self.axes)), 2))


def trimmed(step: Pass) -> Pass:
    """The pass without the weights at both its ends that change no sum."""
    counts = np.flatnonzero(np.abs(step.weights) >= NEGLIGIBLE * np.abs(step.weights).max())
    cut = min(int(counts[0]), len(step.weights) - 1 - int(counts[-1]))
    return replace(step, weights=step.weights[cut : len(step.weights) - cut], before=step.before - cut)


def hessian(made: Made, sigmas: Sequence[float], prefix: str = "") -> tuple[list[Step], tuple[str, ...]]:
    """The second derivatives, and their names: first derivatives of a Gaussian of sigma / sqrt(2), twice, as
    skimage.feature.hessian_matrix(use_gaussian_derivatives=True) makes them."""
    truncate = 8.0 if all(sigma > 1 for sigma in sigmas) else 100.0
    count = len(made.axes)

    def derivative(along: int) -> list[Pass]:
        orders, narrow = [int(number == along) for number in range(count)], [sigma / sqrt(2) for sigma in sigmas]
        passes = gaussian_passes(made.axes, narrow, orders, made.modes, made.cval, truncate, f"{made.option} / sqrt(2)")
        return [trimmed(step) for step in passes]

    steps = [made.step(f"{prefix}d{number}", derivative(number)) for number in range(count)]
    for first, second in made.pairs():
        steps.append(made.step(f"{prefix}d{first}d{second}", derivative(second), f"{prefix}d{first}"))
    return steps, tuple(step.name for step in steps[count:])


def structure_tensor(made: Made, sigmas: Sequence[float]) -> tuple[list[Step], tuple[str, ...]]:
    """Products of Sobel's derivatives, smoothed, and their names: as skimage.feature.structure_tensor makes them."""
    steps = []
    for number, axis in enumerate(made.axes):
        passes = gradient_passes(made.axes, axis, (1.0, 2.0, 1.0), made.modes, made.cval)
        steps.append(made.step(f"d{number}", passes))
    smooth = gaussian_passes(made.axes, sigmas, [0] * len(sigmas), made.modes, made.cval)
    names = []
    for first, second in made.pairs():
        name = f"d{first}d{second}"
        steps.append(Step(f"{name} rough", Joined("product"), (f"d{first}", f"d{second}")))
        steps.append(made.step(name, smooth, f"{name} rough"))
        names.append(name)
    return steps, tuple(names)
