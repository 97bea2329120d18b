"""richardson-lucy: deconvolution with a point spread function, as skimage.restoration.richardson_lucy."""

from __future__ import annotations

from math import prod
from typing import Literal

import numpy as np
from pydantic import Field

from gridstride.workers.families.convolution import Correlation, in_order
from gridstride.workers.families.deconvolution import BEGIN, Deconvolution, tile_of
from gridstride.workers.families.denoising import Iterative, Passes
from gridstride.workers.families.relay import alone, shares
from gridstride.workers.families.separable import Separable
from gridstride.workers.families.stencil import Stencil
from gridstride.workers.operators.base import Grid, Operator
from gridstride.workers.operators.fields import FILE, ArrayOrFile, load_array
from gridstride.workers.operators.graph import Step
from gridstride.workers.operators.kinds import Positive

REACH = 32  # elements that the iterations of one sweep look beyond a block's edge, if it makes more than one
TOGETHER = 2**24  # elements of a slice whose iterations are all made in one sweep
TOGETHER_BY_FFT = 2**22
MOST_FUSED = 64  # iterations of one sweep
TILE = 2**25  # elements of a tile and what is around it, which an FFT takes about 55 bytes each for


class RichardsonLucy(Iterative):
    """Deconvolution: the image that, blurred by a point spread function, is most likely the one given.

    Equal to skimage.restoration.richardson_lucy with clip=False, for a function divided by its sum and for integers as
    they are; outside of the array there is nothing. The same numbers at any cut: blocks have whole halos, or the result
    of an iteration or some is stored for the next, so there are no seams. An element that is NaN, infinite or without
    data stays so, and for others counts as what the estimate predicts there. Values below 0 mean nothing to it.
    Example: gridstride filter richardson-lucy cells.zarr sharp.zarr --psf psf.npy --iterations 10
    """

    formula = "from 1/2, again and again: x = x * (psf reversed * (in / (psf * x + 1e-12))), where psf * is convolution"
    source = (
        "W. H. Richardson, Bayesian-based iterative method of image restoration, 1972; L. B. Lucy, 1974; "
        "skimage.restoration.richardson_lucy"
    )

    psf: ArrayOrFile = Field(description=f"Point spread function, a dimension per filtered axis. {FILE}.")
    iterations: Passes = Field(10, description="How many: the more, the sharper, and the more noise.")
    filter_epsilon: Positive | None = Field(
        None, description="A prediction below which an element does not count, rather than a large quotient."
    )
    clip: bool = Field(False, description="Keep results within -1 and 1, as scikit-image does unless told otherwise.")
    algorithm: Literal["auto", "direct", "separable", "fft"] = Field("auto", description="How the sums are made.")

    def bind(self, grid: Grid) -> Operator:
        psf, axes, says = self.function(grid)
        blur, back = (self.convolution(grid, part, axes) for part in (np.flip(psf), psf))
        tile, each = self.fused(grid, axes, psf.shape, blur)
        counts, parts = shares(self.iterations, each), []
        limits = self.least(), 1.0 if self.clip else np.inf
        for n, count in enumerate(counts):
            parts.append(Deconvolution(blur, back, count, n > 0, n < len(counts) - 1, *limits, tile))
        steps, source = self.begun(grid)
        return self.ended(grid, [*steps, Step("sharp", alone(tuple(parts)), (source,))], says)

    def filtered(self, grid: Grid, last: int | None = None, without: int | None = None) -> list[int]:
        try:
            return super().filtered(grid, load_array(self.psf, "psf").ndim if last is None else last, without)
        except ValueError as error:
            raise ValueError(str(error).replace("the kernel", "the psf")) from None

    def least(self) -> float:
        """Of a prediction: that counts."""
        least = self.filter_epsilon or 0.0
        if least >= BEGIN:
            raise ValueError(f"filter_epsilon is {least:g}: expected less than {BEGIN}, which the first estimate is")
        return least

    def function(self, grid: Grid) -> tuple[np.ndarray, list[int], list[str]]:
        """The point spread function with a sum of 1, the axes that its dimensions are of, and what is to be said."""
        psf = load_array(self.psf, "psf").astype(np.float64)
        axes = self.filtered(grid, psf.ndim)
        if len(axes) != psf.ndim:
            raise ValueError(f"the psf has {psf.ndim} dimensions for {len(axes)} filtered axes: name as many with axes")
        if (psf < 0).any():
            raise ValueError("the psf has entries below 0: expected none (set those that are noise to 0)")
        total = float(psf.sum())
        if not 0 < total < np.inf:
            raise ValueError(f"the psf has the sum {total:g}: expected a finite number above 0")
        says = [] if abs(total - 1) < 1e-5 else [f"the psf has the sum {total:.6g}: it is divided by that"]
        if even := [grid.axes[axis].name or str(axis) for axis, n in zip(axes, psf.shape, strict=True) if n % 2 == 0]:
            says.append(
                f"the psf has an even size along {', '.join(even)}: as in scikit-image, the result is moved by an "
                "element or so; give it an odd size, its centre in the middle"
            )
        return (psf / total).astype(self.between(grid)), axes, says

    def convolution(self, grid: Grid, weights: np.ndarray, axes: list[int]) -> Separable | Stencil:
        """Of numbers, with nothing outside. weights: in the order of correlation"""
        modes, number = ["constant"] * len(axes), self.between(grid)
        ordered = in_order(weights[None, None], axes, modes, [0] * len(axes), flip=False)
        precision = "single" if number == np.float32 else "double"
        return Correlation(*ordered, 0.0, number, precision, "round").operator(grid.shape, self.algorithm)

    def fused(
        self, grid: Grid, axes: list[int], sizes: tuple[int, ...], blur: Separable | Stencil
    ) -> tuple[tuple[int, ...], int]:
        """What is computed together, and how many iterations are made in a sweep."""
        taps = dict(zip(axes, sizes, strict=True))
        fft, elements = not blur.exact, prod(grid.shape[axis] for axis in axes)
        if fft and elements > TOGETHER_BY_FFT:
            return tile_of(grid.shape, [taps.get(axis, 1) for axis in range(grid.ndim)], TILE), 1
        if fft:
            return tuple(n if axis in taps else 1 for axis, n in enumerate(grid.shape)), MOST_FUSED
        reach = 2 * max(n // 2 for n in sizes)
        return (), MOST_FUSED if elements <= TOGETHER or reach == 0 else max(1, REACH // reach)
