"""Initial flows, and exact ones where there are any, evaluated pointwise so that any block can be filled by itself.

A problem is a frozen dataclass of plain numbers and tuples; tuples are (x, y) or (x, y, z). Positions are physical;
z is None in two dimensions. Those that say so are `exact`: solutions of the incompressible equations at every t.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, ClassVar, Protocol

import numpy as np

from gridstride.workers.models.edac.geometry import Geometry

TAU = 2 * np.pi
Position = Any  # np.ndarray, or None for z in two dimensions


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


@dataclass(frozen=True)
class Random:
    """Random flow, periodic on the box: energy E(k) ~ k^4 exp(-2 (k / k0)^2), k0 = `peak` waves along x, from a seed.

    speed: root of the mean square of |velocity|. Modes beyond 3 k0 (1e-5 of the peak's energy) are left out.
    The same seed gives the same flow on every grid, up to the second order of the spacing.

    The velocity is the curl of a random potential, with differences over a cell as derivatives. Of a Fourier mode such
    a difference is i k' times the mode, k' = 2 sin(k h / 2) / h, so the curl is taken of the modes: they are
    perpendicular to k', and the divergence on the staggered grid is round-off. The pressure begins at 0.
    """

    name: ClassVar[str] = "random"
    exact: ClassVar[bool] = False
    dimensions: ClassVar[tuple[int, ...]] = (2, 3)
    boundaries: ClassVar[str] = "periodic"
    seed: int
    speed: float
    peak: float
    size: tuple[float, ...]
    origin: tuple[float, ...]
    spacing: tuple[float, ...]

    @property
    def reach(self) -> tuple[int, ...]:
        """The most waves across the box along (x, y, z); a grid needs more than twice as many cells."""
        return tuple(int(3 * self.peak * length / self.size[0]) for length in self.size)

    def velocity(self, component: int, x: Position, y: Position, z: Position, t: float) -> np.ndarray:
        places = [x, y] if z is None else [x, y, z]
        angles = [TAU * (p - o) / n for p, o, n in zip(places, self.origin, self.size, strict=True)]
        return _series(_modes(self)[component], angles)

    def pressure(self, x: Position, y: Position, z: Position, t: float) -> np.ndarray:
        return _full(0.0, x, y, z)


def _waves(problem: Random) -> list[np.ndarray]:
    """Whole waves across the box along (x, y, z), which broadcast to the modes' shape, (z, y, x) without z in 2-D.

    Half of all modes, the others being their conjugates: the slowest axis has no negative ones.
    """
    reach = problem.reach
    lines = [np.arange(0 if axis == len(reach) - 1 else -n, n + 1) for axis, n in enumerate(reach)]
    grid = np.meshgrid(*reversed(lines), indexing="ij", sparse=True)
    return list(reversed(grid))


@lru_cache(maxsize=2)
def _modes(problem: Random) -> np.ndarray:
    """Complex coefficients of each velocity, (components, modes of z, y, x): velocity = Re sum c exp(i angles)."""
    waves = _waves(problem)
    shape = np.broadcast_shapes(*(m.shape for m in waves))
    counted = np.zeros(shape, bool)  # one of each pair m, -m, and not 0: the first that is not 0 is positive
    undecided = np.ones(shape, bool)
    for m in reversed(waves):
        counted |= undecided & (m > 0)
        undecided = undecided & (m == 0)
    k = np.sqrt(sum((m * problem.size[0] / n) ** 2.0 for m, n in zip(waves, problem.size, strict=True)))
    counted &= k <= 3 * problem.peak
    k[~counted] = 1.0
    energy = np.where(counted, k**4 * np.exp(-2 * (k / problem.peak) ** 2) / k ** (len(waves) - 1), 0.0)

    h = problem.spacing
    stepped = [2 * np.sin(np.pi * m * h[i] / problem.size[i]) / h[i] + np.zeros(shape) for i, m in enumerate(waves)]
    drawn = np.random.default_rng(problem.seed).standard_normal((2, 1 if len(waves) == 2 else 3, *shape))
    potential = drawn[0] + 1j * drawn[1]
    if len(waves) == 2:
        curl = np.stack([stepped[1] * potential[0], -stepped[0] * potential[0]])
    else:
        curl = np.stack([stepped[i - 2] * potential[i - 1] - stepped[i - 1] * potential[i - 2] for i in range(3)])
    length = np.sqrt((np.abs(curl) ** 2).sum(axis=0))
    length[~counted] = 1.0
    modes = curl / length * np.sqrt(energy)
    return modes * (problem.speed / np.sqrt((np.abs(modes) ** 2).sum() / 2))


def _series(modes: np.ndarray, angles: list[np.ndarray]) -> np.ndarray:
    """Re sum of modes (z, y, x) times exp(i (m_x angle_x + ..)), one axis after the other, x first.

    Sums of products, one mode at a time and in real numbers: complex or matrix products round by the array's shape, and
    a block must get the bits that the whole gets.
    """
    shape = np.broadcast_shapes(*(a.shape for a in angles))
    ones = (1,) * len(shape)
    real, imaginary = (part.reshape(modes.shape + ones) for part in (modes.real, modes.imag))
    for done, angle in enumerate(angles):
        left = modes.ndim - done - 1  # axes of modes still to sum over
        count = modes.shape[left]
        angle = angle.reshape((1,) * (len(shape) - angle.ndim) + angle.shape)
        space = np.broadcast_shapes(real.shape[left + 1 :], angle.shape)
        sums = np.zeros((2 if left else 1, *modes.shape[:left], *space))
        product = np.empty(sums.shape[1:])
        for j in range(count):
            wave = (j if left == 0 else j - count // 2) * angle
            cosine, sine = np.cos(wave), np.sin(wave)
            a, b = (part[(slice(None),) * left + (j,)] for part in (real, imaginary))
            sums[0] += np.multiply(a, cosine, out=product)
            sums[0] -= np.multiply(b, sine, out=product)
            if left:
                sums[1] += np.multiply(a, sine, out=product)
                sums[1] += np.multiply(b, cosine, out=product)
        real, imaginary = sums[0], sums[-1]
    return real


PROBLEMS: dict[str, type] = {
    cls.name: cls
    for cls in (Rest, Uniform, TaylorGreen, TravellingTaylorGreen, ShearLayer, Poiseuille, Couette, Random)
}
