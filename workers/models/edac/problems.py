"""Initial flows, and exact ones where there are any, evaluated pointwise so that any block can be filled by itself.

A problem is a frozen dataclass of plain numbers and tuples; tuples are (x, y) or (x, y, z). Positions are physical;
z is None in two dimensions. Those that say so are `exact`: solutions of the incompressible equations at every t.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Protocol

import numpy as np

from gridstride.workers.models.edac.geometry import Geometry
from gridstride.workers.models.edac.random_flow import TAU, Position, Random


class Problem(Protocol):
    """velocity, pressure: float64 arrays of the positions' common shape. Component 0 is along x, 1 y, 2 z.

    dimensions: of the grids that it makes sense on
    boundaries: what it asks of them: any, periodic, periodic or slip, channel (walls at both ends of y, none of x)
    """

    name: ClassVar[str]
    exact: ClassVar[bool]
    dimensions: ClassVar[tuple[int, ...]]
    boundaries: ClassVar[str]

    def velocity(self, component: int, x: Position, y: Position, z: Position, t: float) -> np.ndarray: ...

    def pressure(self, x: Position, y: Position, z: Position, t: float) -> np.ndarray: ...


def sample(
    problem: Problem, geometry: Geometry, lo: Sequence[int], hi: Sequence[int], t: float = 0.0, dtype: Any = np.float64
) -> np.ndarray:
    """The fields (u, v, w, p), each at its own places of the staggered grid: array (fields, z, y, x) of the global
    indices [lo, hi), which may reach past the grid; past a periodic face it repeats itself to the bit."""
    fields = geometry.components + 1
    block = np.empty((fields, *(b - a for a, b in zip(lo, hi, strict=True))), dtype)
    for field in range(fields):
        x, y, z = geometry.positions(field, lo, hi)
        place = (x, y, z if geometry.components == 3 else None)
        last = field == geometry.components
        block[field] = problem.pressure(*place, t) if last else problem.velocity(field, *place, t)
    return block


def _full(value: Any, *positions: Position) -> np.ndarray:
    """`value` as a new array of the positions' common shape."""
    shape = np.broadcast_shapes(*(np.shape(p) for p in positions if p is not None))
    return np.zeros(shape) + value


@dataclass(frozen=True)
class Uniform:
    """The same velocity everywhere."""

    name: ClassVar[str] = "uniform"
    exact: ClassVar[bool] = True
    dimensions: ClassVar[tuple[int, ...]] = (2, 3)
    boundaries: ClassVar[str] = "any"
    speeds: tuple[float, ...]

    def velocity(self, component: int, x: Position, y: Position, z: Position, t: float) -> np.ndarray:
        return _full(self.speeds[component], x, y, z)

    def pressure(self, x: Position, y: Position, z: Position, t: float) -> np.ndarray:
        return _full(0.0, x, y, z)


@dataclass(frozen=True)
class Rest:
    """Nothing moves."""

    name: ClassVar[str] = "rest"
    exact: ClassVar[bool] = False  # what the walls and forces do to it, we do not know
    dimensions: ClassVar[tuple[int, ...]] = (2, 3)
    boundaries: ClassVar[str] = "any"

    def velocity(self, component: int, x: Position, y: Position, z: Position, t: float) -> np.ndarray:
        return _full(0.0, x, y, z)

    def pressure(self, x: Position, y: Position, z: Position, t: float) -> np.ndarray:
        return _full(0.0, x, y, z)


@dataclass(frozen=True)
class TaylorGreen:
    """The Taylor-Green vortex, which breaks up into turbulence (Brachet et al., J. Fluid Mech. 130, 1983).

    u = U sin kx cos ky cos kz, v = -U cos kx sin ky cos kz, w = 0,
    p = U^2 / 16 (cos 2kx + cos 2ky) (cos 2kz + 2), k = 2 pi / size, at t = 0: known at no other time.
    """

    name: ClassVar[str] = "taylor-green"
    exact: ClassVar[bool] = False
    dimensions: ClassVar[tuple[int, ...]] = (3,)
    boundaries: ClassVar[str] = "periodic or slip"
    speed: float
    size: float  # edge of the cube
    origin: tuple[float, float, float]

    def _angles(self, *position: Position) -> list[np.ndarray]:
        return [TAU * (at - start) / self.size for at, start in zip(position, self.origin, strict=True)]

    def velocity(self, component: int, x: Position, y: Position, z: Position, t: float) -> np.ndarray:
        a, b, c = self._angles(x, y, z)
        if component == 0:
            return self.speed * np.sin(a) * np.cos(b) * np.cos(c)
        if component == 1:
            return -self.speed * np.cos(a) * np.sin(b) * np.cos(c)
        return _full(0.0, x, y, z)

    def pressure(self, x: Position, y: Position, z: Position, t: float) -> np.ndarray:
        a, b, c = self._angles(x, y, z)
        return self.speed**2 / 16 * (np.cos(2 * a) + np.cos(2 * b)) * (np.cos(2 * c) + 2)


@dataclass(frozen=True)
class TravellingTaylorGreen:
    """Decaying vortices carried along by a uniform stream: an exact solution whose convection never rests.

    In the frame moving with the background, with kx, ky = 2 pi / size and r = kx / ky,
    u = U sin kx cos ky F, v = -r U cos kx sin ky F, p = U^2 / 4 (cos 2kx + r^2 cos 2ky) F^2,
    F = exp(-viscosity (kx^2 + ky^2) t).
    """

    name: ClassVar[str] = "travelling-taylor-green"
    exact: ClassVar[bool] = True
    dimensions: ClassVar[tuple[int, ...]] = (2,)
    boundaries: ClassVar[str] = "periodic"
    speed: float
    background: tuple[float, float]
    viscosity: float
    size: tuple[float, float]
    origin: tuple[float, float]

    def _angles(self, x: Position, y: Position, t: float) -> tuple[np.ndarray, np.ndarray, float, float]:
        """kx, ky in the moving frame; r; F."""
        kx, ky = TAU / self.size[0], TAU / self.size[1]
        a = kx * (x - self.origin[0] - self.background[0] * t)
        b = ky * (y - self.origin[1] - self.background[1] * t)
        return a, b, kx / ky, float(np.exp(-self.viscosity * (kx**2 + ky**2) * t))

    def velocity(self, component: int, x: Position, y: Position, z: Position, t: float) -> np.ndarray:
        a, b, ratio, decay = self._angles(x, y, t)
        if component == 0:
            return self.background[0] + self.speed * decay * np.sin(a) * np.cos(b)
        return self.background[1] - ratio * self.speed * decay * np.cos(a) * np.sin(b)

    def pressure(self, x: Position, y: Position, z: Position, t: float) -> np.ndarray:
        a, b, ratio, decay = self._angles(x, y, t)
        return (self.speed * decay) ** 2 / 4 * (np.cos(2 * a) + ratio**2 * np.cos(2 * b))


@dataclass(frozen=True)
class ShearLayer:
    """Two shear layers that roll up (Bell, Colella and Glaz, J. Comput. Phys. 85, 1989; Brown and Minion, 122, 1995).

    On the unit square, u = U tanh(sharpness (y - 1/4)) below y = 1/2, U tanh(sharpness (3/4 - y)) above, and
    v = perturbation U sin(2 pi (x + 1/4)). The pressure begins at 0 and settles within a few passages of sound.
    """

    name: ClassVar[str] = "shear-layer"
    exact: ClassVar[bool] = False
    dimensions: ClassVar[tuple[int, ...]] = (2,)
    boundaries: ClassVar[str] = "periodic"
    speed: float
    sharpness: float
    perturbation: float
    size: tuple[float, float]
    origin: tuple[float, float]

    def velocity(self, component: int, x: Position, y: Position, z: Position, t: float) -> np.ndarray:
        if component == 0:
            at = (y - self.origin[1]) / self.size[1] % 1.0
            return _full(self.speed * np.tanh(self.sharpness * (0.25 - np.abs(at - 0.5))), x, y, z)
        at = (x - self.origin[0]) / self.size[0]
        return _full(self.perturbation * self.speed * np.sin(TAU * (at + 0.25)), x, y, z)

    def pressure(self, x: Position, y: Position, z: Position, t: float) -> np.ndarray:
        return _full(0.0, x, y, z)


@dataclass(frozen=True)
class Poiseuille:
    """Steady flow along x between walls at both ends of y: a parabola of peak `speed`.

    Friction takes G = 8 viscosity speed / height^2 from each unit of mass. What the body force does not give back the
    pressure must: it falls at the rate G - force along x, to 0 at `outlet`.
    """

    name: ClassVar[str] = "poiseuille"
    exact: ClassVar[bool] = True
    dimensions: ClassVar[tuple[int, ...]] = (2, 3)
    boundaries: ClassVar[str] = "channel"
    speed: float
    viscosity: float
    force: float
    height: float
    bottom: float
    outlet: float

    def velocity(self, component: int, x: Position, y: Position, z: Position, t: float) -> np.ndarray:
        if component:
            return _full(0.0, x, y, z)
        at = (y - self.bottom) / self.height
        return _full(4 * self.speed * at * (1 - at), x, y, z)

    def pressure(self, x: Position, y: Position, z: Position, t: float) -> np.ndarray:
        fall = 8 * self.viscosity * self.speed / self.height**2 - self.force
        return _full(fall * (self.outlet - x), x, y, z)


@dataclass(frozen=True)
class Couette:
    """Steady flow between walls at both ends of y that move along themselves: a straight line from `low` to `high`."""

    name: ClassVar[str] = "couette"
    exact: ClassVar[bool] = True
    dimensions: ClassVar[tuple[int, ...]] = (2, 3)
    boundaries: ClassVar[str] = "channel"
    low: tuple[float, ...]
    high: tuple[float, ...]
    height: float
    bottom: float

    def velocity(self, component: int, x: Position, y: Position, z: Position, t: float) -> np.ndarray:
        at = (y - self.bottom) / self.height
        low, high = self.low[component], self.high[component]
        return _full(low + (high - low) * at, x, y, z)

    def pressure(self, x: Position, y: Position, z: Position, t: float) -> np.ndarray:
        return _full(0.0, x, y, z)


PROBLEMS: dict[str, type] = {
    cls.name: cls
    for cls in (Rest, Uniform, TaylorGreen, TravellingTaylorGreen, ShearLayer, Poiseuille, Couette, Random)
}
