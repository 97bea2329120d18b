"""The longest stable time step, against the eigenvalues of the scheme's amplification matrix."""

from __future__ import annotations

from itertools import product
from typing import Any

import numpy as np
import pytest

from gridstride.workers.models.edac import cpu, kinds
from gridstride.workers.models.edac.block import FlowBlock
from gridstride.workers.models.edac.flow import PRESSURE_LEAD, Flow, longest_step

# What remains is Adams-Bashforth's own weak growth, (U dt / h)^4 / 4 a step: any viscosity outdoes it.
WEAK = 3e-4


def amplification(
    dt: float, spacing: Any, c: float, nu: float, stream: Any, lead: float = PRESSURE_LEAD, rests: bool = False
) -> float:
    """The largest amplification in a step of any wave on a uniform stream: a matrix that takes (u, p now; u, p before)
    to the next step, written down from the equations of flow.py. (u . grad) u + u div u / 2 is the skew-symmetric form.
    """
    h, d = np.asarray(spacing), len(spacing)
    phases = np.array(list(product(np.linspace(-np.pi, np.pi, 17 if d == 2 else 9), repeat=d)))
    carried = 1j * np.sin(phases) @ (np.asarray(stream) / h) + nu * ((2 - 2 * np.cos(phases)) / h**2).sum(1)
    slope = 2j * np.sin(phases / 2) / h
    explicit = np.einsum("b,ij->bij", carried, np.eye(d + 1))
    if rests:
        explicit[:, d, d] = 0
    explicit[:, :d, :d] += np.einsum("i,bi,bj->bij", np.asarray(stream) / 2, np.cos(phases / 2), slope)
    now, before = np.eye(d + 1) - 1.5 * dt * explicit, 0.5 * dt * explicit
    now[:, :d, d] -= dt * (1 + lead) * slope
    before[:, :d, d] += dt * lead * slope
    for level in (now, before):
        level[:, d, :] -= dt * c**2 * np.einsum("bi,bij->bj", slope, level[:, :d, :])
    matrix = np.zeros((len(phases), 2 * d + 2, 2 * d + 2), complex)
    matrix[:, : d + 1, : d + 1], matrix[:, : d + 1, d + 1 :], matrix[:, d + 1 :, : d + 1] = now, before, np.eye(d + 1)
    return float(np.abs(np.linalg.eigvals(matrix)).max())


SPACINGS = [(1.0, 1.0), (1.0, 0.4), (1.0, 1.0, 1.0), (0.5, 1.0, 2.0)]


@pytest.mark.parametrize("spacing", SPACINGS, ids=str)
@pytest.mark.parametrize("mach", [0.05, 0.1, 0.2, 0.3, 0.4])
@pytest.mark.parametrize("nu", [0.0, 0.01, 0.1, 1.0])
def test_no_wave_grows_at_the_longest_step(spacing: Any, mach: float, nu: float) -> None:
    d, dt = len(spacing), longest_step(spacing, 1 / mach, 1.0, nu)
    for stream in (np.ones(d) / np.sqrt(d), np.eye(d)[0], np.eye(d)[-1], np.zeros(d)):
        assert amplification(dt, spacing, 1 / mach, nu, stream) < 1 + WEAK


@pytest.mark.parametrize("spacing", SPACINGS, ids=str)
@pytest.mark.parametrize("mach", [0.05, 0.1, 0.2, 0.3, 0.4])
@pytest.mark.parametrize("nu", [0.002, 0.1])
def test_no_wave_grows_where_pressure_rests(spacing: Any, mach: float, nu: float) -> None:
    """Nor on a stream as fast again as the step is made for: fluid speeds up around a body."""
    d, lead = len(spacing), max(PRESSURE_LEAD, 2.5 * mach)
    dt = longest_step(spacing, 1 / mach, 1.0, nu, lead=lead)
    for stream in (np.ones(d) / np.sqrt(d), np.eye(d)[0], np.eye(d)[-1], np.zeros(d)):
        assert amplification(dt, spacing, 1 / mach, nu, stream, lead, rests=True) < 1 + WEAK
        if mach <= 0.2:
            assert amplification(0.95 * dt, spacing, 1 / mach, nu, 2 * stream, lead, rests=True) < 1 + WEAK


@pytest.mark.parametrize("spacing", SPACINGS, ids=str)
def test_the_longest_step_is_not_much_shorter_than_it_must_be(spacing: Any) -> None:
    d, dt = len(spacing), longest_step(spacing, 10.0, 1.0, 0.01)
    assert amplification(1.15 * dt, spacing, 10.0, 0.01, np.ones(d) / np.sqrt(d)) > 1.01


def test_without_the_lead_sound_against_the_flow_would_grow() -> None:
    dt = longest_step((1.0, 1.0), 10.0, 1.0, 0.0)
    assert amplification(dt, (1.0, 1.0), 10.0, 0.0, (0.7, 0.7), lead=0.0) > 1.03


def noisy(cells: Any, beyond: int, sound: float, speed: float, nu: float) -> FlowBlock:
    """A block of cells of edge 1 at the longest step, with a stream of that speed along the diagonal and noise."""
    components, walls = 2 if cells[0] == 1 else 3, beyond == kinds.FIXED
    nothing = np.zeros((components, 1, 1))
    flow = Flow(
        cells=cells,
        spacing=(1.0,) * 3,
        components=components,
        dt=longest_step((1.0,) * components, sound, speed, nu, (walls,) * components),
        viscosity=nu,
        pressure_diffusivity=0.0,
        sound_speed=sound,
        force=(0.0,) * 3,
        kinds=((beyond,) * 2,) * 3,
        faces=((nothing,) * 2,) * 3,
        ramp=0.0,
        sponge=(),
        dtype=np.dtype(np.float64),
    )
    block = FlowBlock(flow, (0, 0, 0), cells, 0, cpu)
    noise = np.random.default_rng(0).normal(size=(flow.fields, *cells)) * 1e-6
    noise[:components] += speed / np.sqrt(components)
    block.load(np.concatenate([noise, noise]), (0, 0, 0))
    block.fill()
    return block


@pytest.mark.parametrize("cells", [(1, 2, 20), (1, 12, 2), (1, 12, 14), (2, 8, 9), (8, 9, 10)], ids=str)
@pytest.mark.parametrize("nu", [0.3, 30.0])
@pytest.mark.slow
def test_noise_between_walls_dies_at_the_longest_step(cells: Any, nu: float) -> None:
    """Sound as slow as diffusion, and diffusion alone."""
    block = noisy(cells, kinds.FIXED, 1.0, 0.0, nu)
    block.advance(3000)
    assert np.abs(block.now[(slice(block.flow.components), *block.own)]).max() < 1e-6


@pytest.mark.slow
@pytest.mark.parametrize("cells", [(1, 24, 20), (12, 16, 20)], ids=["2-D", "3-D"])
def test_noise_on_a_stream_without_viscosity_does_not_grow(cells: Any) -> None:
    """The kernels themselves: small noise of every wavelength, 2000 of the longest steps."""
    block = noisy(cells, kinds.PERIODIC, 10.0, 1.0, 0.0)
    before = np.ptp(block.now[(0, *block.own)])
    block.advance(2000)
    # Vortical noise stays as it is, sound is damped.
    assert np.ptp(block.now[(0, *block.own)]) < 1.5 * before
