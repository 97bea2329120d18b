"""Solids in a flow."""

from __future__ import annotations

import numpy as np
import pytest
from flow_blocks import begun, flow_of, noise, own, plain_step, whole

from gridstride.workers.models.edac.geometry import Geometry
from gridstride.workers.models.edac.obstacles import Box, Cylinder, Sphere
from gridstride.workers.models.edac.solids import fluid_factor


def test_inside_solids_nothing_moves_and_what_was_taken_is_what_is_missing() -> None:
    flow = flow_of((10, 12, 14))
    geometry = Geometry(flow.cells, flow.spacing, (0.0,) * 3, (True,) * 3, 3)
    ball = Sphere((0.5, 0.6, 0.4), 0.25)
    shares = fluid_factor(flow, geometry, [ball], (0, 0, 0), flow.cells)
    data = noise(flow)
    block = whole(flow, data, shares)
    taken = block.advance(1).gathered
    free = plain_step(flow, data[:4], data[4:])[:3]
    inside = 0
    for component in range(3):
        x, y, z = geometry.positions(component, (0, 0, 0), flow.cells)
        deep = (x - 0.5) ** 2 + (y - 0.6) ** 2 + (z - 0.4) ** 2 < 0.2**2
        inside += deep.sum()
        assert not own(block)[component][deep].any()
    assert inside > 50
    # The control volume is each plane of z: what is there without solids, less what was taken, is left.
    np.testing.assert_allclose(taken, (free - own(block)[:3]).sum(axis=(2, 3)).T, atol=1e-11)


def test_the_force_on_a_body_balances_what_drives_the_stream() -> None:
    """Control volume: a whole periodic box, in which a force on the fluid is in balance with the drag."""
    force = 0.3
    block, setup, last = begun(
        {
            "grid": {"cells": {"x": 24, "y": 24}, "size": {"x": 1.0, "y": 1.0}},
            "fluid": {"viscosity": 0.05, "mach": 0.1},
            "force": {"x": force},
            "obstacles": [{"shape": "cylinder", "center": {"x": 0.51, "y": 0.5}, "radius": 0.2}],
            "run": {"until": 8.0, "precision": "double"},
        }
    )
    area = np.prod(setup.flow.spacing[1:])
    first = block.advance(40).gathered.sum(axis=0) * area / setup.flow.dt
    assert first[0] > 0
    drag, lift = block.advance(last - 40).gathered.sum(axis=0) * area / setup.flow.dt
    assert own(block)[0].mean() > 0.02
    assert drag == pytest.approx(force, rel=2e-3)
    assert abs(lift) < 1e-6 * drag


@pytest.mark.parametrize("wall", [0.2, 0.22, 0.24, 0.26, 0.28])
def test_a_surface_between_velocities_is_where_it_is(wall: float) -> None:
    """A channel between two boxes, driven by a force, has the parabola that begins at their surfaces."""
    n = 20
    block, _, last = begun(
        {
            "grid": {"cells": {"x": 4, "y": n}, "size": {"x": 0.2, "y": 1.0}},
            "fluid": {"viscosity": 0.1, "mach": 0.2},
            "force": {"x": 0.8},
            "boundaries": {"y": "wall"},
            "obstacles": [
                {"shape": "box", "low": {"x": -0.5, "y": -0.5}, "high": {"x": 1.0, "y": wall}},
                {"shape": "box", "low": {"x": -0.5, "y": 1 - wall}, "high": {"x": 1.0, "y": 1.5}},
            ],
            "run": {"until": 8.0, "precision": "double"},
        }
    )
    block.advance(last)
    y = (np.arange(n) + 0.5) / n
    exact = np.maximum(0.0, 4 * (y - wall) * (1 - wall - y))
    # Velocities a wall's thickness apart would differ by 0.1; counting to 1/8 of a cell leaves a sixteenth of that.
    np.testing.assert_allclose(own(block)[0, 0, :, 0], exact, atol=0.011)


def test_a_plate_thinner_than_a_cell_stops_the_flow() -> None:
    block, _, _ = begun(
        {
            "grid": {"cells": {"x": 20, "y": 10}, "size": {"x": 2.0, "y": 1.0}},
            "fluid": {"viscosity": 0.01},
            "obstacles": [{"shape": "box", "low": {"x": 1.01, "y": -1.0}, "high": {"x": 1.04, "y": 2.0}}],
            "initial": {"problem": "uniform", "velocity": {"x": 1.0, "y": 0.0}},
            "run": {"until": 5.0},
        }
    )
    block.advance(500)
    assert np.abs(own(block)[0, 0, :, 10]).max() < 0.01


def test_what_is_kept_does_not_depend_on_the_range_asked_for() -> None:
    flow = flow_of((1, 12, 14))
    geometry = Geometry(flow.cells, flow.spacing, (0.0,) * 3, (True, False, True), 2)
    bodies = [Cylinder((0.1, 0.6), 0.21), Box((0.6, 0.3), (0.95, 0.63))]
    all_of_it = fluid_factor(flow, geometry, bodies, (0, -1, -1), (1, 13, 15))
    assert ((all_of_it > 0) & (all_of_it < 1)).any()
    part = fluid_factor(flow, geometry, bodies, (0, 3, 4), (1, 9, 11))
    np.testing.assert_array_equal(part, all_of_it[:, :, 4:10, 5:12])
