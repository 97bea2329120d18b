"""edt: how far each element is from the nearest that is 0, as scipy.ndimage.distance_transform_edt."""

from __future__ import annotations

from math import prod
from typing import Any, ClassVar

import numpy as np
from pydantic import Field

from gridstride.workers.families.distance import BoundedDistances, Distances, Squares, reach_of
from gridstride.workers.operators.base import Grid, Operator
from gridstride.workers.operators.fields import DType, Filter, per_axis
from gridstride.workers.operators.kinds import Width, Widths

# Elements along the axes that one sweep goes along together: a block holds them all.
TOGETHER = 2**24


class Edt(Filter):
    """Distance of each element to the nearest that is 0, exact at every cut.

    Equal to scipy.ndimage.distance_transform_edt, stored as float32 unless --dtype float64 is given; with a sampling of
    other than whole numbers within a rounding. Infinity where no element along the filtered axes is 0. NaN is not 0.
    Blocks hold whole lines of the array, in a sweep for each axis or for several short ones; with --max-distance one
    sweep is enough, and results are that distance wherever they would be more.
    Example: gridstride filter edt mask.zarr distances.zarr --sampling 3,1,1
    """

    formula: ClassVar[str] = "out[i] = min over j with in[j] = 0 of |sampling (i - j)|"
    source: ClassVar[str] = (
        "scipy.ndimage.distance_transform_edt; P. F. Felzenszwalb, D. P. Huttenlocher, Distance transforms of sampled "
        "functions, 2012"
    )

    sampling: Widths = Field(1.0, description="Distance between elements, one or one per filtered axis.")
    max_distance: Width | None = Field(None, description="Distances of more become this, which takes a single sweep.")
    dtype: DType = Field(None, description="Of the result, float32 or float64 (default: float32).")

    def out_dtype(self, grid: Grid) -> np.dtype:
        dtype = np.dtype(self.dtype or np.float32)
        if dtype not in (np.float32, np.float64):
            raise ValueError(f"dtype is {dtype}: expected float32 or float64, which distances are stored as")
        return dtype

    def bind(self, grid: Grid) -> Operator:
        asked = self.filtered(grid)
        sampling = on_axes(per_axis(self.sampling, asked, "sampling"), asked, grid, 1.0)
        axes, out = tuple(sorted(asked)), self.out_dtype(grid)
        if self.max_distance is None:
            steps = [n - 1 if axis in axes else 0 for axis, n in enumerate(grid.shape)]
            return Distances(stages(grid, axes), Squares.of(sampling, tuple(steps)), out)
        reach = reach_of(self.max_distance, sampling, axes, grid)
        return BoundedDistances(axes, Squares.of(sampling, reach), reach, self.max_distance, out)


def on_axes(values: list[Any], axes: list[int], grid: Grid, other: Any) -> tuple[Any, ...]:
    """Values of some axes, on all of the array."""
    known = dict(zip(axes, values, strict=True))
    return tuple(known.get(axis, other) for axis in range(grid.ndim))


def stages(grid: Grid, axes: tuple[int, ...]) -> tuple[tuple[int, ...], ...]:
    """The axes that each sweep goes along: the last first, and with it those before it as long as they are short."""
    found: list[tuple[int, ...]] = []
    for axis in reversed(axes):
        if found and prod(grid.shape[a] for a in (*found[-1], axis)) <= TOGETHER:
            found[-1] = (axis, *found[-1])
        else:
            found.append((axis,))
    return tuple(found)
