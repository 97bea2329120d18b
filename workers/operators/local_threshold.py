"""local-threshold: which elements are greater than what is around them, as skimage.filters.threshold_local."""

from __future__ import annotations

from collections.abc import Sequence
from math import isfinite, prod
from typing import ClassVar, Literal

import numpy as np
from pydantic import Field

from gridstride.workers.families.derivatives import gaussian_passes, numbers, stored
from gridstride.workers.families.elementwise import Elementwise
from gridstride.workers.families.exceeds import Exceeds
from gridstride.workers.families.joined import Joined
from gridstride.workers.families.rank import ranked
from gridstride.workers.families.separable import Pass, Separable
from gridstride.workers.nodata import as_element
from gridstride.workers.operators.base import Grid, Operator
from gridstride.workers.operators.fields import Box, DType, Neighbourhood, per_axis
from gridstride.workers.operators.graph import INPUT, Step
from gridstride.workers.operators.kinds import Factor, Positives, Sizes, Value, Width, Words

MIRRORED = ("niblack", "sauvola")


class LocalThreshold(Neighbourhood):
    """Whether elements are greater than a threshold of their own, made from those around them.

    Equal to image > skimage.filters.threshold_local(image, block_size, method, offset), or threshold_niblack and
    threshold_sauvola, but for ties: a mean is exact and rounded once, where scikit-image's running sums leave roundings
    that decide whether an element is greater than a mean equal to it. NaN is never greater, nor is anything greater
    where a mean meets NaN; a median takes it as larger than infinity.
    Example: gridstride filter local-threshold cells.zarr mask.zarr --block-size 51 --axes y,x
    """

    formula: ClassVar[str] = (
        "in[i] > T[i] - offset; T: gaussian, mean or median of the box; niblack m - k s; sauvola m (1 + k (s / r - 1))"
    )
    source: ClassVar[str] = "skimage.filters: threshold_local, threshold_niblack, threshold_sauvola"

    block_size: Sizes | None = Field(
        None,
        description="Of the box in elements, odd, one or one per filtered axis (default: 3; 15 of niblack, sauvola).",
    )
    method: Literal["gaussian", "mean", "median", "niblack", "sauvola"] = Field(
        "gaussian", description="What the threshold is."
    )
    offset: Value = Field(0.0, description="What is taken from the threshold.")
    param: Positives | None = Field(
        None, description="Sigma of method gaussian, one or one per filtered axis (default: (block_size - 1) / 6)."
    )
    k: Factor | None = Field(None, description="Of niblack and sauvola, how much the deviation counts (default: 0.2).")
    r: Width | None = Field(None, description="Of sauvola, the largest deviation (default: half the dtype's range).")
    mode: Words = Field(
        "reflect",
        description="Boundary: reflect, mirror, nearest, wrap or constant (default of niblack, sauvola: mirror).",
    )
    dtype: DType = Field(None, description="Of the result (default: bool).")

    def out_dtype(self, grid: Grid) -> np.dtype:
        return np.dtype(self.dtype or bool)

    def modes(self, axes: Sequence[int]) -> list[str]:
        mirrored = self.method in MIRRORED and "mode" not in self.model_fields_set
        return ["mirror"] * len(axes) if mirrored else super().modes(axes)

    def bind(self, grid: Grid) -> Operator:
        self._check_given()
        axes = self.filtered(grid)
        sizes = per_axis(self.block_size or (15 if self.method in MIRRORED else 3), axes, "block_size")
        for size in sizes:
            if size % 2 == 0:
                raise ValueError(f"block_size is {size}: expected an odd number, so that the box has a middle")
        order = np.argsort(axes)
        axes, sizes, modes = ([given[i] for i in order] for given in (axes, sizes, self.modes(axes)))
        if self.method in MIRRORED:
            steps = self._deviating(grid, self._means(axes, sizes, modes))
        else:
            number = self._number(grid, prod(sizes))
            lacks_outside = (
                self.method == "median" and "constant" in modes and as_element(self.cval, grid.dtype) is None
            )
            steps, source = numbers(grid, number) if lacks_outside else ([], INPUT)
            read = grid.having(number) if lacks_outside else grid
            made = self._threshold(read, number, axes, sizes, modes, list(order))
            steps.append(Step("threshold", made, (source,)))
            if made.out_grid(read).dtype != number:
                steps[-1] = Step("median", made, (source,))
                steps.append(Step("threshold", Elementwise("cast", number), ("median",)))
            steps.append(Step("mask", Exceeds("level", float(self.offset)), (INPUT, "threshold")))
        return stored(steps, np.dtype(bool), self.out_dtype(grid), "round")

    def _number(self, grid: Grid, count: int) -> np.dtype:
        """The dtype of thresholds: float32 of such arrays, and where the difference of a mean of integers from any of
        them is known to be larger than what float32 rounds away, or 0; float64 otherwise, as in scikit-image."""
        if grid.dtype.kind == "f":
            return np.dtype(np.float32 if grid.dtype.itemsize < 8 else np.float64)
        most = 1 if grid.dtype.kind == "b" else -int(np.iinfo(grid.dtype).min) or int(np.iinfo(grid.dtype).max)
        whole = self.offset % 1 == 0 and float(self.cval) % 1 == 0
        far = count * (2 * max(most, abs(self.cval)) + abs(self.offset))
        return np.dtype(np.float32 if self.method == "mean" and whole and far < 2**24 else np.float64)

    def _check_given(self) -> None:
        """Refuse what only another method would use, and an offset that is no number."""
        if not isfinite(self.offset):
            raise ValueError(f"offset is {self.offset}: expected a finite number")
        for field, methods in (("param", ("gaussian",)), ("k", MIRRORED), ("r", ("sauvola",))):
            if getattr(self, field) is not None and self.method not in methods:
                raise ValueError(f"{field} is given, which method {' and '.join(methods)} has: leave it out")

    def _threshold(
        self, grid: Grid, number: np.dtype, axes: list[int], sizes: list[int], modes: list[str], order: list[int]
    ) -> Operator:
        """What makes the thresholds: a median of the array's own elements, or sums of them."""
        if self.method == "median":
            size, before, every = [1] * grid.ndim, [0] * grid.ndim, ["nearest"] * grid.ndim
            for axis, n, mode in zip(axes, sizes, modes, strict=True):
                size[axis], before[axis], every[axis] = n, n // 2, mode
            box = Box(tuple(size), tuple(before), tuple(every))
            return ranked(box, box.count // 2, grid, self.cval, grid.dtype)
        if self.method == "mean":
            passes, single = self._means(axes, sizes, modes)[0], number == np.float32 and grid.dtype.kind != "f"
            return Separable.of(passes, number, "single" if single else "double", "round")
        sigmas = [(n - 1) / 6 for n in sizes]
        if self.param is not None:
            given = per_axis(self.param, axes, "param")
            sigmas = [given[i] for i in order]
        passes = gaussian_passes(axes, sigmas, [0] * len(axes), modes, self.cval, name="param")
        return Separable.of(passes, number, "double", "scipy")

    def _means(self, axes: list[int], sizes: list[int], modes: list[str]) -> tuple[list[Pass], list[Pass]]:
        """The passes of a mean, and of a mean of squares: sums, the last of which is divided."""
        found = []
        for outside in (float(self.cval), float(self.cval) ** 2):
            passes = []
            for axis, n, mode in zip(axes, sizes, modes, strict=True):
                divisor = float(prod(sizes)) if axis == axes[-1] else 1.0
                passes.append(Pass(axis, np.ones(n), n // 2, mode, outside, divisor))
                outside *= n
            found.append(passes)
        return found[0], found[1]

    def _deviating(self, grid: Grid, passes: tuple[list[Pass], list[Pass]]) -> list[Step]:
        """The steps of niblack and sauvola."""
        wide = np.dtype(np.float64)
        steps, source = numbers(grid, wide)
        ends = (0, 1) if grid.dtype.kind == "b" else (-1, 1)
        if grid.dtype.kind in "iu":
            ends = (int(np.iinfo(grid.dtype).min), int(np.iinfo(grid.dtype).max))
        r = 0.5 * (ends[1] - ends[0]) if self.r is None else self.r
        mask = Exceeds(
            "niblack" if self.method == "niblack" else "sauvola",
            float(self.offset),
            0.2 if self.k is None else self.k,
            r,
        )
        return [
            *steps,
            Step("mean", Separable.of(passes[0], wide, "double", "round")),
            Step("squares", Joined("product"), (source, source)),
            Step("mean of squares", Separable.of(passes[1], wide, "double", "round"), ("squares",)),
            Step("mask", mask, (INPUT, "mean", "mean of squares")),
        ]
