"""Random flow, the same on every grid, evaluated pointwise; see `problems`."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Any, ClassVar

import numpy as np

TAU = 2 * np.pi
Position = Any  # np.ndarray, or None for z in two dimensions


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
        return np.zeros(np.broadcast_shapes(*(np.shape(p) for p in (x, y, z) if p is not None)))


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
