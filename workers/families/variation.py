"""Total variation by Chambolle's iteration: an image less its noise, and the dual field that sweeps hand on."""

from __future__ import annotations

from dataclasses import dataclass, field
from math import prod
from typing import TYPE_CHECKING

import numpy as np

from gridstride.workers.families.local import WHOLE, Local
from gridstride.workers.families.relay import leaving_out
from gridstride.workers.families.rows import LINE
from gridstride.workers.launches import Launches
from gridstride.workers.nodata import NoData
from gridstride.workers.operators.base import Axis, Grid, Meaning, Operator, Window
from gridstride.workers.operators.boundary import Taps
from gridstride.workers.region import Region

if TYPE_CHECKING:
    from gridstride.workers.families.variation_loops import Field

TOGETHER = 16  # updates that go through the planes together, at most
CACHE = 2**24  # bytes that they work on


@dataclass(frozen=True)
class Variation(Local):
    """Updates of Chambolle's dual field p, of arrays of float32 or float64:

        u = image + div p;  p = (p - tau grad u) / (1 + tau / weight |grad u|)

    A. Chambolle, "An algorithm for total variation minimization and applications", 2004, in scikit-image's form. The
    state is the image and the components of p, on a new first axis. A gradient that is not finite counts as 0: elements
    that are not finite stay as they are, and change no others.

    axes: filtered, ascending, of the image; updates: how many
    tau, weight: of the formula
    takes, gives: whether what is read, and what is made, is the state; else they are the image (p is 0) and u
    """

    axes: tuple[int, ...]
    tau: float
    weight: float
    updates: int
    takes: bool = field(default=False)
    gives: bool = field(default=False)

    # --- geometry ---
    def image(self, grid: Grid) -> Grid:
        """The grid of the image, of the state of which a grid may be."""
        return Grid(grid.shape[1:], grid.dtype, grid.axes[1:]) if self.takes else grid

    def reads(self, grid: Grid) -> tuple[Taps | None, ...]:
        taps = Taps(2 * self.updates + 2, -self.updates - 1)
        found = [taps if axis in self.axes else Taps() for axis in range(grid.ndim - self.takes)]
        return (WHOLE, *found) if self.takes else tuple(found)

    def out_grid(self, grid: Grid) -> Grid:
        image = self.image(grid)
        if not self.gives:
            return image
        return Grid((1 + len(self.axes), *image.shape), image.dtype, (Axis("", "unknown"), *image.axes))

    def axes_from(self, grid: Grid) -> tuple[int | None, ...]:
        image = range(self.takes, grid.ndim)
        return (0 if self.takes else None, *image) if self.gives else tuple(image)

    def uncut(self, grid: Grid) -> frozenset[int]:
        return frozenset([0]) if self.gives else frozenset()

    def spatial(self, want: Region) -> Region:
        """A region of the result on the image's axes."""
        return Region(want.spans[1:]) if self.gives else want

    def needed(self, want: Region, grid: Grid) -> Region:
        axes = zip(self.reads(grid)[self.takes :], self.spatial(want).spans, self.image(grid).shape, strict=True)
        spans = tuple(taps.needed(span, n, n) for taps, span, n in axes if taps is not WHOLE)
        return Region(((0, grid.shape[0]), *spans) if self.takes else spans)

    # --- what it is ---
    def describe(self) -> str:
        return f"total variation, {self.updates} updates of the dual field"

    def meaning(self) -> Meaning:
        return Meaning(1.0, between=True)

    def without(self, nodata: NoData, grid: Grid) -> tuple[Operator, NoData | None]:
        """No data are NaN, beside which there is no gradient."""
        return leaving_out((self,), nodata, grid)

    def element_time(self, grid: Grid) -> float:
        return 1.0 + self.updates * 0.3 * (1 + len(self.axes)) * grid.dtype.itemsize / 4

    def scratch(self, want: Region, grid: Grid, device: str) -> int:
        image = self.needed(want, grid).shape[self.takes :]
        item, components = grid.dtype.itemsize, 1 + len(self.axes)
        if device == "gpu":
            return (components + 1) * prod(image) * item + 8192
        work, _, _ = self.loops(image, grid.dtype)
        shared = max(1, prod(n for axis, n in enumerate(image) if axis not in self.axes))
        result = item * prod(image) // shared
        tables = 8 * (len(self.axes) * (work.rows + 2 * self.updates) + 64)
        return (work.axes + 1) * work.far * item + 2 * work.together * work.rows * work.apart * item + result + tables

    # --- work ---
    def loops(self, image: tuple[int, ...], dtype: np.dtype) -> tuple[Field, tuple[int, ...], int]:
        """For a part of the image: where rows lie, the axes but the last as the loops have them, and how many of them
        the array has not: there are two axes at least."""
        from gridstride.workers.families.variation_loops import Field  # Numba takes time to import

        *leading, size = [image[axis] for axis in self.axes]
        missing = max(0, 1 - len(leading))
        planes, *rest = [1] * missing + leading
        vector, rows = LINE // dtype.itemsize, prod(rest)
        whole = -(-size // vector) * vector
        pitch, axes = whole + vector, 2 + len(rest)
        together = CACHE // max(1, rows * pitch * dtype.itemsize * (axes + 3))
        far = (1 + planes * rows) * pitch + vector
        together = max(2, min(TOGETHER, together, self.updates or 1))
        return Field(axes, planes, rows, size, pitch, pitch, far, vector, together), (planes, *rest), missing

    def cpu(self, window: Window, out: np.ndarray) -> None:
        if out.size:
            from gridstride.workers.families.variation_cpu import run  # Numba takes time to import

            run(self, window.part(self.needed(window.want, window.grid)), out)

    def gpu(self, window: Window, launches: Launches) -> None:
        from gridstride.workers.families.variation_gpu import launch_variation

        launch_variation(self, window, launches)
