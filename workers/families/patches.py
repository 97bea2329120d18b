"""Means of what is around each element, weighted by how like it is: bilateral and non-local means.

Both read floating-point numbers (a step before them makes them such) and leave out those that are not finite.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from gridstride.workers.families.exponential import CUTOFF, ONE, ONE_SINGLE, STEPS
from gridstride.workers.families.local import Local
from gridstride.workers.families.nodata import LeftOut
from gridstride.workers.launches import Launches
from gridstride.workers.nodata import NoData
from gridstride.workers.operators.base import Grid, Meaning, Operator, Window
from gridstride.workers.operators.boundary import Taps
from gridstride.workers.region import Region

# Elements of a tile of non-local means in float32, about: what it works in fits a core's second cache. Rows are short.
TILE, LONGEST_ROW = 2**15, 256
BYTES = 64  # of vectors: more than the elements of one
WORK_BYTES = 2**16  # more than vectors' room and tables of small arrays take


@dataclass(frozen=True)
class LikeMean(Local):
    """A mean weighted by likeness of float32 or float64.

    size, before, modes: the box that is read, the elements of it before the output, and the boundary, on each axis of
    the array; cval: the value outside in mode "constant"
    """

    size: tuple[int, ...]
    before: tuple[int, ...]
    modes: tuple[str, ...]
    cval: float

    def reads(self, grid: Grid) -> tuple[Taps, ...]:
        return tuple(Taps(n, -b, mode=m) for n, b, m in zip(self.size, self.before, self.modes, strict=True))

    def meaning(self) -> Meaning:
        return Meaning(1.0, between=True)

    def without(self, nodata: NoData, grid: Grid) -> tuple[Operator, NoData]:
        """Missing elements are left out, as NaN is."""
        left = nodata.stored_as(grid.dtype)
        if np.isnan([*nodata.values, left.value]).all():
            return self, left
        return LeftOut(self, nodata, left.value), left


@dataclass(frozen=True)
class BilateralMean(LikeMean):
    """sum of w x / sum of w over elements around each, w = 2^-(spatial + (scale difference)^2).

    C. Tomasi, R. Manduchi, "Bilateral filtering for gray and color images", 1998, by brute force.
    taps: int64 (n, axes), places in the box of all but the element itself, whose weight is 1; spatial: float64 (n,)
    """

    taps: np.ndarray
    spatial: np.ndarray
    scale: float

    def describe(self) -> str:
        return f"bilateral mean of {1 + len(self.taps)} elements"

    def element_time(self, grid: Grid) -> float:
        return 0.012 * grid.dtype.itemsize**1.5 * len(self.taps)

    def scratch(self, want: Region, grid: Grid, device: str) -> int:
        shape = self.padded_shape(want, grid)
        padded = np.prod(shape, dtype=np.int64) * grid.dtype.itemsize
        rows = 8 * (2 * np.prod(want.shape[:-1], dtype=np.int64) + sum(shape)) + 4 * want.shape[-1]
        return int(padded + rows + want.size * grid.dtype.itemsize) + 24 * self.taps.size + WORK_BYTES

    def cpu(self, window: Window, out: np.ndarray) -> None:
        from gridstride.workers.families.patches_cpu import bilateral  # Numba takes time to import

        bilateral(self, window, out)

    def gpu(self, window: Window, launches: Launches) -> None:
        from gridstride.workers.families.patches_gpu import launch_bilateral

        launch_bilateral(self, window, launches)


@dataclass(frozen=True)
class NonLocalMean(LikeMean):
    """sum of w x / sum of w over elements at most `distance` away on each of `axes`, 1 to 3 of them, ascending, where w
    falls with the squared differences of the patches around both, as in scikit-image's fast mode.

    patch: odd; of its elements along an axis the first is left out, as scikit-image's integral images have it
    variance: of noise, whose share in squared differences does not count

    A. Buades, B. Coll, J.-M. Morel, "A non-local algorithm for image denoising", 2005; squared differences of a shift
    are summed for all patches at once: J. Darbon et al., "Fast nonlocal filtering applied to electron cryomicroscopy",
    2008. A shift and its opposite share weights.
    """

    axes: tuple[int, ...]
    patch: int
    distance: int
    h: float
    variance: float

    @property
    def reach(self) -> int:
        """How many elements before an output are read."""
        return self.distance + self.patch // 2 - 1

    @property
    def shifts(self) -> np.ndarray:
        """Of each pair of opposite shifts along z, y and x the later one, int64 (n, 3)."""
        reach = np.array([0] * (3 - len(self.axes)) + [self.distance] * len(self.axes))
        every = np.indices(tuple(2 * reach + 1)).reshape(3, -1).T - reach
        return np.ascontiguousarray(every[len(every) // 2 + 1 :])

    def terms(self, dtype: np.dtype) -> np.ndarray:
        """What squared differences are times and then less, so that they are steps of `falling`; the most such steps;
        and an element's own weight."""
        count, most = len(self.axes), np.finfo(dtype).max
        scale = STEPS / (self.h**2 * self.patch**count)
        less = 2 * self.variance * (self.patch - 1) ** count * scale
        bits = np.array(ONE_SINGLE << 3, np.int32) if dtype == np.float32 else np.array(ONE << 32, np.int64)
        return np.array([min(scale, most), min(less, most), CUTOFF * STEPS, bits.view(dtype)], dtype)

    def tile(self, volume: tuple[int, ...], dtype: np.dtype) -> tuple[int, int, int]:
        """The shape of a part of a volume of z, y and x to compute at a time, about a cube but for longer rows."""
        z, y, x = volume
        x = min(x, LONGEST_ROW if z == 1 else LONGEST_ROW // 2)
        side = max(1, TILE * 4 // dtype.itemsize // x)
        y = min(y, side if z == 1 else max(1, round(side**0.5)))
        return min(z, max(1, side // y)), y, x

    def describe(self) -> str:
        return (
            f"non-local mean of {2 * len(self.shifts) + 1} patches of {' x '.join([str(self.patch)] * len(self.axes))}"
        )

    def element_time(self, grid: Grid) -> float:
        return 0.1 * grid.dtype.itemsize * (2 * self.distance + 1) ** len(self.axes)

    def scratch(self, want: Region, grid: Grid, device: str) -> int:
        shape = self.padded_shape(want, grid)
        padded = np.prod(shape, dtype=np.int64) * grid.dtype.itemsize
        tables = 8 * sum(shape) + 100 * (2 * self.distance + 1) ** len(self.axes)
        volume = [1] * (3 - len(self.axes)) + [want.shape[axis] for axis in self.axes]
        z, y, x = self.tile(tuple(volume), grid.dtype)
        more, pitch = self.distance + self.patch, x + self.distance + self.patch + BYTES
        work = 2 * z * y * (x + BYTES) + ((z + more if z > 1 else 1) + 1) * (y + more) * pitch
        return int(padded + tables) + work * grid.dtype.itemsize + WORK_BYTES

    def cpu(self, window: Window, out: np.ndarray) -> None:
        from gridstride.workers.families.patches_cpu import non_local  # Numba takes time to import

        non_local(self, window, out)

    def gpu(self, window: Window, launches: Launches) -> None:
        from gridstride.workers.families.patches_gpu import launch_non_local

        launch_non_local(self, window, launches)
