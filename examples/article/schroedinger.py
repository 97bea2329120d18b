"""Stationary states of the Schroedinger equation, H psi = E psi with H = -1/2 d2/dx2 + V(x), in units of hbar = m = 1.

    python examples/article/schroedinger.py

Second differences on a grid whose ends psi does not reach make H a matrix, whose least eigenvalues are the energies.
"""

from __future__ import annotations

import numpy as np
from scipy.linalg import eigh_tridiagonal


def states(potential: np.ndarray, spacing: float, count: int) -> tuple[np.ndarray, np.ndarray]:
    """The least `count` energies, and their states (points, count), each with sum(psi^2) * spacing = 1."""
    along = 1 / spacing**2 + potential
    beside = np.full(len(potential) - 1, -0.5 / spacing**2)
    energies, found = eigh_tridiagonal(along, beside, select="i", select_range=(0, count - 1))
    return energies, found / np.sqrt(spacing)


if __name__ == "__main__":
    x = np.linspace(-8, 8, 1601)
    energies, _ = states(x**2 / 2, x[1] - x[0], 5)
    print("harmonic oscillator, E = n + 1/2:  ", energies.round(4))
    energies, _ = states(np.zeros(999), 1 / 1000, 4)
    print("box of width 1, E / (pi^2 / 2) = n^2:", (energies / (np.pi**2 / 2)).round(4))
