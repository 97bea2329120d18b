"""The Navier-Stokes equations by explicit steps, du/dt = -(u . grad) u - grad p + nu laplace u with div u = 0, on a
periodic square, against the vortices of Taylor and Green, which keep their shape and decay as exp(-2 nu k^2 t).

    python examples/article/navier_stokes.py

Differences of second order; the pressure that keeps div u = 0 is solved for by FFT (A. Chorin, 1968). In three
dimensions, with walls and bodies, beyond memory: gridstride simulate (docs/navier-stokes.md).
"""

from __future__ import annotations

from typing import Any

from device import xp

LENGTH = 6.283185307179586


def slope(field: Any, axis: int, spacing: float) -> Any:
    """Its central difference along an axis."""
    return (xp.roll(field, -1, axis) - xp.roll(field, 1, axis)) / (2 * spacing)


def laplace(field: Any, spacing: float) -> Any:
    around = sum(xp.roll(field, by, axis) for by in (-1, 1) for axis in (0, 1))
    return (around - 4 * field) / spacing**2


def without_divergence(u: Any, v: Any) -> tuple[Any, Any]:
    """(u, v) less the gradient of the pressure that takes out its divergence, as `slope` measures it."""
    k = xp.sin(2 * xp.pi * xp.fft.fftfreq(u.shape[0]))  # of a central difference, times the spacing
    kx, ky = k[:, None], k[None]
    a, b = xp.fft.fft2(u), xp.fft.fft2(v)
    squared = kx**2 + ky**2
    along = (kx * a + ky * b) / xp.where(squared < 1e-12, 1, squared)
    return xp.fft.ifft2(a - kx * along).real, xp.fft.ifft2(b - ky * along).real


def step(u: Any, v: Any, viscosity: float, dt: float) -> tuple[Any, Any]:
    """The velocity after one explicit step."""
    spacing = LENGTH / u.shape[0]

    def change(w: Any) -> Any:
        carried = u * slope(w, 0, spacing) + v * slope(w, 1, spacing)
        return viscosity * laplace(w, spacing) - carried

    return without_divergence(u + dt * change(u), v + dt * change(v))


def taylor_green(cells: int, time: float, viscosity: float) -> tuple[Any, Any]:
    """The exact velocity."""
    x = (xp.arange(cells) * LENGTH / cells)[:, None]
    y, decay = x.T, float(xp.exp(-2 * viscosity * time))
    return decay * xp.cos(x) * xp.sin(y), -decay * xp.sin(x) * xp.cos(y)


def error(cells: int, viscosity: float = 0.1, until: float = 1.0) -> float:
    """The largest error of u at a time."""
    steps = 4 * cells**2 // 64  # dt falls as the spacing squared, so that all errors do
    u, v = taylor_green(cells, 0, viscosity)
    for _ in range(steps):
        u, v = step(u, v, viscosity, until / steps)
    return float(abs(u - taylor_green(cells, until, viscosity)[0]).max())


if __name__ == "__main__":
    before = None
    for cells in (16, 32, 64):
        found = error(cells)
        order = "" if before is None else f", {before / found:.2f} times less"
        print(f"{cells} x {cells} cells: largest error {found:.2e}{order}")
        before = found
