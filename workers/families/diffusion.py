"""Anisotropic diffusion: values flow to their neighbours, but hardly across edges."""

from __future__ import annotations

from dataclasses import dataclass
from math import log, prod, sqrt
from typing import TYPE_CHECKING

import numpy as np

from gridstride.workers.families.local import Local
from gridstride.workers.families.relay import leaving_out
from gridstride.workers.families.rows import LINE
from gridstride.workers.launches import Launches
from gridstride.workers.nodata import NoData
from gridstride.workers.operators.base import Grid, Meaning, Operator, Window
from gridstride.workers.operators.boundary import Taps
from gridstride.workers.region import Region

if TYPE_CHECKING:
    from gridstride.workers.families.diffusion_loops import Plan

TOGETHER = 16  # iterations that go through the planes together, at most
CACHE = 2**24  # bytes that they work on


@dataclass(frozen=True)
class Diffusion(Local):
    """Explicit steps of Perona and Malik's equation, of arrays of float32 or float64:

        u += step * sum over neighbours n at a distance h of c(|u_n - u| / (h kappa)) (u_n - u) / h^2

    P. Perona, J. Malik, "Scale-space and edge detection using anisotropic diffusion", 1990, eq. 7 and 8; nothing flows
    through the array's ends. c(s) is exp(-s^2), or 1 / (1 + s^2) if `quadratic`. A difference that is not finite counts
    as 0: elements that are not finite stay as they are, and change no others.

    axes: filtered, ascending; spacing: h on each
    count: of iterations
    """

    axes: tuple[int, ...]
    spacing: tuple[float, ...]
    kappa: float
    step: float
    quadratic: bool
    count: int

    def reads(self, grid: Grid) -> tuple[Taps, ...]:
        taps = Taps(2 * self.count + 1, -self.count)
        return tuple(taps if axis in self.axes else Taps() for axis in range(grid.ndim))

    def describe(self) -> str:
        return f"anisotropic diffusion, {self.count} iterations"

    def meaning(self) -> Meaning:
        return Meaning(1.0, between=True)

    def without(self, nodata: NoData, grid: Grid) -> tuple[Operator, NoData | None]:
        """No data are NaN, to which nothing flows."""
        return leaving_out((self,), nodata, grid)

    def element_time(self, grid: Grid) -> float:
        return 1.0 + self.count * 0.4 * len(self.axes) * grid.dtype.itemsize / 4

    def scratch(self, want: Region, grid: Grid, device: str) -> int:
        shape, item = self.needed(want, grid).shape, grid.dtype.itemsize
        if device == "gpu":
            return 2 * prod(shape) * item + 8192
        plan, _ = self.plan(shape, grid.dtype)
        return 2 * (plan.far + plan.first) * item + 16 * len(self.axes) * (plan.rows + 2 * self.count) + 4096

    def rates(self, dtype: np.dtype) -> np.ndarray:
        """(2, axes): what a difference is multiplied by for the conductance, and a flow for the result."""
        root = 1.0 if self.quadratic else sqrt(log(2))  # exp(-s^2) is made as a power of 2
        spacing = np.array(self.spacing)
        return np.array([1 / (root * self.kappa * spacing), self.step / spacing**2]).astype(dtype)

    @staticmethod
    def largest(dtype: np.dtype) -> float:
        """The x from which on 2^-x is taken as 0: before products with it have fewer digits, and take long."""
        return 100.0 if dtype == np.float32 else 900.0

    def plan(self, shape: tuple[int, ...], dtype: np.dtype) -> tuple[Plan, tuple[int, ...]]:
        """For a window: where rows lie, and the axes but the last as the loops have them, at least one."""
        from gridstride.workers.families.diffusion_loops import Plan  # Numba takes time to import

        *leading, size = [shape[axis] for axis in self.axes]
        planes, *rest = leading or [1]
        vector, rows = LINE // dtype.itemsize, prod(rest)
        pitch = -(-size // vector) * vector + vector
        far = planes * rows * pitch + 2 * vector
        together = max(1, min(TOGETHER, CACHE // max(1, 2 * rows * pitch * dtype.itemsize), self.count))
        return Plan(2 + len(rest), planes, rows, size, pitch, far, vector, together), (planes, *rest)

    def cpu(self, window: Window, out: np.ndarray) -> None:
        if out.size:
            from gridstride.workers.families.diffusion_cpu import run  # Numba takes time to import

            run(self, window.part(self.needed(window.want, window.grid)), out)

    def gpu(self, window: Window, launches: Launches) -> None:
        from gridstride.workers.families.diffusion_gpu import launch_diffusion

        launch_diffusion(self, window, launches)
