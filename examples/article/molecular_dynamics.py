"""Molecular dynamics, m r'' = -grad V: atoms with Lennard-Jones forces in a periodic box, by velocity Verlet.

    python examples/article/molecular_dynamics.py

V(r) = 4 (r^-12 - r^-6) between each pair, in units of the potential's depth and width, cut at r = 2.5 and moved there
so that energy has no step. L. Verlet, "Computer experiments on classical fluids", 1967.
"""

from __future__ import annotations

from typing import Any

from device import xp

CUT = 2.5
AT_CUT = 4 * (CUT**-12 - CUT**-6)


def forces(places: Any, box: float) -> tuple[Any, float]:
    """The force on each atom, (atoms, dims), and the potential energy."""
    away = places[:, None] - places[None]
    away -= box * xp.round(away / box)  # the nearest of all periodic images
    squared = (away**2).sum(-1)
    xp.fill_diagonal(squared, xp.inf)
    near = squared < CUT**2
    sixth = xp.where(near, 1 / squared**3, 0)
    strength = 24 * (2 * sixth**2 - sixth) / squared
    energy = (4 * (sixth**2 - sixth) - xp.where(near, AT_CUT, 0)).sum() / 2
    return (strength[..., None] * away).sum(1), float(energy)


def lattice(side: int, dims: int, box: float) -> Any:
    """Places of side^dims atoms at equal distances."""
    places = xp.stack(xp.meshgrid(*[(xp.arange(side) + 0.5) * box / side] * dims, indexing="ij"), -1)
    return places.reshape(-1, dims)


def run(places: Any, velocities: Any, box: float, dt: float, steps: int) -> tuple[Any, Any, list[float]]:
    """Places and velocities after some steps, and the whole energy after each. Every atom's mass is 1."""
    force, potential = forces(places, box)
    energies = [potential + float((velocities**2).sum()) / 2]
    for _ in range(steps):
        velocities = velocities + dt / 2 * force
        places = (places + dt * velocities) % box
        force, potential = forces(places, box)
        velocities = velocities + dt / 2 * force
        energies.append(potential + float((velocities**2).sum()) / 2)
    return places, velocities, energies


if __name__ == "__main__":
    side, box = 4, 5.0
    speeds = xp.random.default_rng(0).standard_normal((side**3, 3))
    speeds -= speeds.mean(0)
    for dt in (0.004, 0.002):
        _, after, energies = run(lattice(side, 3, box), speeds, box, dt, round(1 / dt))
        drift, momentum = max(energies) - min(energies), float(abs(after.sum(0)).max())
        print(f"dt {dt}: energy {energies[-1]:.4f}, which moved by {drift:.1e}; momentum {momentum:.0e}")
