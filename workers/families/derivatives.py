"""What filters of edges and detail are made of: Gaussian passes, derivatives, and graphs that join some of them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from gridstride.workers.families.elementwise import Elementwise
from gridstride.workers.families.joined import Joined
from gridstride.workers.families.separable import Pass, Separable
from gridstride.workers.families.weights import gaussian_weights
from gridstride.workers.operators.base import Cast, Grid, Operator
from gridstride.workers.operators.graph import INPUT, Graph, Step

NARROWEST = 1e-15  # scipy takes what is narrower as no filter


def gaussian_passes(
    axes: Sequence[int],
    sigmas: Sequence[float],
    orders: Sequence[int],
    modes: Sequence[str],
    cval: float | int,
    truncate: float = 4.0,
    name: str = "sigma",
    radii: Sequence[int | None] | None = None,
) -> list[Pass]:
    """A Gaussian or its derivatives along some axes, as scipy.ndimage.gaussian_filter makes it. name: of the user's
    option that the sigmas are from; radii: to cut the Gaussian at, on each axis"""
    passes = []
    radii = [None] * len(axes) if radii is None else radii
    for axis, sigma, order, mode, radius in zip(axes, sigmas, orders, modes, radii, strict=True):
        if sigma > NARROWEST:
            weights = gaussian_weights(float(sigma), order, truncate, radius, name)
            passes.append(Pass(axis, weights, len(weights) // 2, mode, cval))
    return passes


def gaussian_derivatives(
    axes: Sequence[int],
    sigmas: Sequence[float],
    order: int,
    modes: Sequence[str],
    cval: float | int,
    truncate: float = 4.0,
) -> list[list[Pass]]:
    """The passes of a Gaussian's derivative along each of some axes. As in scipy, the mode of that axis is then the
    mode of all of them."""
    found = []
    for number, mode in enumerate(modes):
        orders = [order if other == number else 0 for other in range(len(axes))]
        found.append(gaussian_passes(axes, sigmas, orders, [mode] * len(axes), cval, truncate))
    return found


def gradient_passes(
    axes: Sequence[int], along: int, smoothing: Sequence[float], modes: Sequence[str], cval: float | int
) -> list[Pass]:
    """The central difference along an axis, smoothed along the others with three weights."""
    by_axis = dict(zip(axes, modes, strict=True))
    found = [Pass(along, np.array([-1.0, 0.0, 1.0]), 1, by_axis[along], cval)]
    return found + [Pass(axis, np.array(smoothing), 1, by_axis[axis], cval) for axis in axes if axis != along]


def stored(steps: Sequence[Step], dtype: np.dtype, out: np.dtype, cast: Cast, says: Sequence[str] = ()) -> Graph:
    """The steps of one operator, the last of which gives floating-point numbers of a dtype, stored as another."""
    steps = tuple(steps)
    if out != dtype:
        last: Operator = Elementwise("cast", out) if cast == "round" else Separable((), out, "double", cast)
        steps = (*steps, Step("stored", last, (steps[-1].name,)))
    return Graph(steps, own=True, says=tuple(says))


def numbers(grid: Grid, dtype: np.dtype) -> tuple[list[Step], str]:
    """The steps that make the input floating-point numbers of a dtype, and the name of what they give."""
    return ([], INPUT) if grid.dtype == dtype else ([Step("numbers", Elementwise("cast", dtype))], "numbers")


def scaled(grid: Grid, dtype: np.dtype, preserve_range: bool) -> tuple[list[Step], str]:
    """The same, where integers become parts of the largest of their dtype, as scikit-image's img_as_float makes them;
    other arrays, which filters read as they are, are left."""
    if preserve_range or grid.dtype.kind not in "iu":
        return [], INPUT
    return [Step("scaled", Elementwise("scaled", dtype, (int(np.iinfo(grid.dtype).max),)))], "scaled"


def joined(parts: Sequence[Operator], join: Joined) -> list[Step]:
    """Operators of the same array, and what is made of all their results."""
    steps = [Step(f"part{number}", part) for number, part in enumerate(parts)]
    return [*steps, Step("joined", join, tuple(step.name for step in steps))]


def added(parts: Sequence[Separable], out: np.dtype, dtype: np.dtype, cast: Cast, says: Sequence[str] = ()) -> Graph:
    """The sum of operators, made in `dtype` and stored as `out`. For scipy's integers each operator's result is stored
    before they are added, in float64, which holds sums of 32 bits."""
    ones = Joined("weighted", (1.0,) * len(parts))
    if cast != "scipy" or out.kind == "f":
        steps = joined(parts, ones)
        return stored(steps, out if cast == "scipy" else dtype, out, cast, says)
    steps = [Step(f"part{number}", part) for number, part in enumerate(parts)]
    wide = np.dtype(np.float64)
    steps += [Step(f"wide{n}", Elementwise("cast", wide), (f"part{n}",)) for n in range(len(parts))]
    steps.append(Step("joined", ones, tuple(f"wide{n}" for n in range(len(parts)))))
    return stored(steps, wide, out, cast, says)
