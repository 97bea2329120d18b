"""clahe: contrast limited adaptive histogram equalisation, as skimage.exposure.equalize_adapthist."""

from __future__ import annotations

from math import prod
from typing import Annotated, Any, ClassVar

from pydantic import BeforeValidator, Field

from gridstride.workers.families.clahe import Equalised
from gridstride.workers.families.lattice import Lattice
from gridstride.workers.operators.base import Grid, Operator
from gridstride.workers.operators.fields import Filter, Fractions, per_axis
from gridstride.workers.operators.kinds import Size, Sizes, factor

MOST_BYTES = 2**30  # of mappings: half a million tiles of 256 bins, in each worker


def part(given: Any) -> float:
    """A number from 0 on; beyond 1, which is all, it means the same."""
    found = factor(given)
    if found < 0:
        raise ValueError("expected a number from 0 to 1")
    return found


class Clahe(Fractions, Filter):
    """Equalise contrast, each part of the array by the histogram of what is around it (CLAHE).

    Equal to skimage.exposure.equalize_adapthist of the whole array, in 1 to 5 dimensions; each slice along axes that
    are not filtered, such as channels, is an array of its own. (scikit-image takes a last axis of 3 or 4 for colours,
    and equalises their brightness.) Results are 0 to 1; integers of --dtype have 0 to their largest for it.
    Floating-point numbers beyond -1 to 1, which scikit-image refuses, are made 0 to 1 by their extremes first. NaN is
    in no histogram, and stays NaN. The array is read four times: for its extremes, the histograms of tiles, the
    extremes of what they give, and the result; no halo is read.
    Example: gridstride filter clahe cells.zarr clear.zarr --kernel-size 12,32,32
    """

    formula: ClassVar[str] = (
        "between tiles by their distance: part of the tile's elements not above in[i], bins clipped"
    )
    source: ClassVar[str] = "skimage.exposure.equalize_adapthist; K. Zuiderveld, Graphics Gems IV, 1994"

    kernel_size: Sizes | None = Field(
        None, description="Of a tile in elements, one or one per filtered axis (default: an eighth of each axis)."
    )
    clip_limit: Annotated[float, BeforeValidator(part)] = Field(
        0.01, description="The most of a tile's elements that a bin may have, as a part of 1; 0: all of them."
    )
    nbins: Size = Field(256, description="Bins of the histograms.")

    def bind(self, grid: Grid) -> Operator:
        axes = self.filtered(grid)
        given = [max(1, grid.shape[axis] // 8) for axis in axes]
        if self.kernel_size is not None:
            given = per_axis(self.kernel_size, axes, "kernel_size")
        by_axis = dict(zip(axes, given, strict=True))
        kernel = tuple(by_axis[axis] for axis in sorted(axes))
        lattice = Lattice(grid.shape, tuple(sorted(axes)), kernel)
        tiles = lattice.slices * lattice.tiles
        if 2 * tiles * self.nbins > MOST_BYTES:
            raise ValueError(
                f"kernel_size is {', '.join(map(str, kernel))}: that is {tiles} tiles of {self.nbins} bins, whose "
                f"mappings take {2 * tiles * self.nbins / 1e9:.3g} GB: expected 1 GB at most; give a larger one"
            )
        elements = prod(kernel)
        clip = int(max(self.clip_limit * elements, 1)) if self.clip_limit > 0 else elements
        return Equalised(lattice, clip, self.nbins, grid.dtype, self.out_dtype(grid))
