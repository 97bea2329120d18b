"""What flows: the grid, the fluid, and what is beyond each face, in numbers that every worker has.

The equations are those of entropically damped artificial compressibility (EDAC; Clausen, Phys. Rev. E 87, 013309):

    du/dt + (u . grad) u = -grad p + nu lap u + f
    dp/dt + div(u p) = -c^2 div u + nu_p lap p              c = U / Ma

or, where walls or bodies rest in the grid, without div(u p) and nu_p lap p (artificial compressibility; Chorin,
J. Comput. Phys. 2, 12, 1967): a steady flow then has div u = 0 exactly, whatever its pressure.

The grid is staggered (Harlow & Welch 1965): pressure at cell centres, each velocity on the faces across its axis.
Second-order differences; convection in skew-symmetric form, which keeps kinetic energy where div u = 0. Pressure is
carried as a flux: what leaves a cell enters the next, so that in a closed box its mean stays (the paper has
(u . grad) p, which differs by p div u, as small beside c^2 div u as p beside c^2).

Along an axis that is closed at both ends a force moves nothing: pressure holds it, p = f (x - middle). It is not
applied (a box at rest is at rest from the start), and that pressure is added to what is written (`head`).

In time, convection and diffusion are those of values extrapolated half a step (Adams-Bashforth), while sound is
advanced by turns: velocity by the pressure there is, then pressure by the new velocity. So p belongs to times half a
step after those of the velocity. Left to itself, this lets sound that runs against the flow grow; the pressure that
drives the velocity is therefore taken `lead` of a step ahead, which damps div u and nothing else (Skamarock &
Klemp, Mon. Wea. Rev. 120, 2109, 1992).
"""

from __future__ import annotations

from dataclasses import dataclass
from math import sqrt
from typing import Any, ClassVar

import numpy as np

from gridstride.workers.models.domain import Domain
from gridstride.workers.models.edac.kinds import EXTRA_HALO

PRESSURE_LEAD = 0.2


@dataclass(frozen=True)
class Flow(Domain):
    """A flow on a uniform grid. Tuples have an entry for each of z, y, x; a planar flow has one layer of cells in z.

    components: of velocity: 3, or 2 (u and v)
    viscosity, pressure_diffusivity: nu and nu_p, in length^2 / time
    sound_speed: c
    force:      per unit mass, along x, y, z, where it moves the fluid; it rises with the given velocities
    head:       gradient of pressure along x, y, z that holds the force between closed ends; in what is written alone
    faces:      given velocities, (low, high) of each axis: float64 (components, one axis, other axis), at the places of
                the component itself; an axis of length 1 holds for all places
    ramp:       time over which given velocities and the force rise from 0
    sponge:     along each axis, rates (1 / time) at which sound is damped: (2, cells), at centres and low faces of
                cells; empty where there is none
    carried:    whether the flow carries pressure; lead: how much of a step ahead pressure drives velocity
    stream:     (axis, side) of the inflow whose velocities the flow in a sponge is drawn to; None: a sponge damps
                pressure alone
    pull:       what the force along x, y, z must add up to while given velocities rise, so that all of the stream rises
                with them: the stream's mean velocity, if the run begins at rest
    """

    levels: ClassVar[int] = 2
    extra: ClassVar[tuple[int, int]] = (EXTRA_HALO, EXTRA_HALO + 1)  # the velocity on the high face of the last cell

    components: int
    viscosity: float
    pressure_diffusivity: float
    sound_speed: float
    force: tuple[float, float, float]
    faces: tuple[tuple[np.ndarray, np.ndarray], ...]
    ramp: float
    sponge: tuple[np.ndarray, ...]
    head: tuple[float, float, float] = (0.0, 0.0, 0.0)
    carried: bool = True
    lead: float = PRESSURE_LEAD
    stream: tuple[int, int] | None = None
    pull: tuple[float, float, float] = (0.0, 0.0, 0.0)

    @property
    def planar(self) -> bool:
        return self.components == 2

    @property
    def names(self) -> tuple[str, ...]:
        return (*"uvw"[: self.components], "p")

    @property
    def watched(self) -> int:
        return self.components

    @property
    def limit(self) -> float:
        """Faster than sound: what the scheme is no scheme for."""
        return self.sound_speed

    def coefficients(self) -> dict[str, tuple[Any, ...]]:
        """The scheme's numbers, x first, as `loops.advance` and cuda/edac.cu take them."""
        number = self.dtype.type
        h = self.spacing[::-1]
        values = {
            "c": [self.dt / (4 * x) for x in h],
            "d": [self.viscosity * self.dt / x**2 for x in h],
            "g": [self.dt / x for x in h],
            "a": [self.carried * self.dt / (2 * x) for x in h],
            "dp": [self.pressure_diffusivity * self.dt / x**2 for x in h],
            "k": [self.sound_speed**2 * self.dt / x for x in h],
        }
        return {name: tuple(number(v) for v in three) for name, three in values.items()}

    def ramps(self, step: int, steps: int) -> np.ndarray:
        """What given velocities, and the force, are multiplied by at the ends of the steps after `step`."""
        rise = self._rise(step + 1 + np.arange(steps)) if self.ramp > 0 else np.ones(steps)
        return rise.astype(self.dtype)

    def _rise(self, step: np.ndarray) -> np.ndarray:
        if self.ramp <= 0:
            return np.where(step > 0, 1.0, 0.0)
        part = np.clip(step * self.dt / self.ramp, 0, 1)
        return part * part * (3 - 2 * part)

    def pushes(self, step: int, steps: int) -> np.ndarray:
        """What force and pull add to velocity along x, y, z in each of the steps after `step`: (steps, 3)."""
        force = (*self.force[: self.components], 0.0)[:3]
        rise = self._rise(step + np.arange(steps + 1))[:, None]
        return (self.dt * np.array(force) * rise[1:] + np.array(self.pull) * np.diff(rise, axis=0)).astype(self.dtype)

    def damping(self, axis: int) -> np.ndarray:
        """What the sponge multiplies sound by in a step, along an axis: (2, cells), at centres and low faces."""
        rates = self.sponge[axis] if self.sponge else np.zeros(0)
        return np.exp(-rates * self.dt) if rates.size else np.ones((2, self.cells[axis]))


def longest_step(
    spacing: tuple[float, ...],
    sound_speed: float,
    speed: float,
    diffusivity: float,
    walls: tuple[bool, ...] = (),
    lead: float = PRESSURE_LEAD,
) -> float:
    """The longest stable time step. walls: of which axes a face has a given velocity.

    Where a mode alternates from cell to cell its amplification factor reaches -1 when sound, c dt sqrt(sum 1/h^2)
    times sqrt(1 + 2 lead), and extrapolated diffusion, 4 nu dt sum 1/h^2, together make 1. Beside a wall diffusion is
    faster, for the ghost cell answers: by 4.62 instead of 4, and by 16 / 3 between two walls two cells apart, the
    eigenvalues of the second difference with such ends. Sound carried against the
    flow needs some more, 10 U^2 / c: fitted to the eigenvalues of the scheme's amplification matrix for Mach numbers up
    to 0.4 (tests/models/test_fluids_stability.py).
    """
    inverse = sum(1 / h**2 for h in spacing)
    bends = sum(
        (16 / 3 if wall else 4) / h**2 for h, wall in zip(spacing, walls or (False,) * len(spacing), strict=True)
    )
    sound = sqrt(1 + 2 * lead) * sound_speed + 10 * speed**2 / sound_speed
    return 1 / (sound * sqrt(inverse) + diffusivity * bends)
