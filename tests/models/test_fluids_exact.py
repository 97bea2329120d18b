"""The solver against flows that are known: in closed form, or from the literature."""

from __future__ import annotations

import csv
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from flow_blocks import begun, own
from scipy.interpolate import CubicSpline

import gridstride
from gridstride.workers.models.edac import measures, problems

DATA = Path(gridstride.__file__).parent / "benchmarks" / "data"


@pytest.mark.parametrize("precision", ["single", "double"])
@pytest.mark.parametrize("boundaries", [{}, {"x-": {"kind": "inflow", "velocity": {"x": 1.0}}, "x+": "outflow"}])
@pytest.mark.slow
def test_a_uniform_stream_stays_uniform_to_round_off(boundaries: Any, precision: str) -> None:
    speeds = {"x": 1.0, "y": 0.0 if boundaries else 0.7, "z": 0.0 if boundaries else -0.4}
    block, _, _ = begun(
        {
            "grid": {"cells": {"x": 12, "y": 10, "z": 8}, "size": {"x": 1.1, "y": 0.9, "z": 1.3}},
            "fluid": {"viscosity": 0.001, "speed": 1.5},
            "boundaries": {**boundaries, **({"y": "slip", "z": "slip"} if boundaries else {})},
            "initial": {"problem": "uniform", "velocity": speeds},
            "run": {"until": 1.0, "precision": precision},
        }
    )
    block.advance(300)
    here, small = own(block), 20 * np.finfo(block.flow.dtype).eps
    for component, axis in enumerate("xyz"):
        np.testing.assert_allclose(here[component], speeds[axis], atol=small)
    np.testing.assert_allclose(here[3], 0.0, atol=10 * small)


def travelled(cells: int, mach: float) -> tuple[np.ndarray, float]:
    """Velocities of the travelling vortex at the end, and their largest error."""
    block, setup, last = begun(
        {
            "grid": {"cells": {"x": cells, "y": cells}, "size": {"x": 1.0, "y": 1.0}},
            "fluid": {"viscosity": 0.01, "speed": 2.0, "mach": mach},
            "initial": {"problem": "travelling-taylor-green", "speed": 1.0, "background": {"x": 1.0, "y": 0.5}},
            "run": {"until": 0.5, "precision": "double"},
        }
    )
    block.advance(last)
    exact = problems.sample(setup.problem, setup.geometry, (0, 0, 0), setup.flow.cells, 0.5)
    here = own(block)[:2].copy()
    return here, float(np.abs(here - exact[:2]).max())


def test_the_travelling_vortex_is_of_second_order() -> None:
    coarse, fine = (travelled(cells, mach=0.05)[1] for cells in (16, 32))
    assert np.log2(coarse / fine) > 1.9
    assert fine < 0.02


def test_the_error_of_compressibility_falls_as_mach_squared() -> None:
    flows = [travelled(24, mach)[0] for mach in (0.2, 0.1, 0.05)]
    first, second = (np.abs(a - b).max() for a, b in pairwise(flows))
    assert 3.3 < first / second < 5


def channel(cells: int, problem: Any, boundaries: Any, force: float, until: float = 12.0) -> tuple[np.ndarray, Any]:
    block, _, last = begun(
        {
            "grid": {"cells": {"x": 4, "y": cells}, "size": {"x": 0.25, "y": 1.0}},
            "fluid": {"viscosity": 0.1, "mach": 0.2},
            "force": {"x": force},
            "boundaries": {"y": "wall", **boundaries},
            "initial": problem,
            "run": {"until": until, "precision": "double"},
        }
    )
    block.advance(last)
    return own(block), (np.arange(cells) + 0.5) / cells


def test_channel_flow_from_rest_becomes_the_parabola() -> None:
    for cells in (4, 8, 16):
        here, y = channel(cells, {"problem": "rest"}, {}, 0.8)
        np.testing.assert_allclose(here[0, 0, :, 0], 4 * y * (1 - y), atol=1e-5)
        assert np.abs(here[1]).max() < 1e-9


def test_flow_between_moving_walls_becomes_the_straight_line() -> None:
    walls = {"y-": {"velocity": {"x": -0.3}}, "y+": {"velocity": {"x": 0.9}}}
    here, y = channel(8, {"problem": "rest"}, walls, 0.0, until=30.0)
    np.testing.assert_allclose(here[0, 0, :, 0], -0.3 + 1.2 * y, atol=1e-9)


@pytest.mark.parametrize("axes", ["xy", "xyz"])
def test_a_closed_box_under_gravity_is_at_rest_and_its_pressure_balances_the_force(axes: str) -> None:
    force = dict(zip(axes, (0.5, -1.0, 2.0), strict=False))
    block, _, _ = begun(
        {
            "grid": {"cells": dict.fromkeys(axes, 8), "size": dict.fromkeys(axes, 2.0), "origin": {"x": 5.0}},
            "fluid": {"viscosity": 0.01},
            "force": force,
            "boundaries": {"x": "wall", "y": "slip", "y+": "wall", **({"z": "slip"} if "z" in axes else {})},
            "run": {"until": 1.0, "precision": "double"},
        }
    )
    block.advance(50)
    assert not own(block)[: len(axes)].any()
    place = np.meshgrid(*[(np.arange(8) - 3.5) / 4] * len(axes), indexing="ij")  # z, y, x
    wanted = sum(force[a] * x for a, x in zip(axes, reversed(place), strict=True))
    np.testing.assert_allclose(measures.centred(block, "p"), wanted, atol=1e-12)


@pytest.mark.parametrize("boundaries", [{}, {"y": "wall"}, {"x": "outflow"}])
def test_a_force_along_an_axis_that_is_not_closed_moves_the_fluid_and_rises_with_the_ramp(boundaries: Any) -> None:
    block, _, _ = begun(
        {
            "grid": {"cells": {"x": 6, "y": 40}, "size": {"x": 1.0, "y": 40.0}},
            "fluid": {"viscosity": 1e-6, "mach": 0.5},
            "force": {"x": 0.2, "y": 0.3},
            "boundaries": boundaries,
            "run": {"until": 4.0, "ramp": 1.0, "precision": "double"},
        }
    )
    steps = round(2 / block.flow.dt)
    block.advance(steps)
    time = steps * block.flow.dt
    np.testing.assert_allclose(own(block)[0, 0, 20], 0.2 * (time - 0.5), rtol=0.05)
    np.testing.assert_allclose(own(block)[1, 0, 20], 0.0 if "y" in boundaries else 0.3 * (time - 0.5), rtol=0.05)


@pytest.mark.parametrize("axes", ["xy", "xyz"])
def test_the_mean_pressure_of_a_closed_box_stays(axes: str) -> None:
    block, _, _ = begun(
        {
            "grid": {"cells": dict.fromkeys(axes, 12), "size": dict.fromkeys(axes, 1.0)},
            "fluid": {"reynolds": 100, "mach": 0.3},
            "boundaries": {**dict.fromkeys(axes, "wall"), "y+": {"velocity": {"x": 1.0}}},
            "run": {"until": 10.0, "precision": "double"},
        }
    )
    block.advance(600)
    pressure = own(block)[-1]
    assert np.abs(pressure).max() > 0.1
    assert abs(pressure.mean()) < 1e-13


def test_the_cavity_has_the_reference_profiles() -> None:
    n = 48
    block, _, last = begun(
        {
            "grid": {"cells": {"x": n, "y": n}, "size": {"x": 1.0, "y": 1.0}},
            "fluid": {"reynolds": 100, "mach": 0.1},
            "boundaries": {"x": "wall", "y": "wall", "y+": {"velocity": {"x": 1.0}}},
            "run": {"until": 15.0},
        }
    )
    block.advance(last)
    here = own(block)[:, 0].astype(float)
    centres = np.concatenate([[0.0], (np.arange(n) + 0.5) / n, [1.0]])
    profiles = {
        "u": CubicSpline(centres, [0.0, *here[0, :, n // 2], 1.0]),
        "v": CubicSpline(centres, [0.0, *here[1, n // 2, :], 0.0]),
    }
    lines = [line for line in (DATA / "cavity_reference.csv").read_text().splitlines() if not line.startswith("#")]
    rows = [row for row in csv.DictReader(lines) if row["Re"] == "100"]
    assert len(rows) > 30
    errors = [abs(profiles[r["profile"]](float(r["coord"])) - float(r["computed"])) for r in rows]
    assert max(errors) < 0.005
