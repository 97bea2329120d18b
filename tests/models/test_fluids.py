"""The solver on one block: the equations, what is beyond the grid, limits and sponges."""

from __future__ import annotations

from dataclasses import replace
from itertools import product
from typing import Any

import numpy as np
import pytest
from flow_blocks import begun, flow_of, noise, own, plain_step, whole

from gridstride.workers.models.edac import problems
from gridstride.workers.models.edac.kinds import FIXED, OUTFLOW, PERIODIC, SLIP


@pytest.mark.parametrize("cells", [(1, 9, 12), (6, 7, 10)], ids=["2-D", "3-D"])
def test_steps_are_those_of_the_equations(cells: Any) -> None:
    flow = flow_of(cells)
    data = noise(flow)
    block = whole(flow, data)
    now, before = data[: flow.fields], data[flow.fields :]
    for _ in range(4):
        now, before = plain_step(flow, now, before), now
        block.advance(1)
        np.testing.assert_allclose(own(block), now, rtol=0, atol=1e-12)


@pytest.mark.parametrize("axis", [0, 1, 2])
@pytest.mark.parametrize("kind", [PERIODIC, FIXED, SLIP, OUTFLOW], ids=["periodic", "fixed", "slip", "outflow"])
def test_ghost_cells_hold_what_is_beyond_the_face(axis: int, kind: int) -> None:
    ends: Any = [(PERIODIC,) * 2] * 3
    ends[axis] = (kind, kind)
    ramp = 0.02
    flow = flow_of((5, 6, 7), tuple(ends), ramp=ramp, sponge=())
    block = whole(flow, noise(flow))
    block.advance(2)
    rise = min(1.0, 2 * flow.dt / ramp)
    scale = rise**2 * (3 - 2 * rise)
    n = flow.cells[axis]
    # (field, along the axis, the others), ghost cells of the others cut off: cell i of the axis is at i + 1
    fields = np.moveaxis(block.now, axis + 1, 1)[:, :, 1:-1, 1:-1]
    given = [face if kind == FIXED else np.zeros((3, 1, 1)) for face in flow.faces[axis]]
    for field in range(4):
        f = fields[field]
        if kind == PERIODIC:
            np.testing.assert_array_equal(f[0], f[n])
            np.testing.assert_array_equal(f[n + 1], f[1])
        elif field == 2 - axis:
            low, high = (f[2], f[n]) if kind == OUTFLOW else (scale * given[0][field], scale * given[1][field])
            np.testing.assert_allclose(f[1], np.broadcast_to(low, f[1].shape), atol=1e-15)
            np.testing.assert_allclose(f[n + 1], np.broadcast_to(high, f[1].shape), atol=1e-15)
        elif field == 3:
            sign = -1 if kind == OUTFLOW else 1
            np.testing.assert_array_equal(f[0], sign * f[1])
            np.testing.assert_array_equal(f[n + 1], sign * f[n])
        elif kind == FIXED:  # the parabola through the ghost and two cells has the given velocity on the face
            np.testing.assert_allclose((3 * f[0] + 6 * f[1] - f[2]) / 8, scale * given[0][field], atol=1e-14)
            np.testing.assert_allclose((3 * f[n + 1] + 6 * f[n] - f[n - 1]) / 8, scale * given[1][field], atol=1e-14)
        else:
            np.testing.assert_array_equal(f[0], f[1])
            np.testing.assert_array_equal(f[n + 1], f[n])


def test_a_state_of_another_step_is_moved_along_straight_lines() -> None:
    """Fields that are linear in time are what they are at the new times; p belongs to half a step after velocity."""
    case = {"grid": {"cells": {"x": 6, "y": 5}, "size": {"x": 1.0, "y": 1.0}}, "fluid": {"viscosity": 0.1}}
    setup = begun({**case, "run": {"until": 1.0, "precision": "double"}})[1]
    flow, theirs = setup.flow, 0.7 * setup.flow.dt
    start, slope = np.random.default_rng(2).random((2, flow.fields, *flow.cells))
    half = np.array([0.0, 0.0, 0.5]).reshape(-1, 1, 1, 1)

    def levels(dt: float) -> np.ndarray:
        return np.concatenate([start + slope * (half - age) * dt for age in (0, 1)])

    for dt, tolerance in ((flow.dt, 0.0), (theirs, 1e-12)):
        block = setup.block((0, 0, 0), flow.cells, 0, "cpu")
        setup.begin_from(block, levels(dt), dt)
        np.testing.assert_allclose(block.saved(), levels(flow.dt), rtol=0, atol=tolerance)


def test_an_exact_flow_begins_with_the_level_before_and_pressure_half_a_step_ahead() -> None:
    block, setup, _ = begun(
        {
            "grid": {"cells": {"x": 12, "y": 8}, "size": {"x": 1.0, "y": 1.0}},
            "fluid": {"viscosity": 0.05, "speed": 2.0},
            "initial": {"problem": "travelling-taylor-green", "speed": 1.0, "background": {"x": 1.0, "y": 0.5}},
            "run": {"until": 0.5, "precision": "double"},
        }
    )
    dt = setup.flow.dt
    for level, t in ((block.now, 0.0), (block.before, -dt)):
        for field, at in ((0, t), (1, t), (2, t + dt / 2)):
            exact = problems.sample(setup.problem, setup.geometry, (0, 0, 0), setup.flow.cells, at)[field]
            np.testing.assert_allclose(level[(field, *block.own)], exact, atol=1e-14)


# --- limits, sponges --------------------------------------------------------------------------------------------


def test_peaks_and_the_limit_are_those_of_each_step() -> None:
    """A force alone: velocity grows by the same in each step."""
    flow = flow_of((1, 6, 7), force=(0.5, 0.0, 0.0), dt=0.004)
    block = whole(flow, np.zeros((6, *flow.cells)))
    done = block.advance(10, limit=1.0)
    np.testing.assert_allclose(done.peaks, 0.002 * np.arange(1, 11), rtol=1e-12)
    assert done.steps == 10
    done = block.advance(50, limit=0.0251)
    assert (done.steps, block.step, len(done.peaks)) == (3, 13, 3)
    np.testing.assert_allclose(own(block)[0], 0.026, rtol=1e-12)
    block.now[0, 0, 3, 3] = np.nan
    assert block.advance(5, limit=1.0).steps == 1


def test_peaks_see_every_face_of_the_grid() -> None:
    flow = flow_of((5, 6, 7), force=(0.0,) * 3, viscosity=0.0, dt=1e-9)
    for component, place in product(range(3), [(0, 0, 0), (4, 5, 6), (2, 3, 3)]):
        data = np.zeros((8, *flow.cells))
        data[(component, *place)] = data[(component + 4, *place)] = -0.7
        assert whole(flow, data).advance(1).peaks[0] == pytest.approx(0.7, rel=1e-4)


@pytest.mark.slow
def test_a_sponge_swallows_a_pulse_that_would_come_back() -> None:
    def left(sponge: float) -> float:
        """The share of a pulse's energy that is there after it has run into the outflow and back."""
        block, setup, _ = begun(
            {
                "grid": {"cells": {"x": 200, "y": 4}, "size": {"x": 1.0, "y": 0.02}},
                "fluid": {"viscosity": 1e-6, "mach": 0.1},
                "boundaries": {"x-": "wall", "x+": {"kind": "outflow", "sponge": sponge}, "y": "slip"},
                "run": {"until": 1.0, "precision": "double"},
            }
        )
        c, dt = setup.flow.sound_speed, setup.flow.dt
        x = (np.arange(200) + 0.5) / 200
        level = np.zeros((3, 1, 4, 200))
        level[2], level[0] = (0.01 * np.exp(-(((x - shift - 0.7) / 0.025) ** 2)) for shift in (0.0, 0.0025))
        level[0] /= c
        block.load(np.concatenate([level, level]), (0, 0, 0))
        block.fill()

        def energy() -> float:
            here = own(block)
            return float((here[2] ** 2).sum() + c**2 * (here[:2] ** 2).sum())

        before = energy()
        block.advance(round(0.6 / c / dt))
        return energy() / before

    assert left(sponge=0.0) > 0.6
    assert left(sponge=0.2) < 0.15


TUNNEL: Any = {
    "grid": {"cells": {"x": 60, "y": 4}, "size": {"x": 20.0, "y": 1.0}},
    "fluid": {"viscosity": 0.01},
    "boundaries": {
        "x-": {"kind": "inflow", "velocity": {"x": 1.0}},
        "x+": {"kind": "outflow", "sponge": 3.0},
        "y": "slip",
    },
    "run": {"until": 60.0, "ramp": 5.0, "precision": "double"},
}


@pytest.mark.slow
@pytest.mark.parametrize("ramp", [0.0, 5.0])
def test_the_stream_of_an_empty_tunnel_rises_with_its_inflow(ramp: float) -> None:
    """All of it at once: without the pull, sound runs through the tunnel and is 0.6 of the stream at time 10."""
    block, setup, _ = begun(TUNNEL | {"run": TUNNEL["run"] | {"ramp": ramp}})
    for _ in range(4):
        block.advance(round(2 / setup.flow.dt))
        given = setup.flow.ramps(block.step - 1, 1)[0]
        np.testing.assert_allclose(own(block)[0], given, atol=0.01 if ramp == 0 else 1e-12)


def test_an_outflow_without_a_sponge_draws_nothing() -> None:
    bare = TUNNEL["boundaries"] | {"x+": {"kind": "outflow", "sponge": 0.0}}
    start = {"problem": "uniform", "velocity": {"x": 0.9}}
    block, setup, _ = begun(TUNNEL | {"boundaries": bare, "initial": start, "run": {"until": 60}})
    assert setup.flow.stream is not None
    assert block.stream is None
    block.advance(20)
    np.testing.assert_allclose(own(block)[0, 0, :, 30], 0.9, atol=1e-6)


@pytest.mark.parametrize("flipped", [False, True])
@pytest.mark.slow
def test_sound_leaves_a_tunnel(flipped: bool) -> None:
    """A stream that begins too slow makes sound, which is absorbed, short waves and long ones."""
    case = dict(TUNNEL)
    if flipped:
        inflow, outflow = case["boundaries"]["x-"], case["boundaries"]["x+"]
        case["boundaries"] = {"x-": outflow, "x+": inflow | {"velocity": {"x": -1.0}}, "y": "slip"}
    speed = -1.0 if flipped else 1.0
    block, setup, _ = begun(
        case | {"initial": {"problem": "uniform", "velocity": {"x": 0.9 * speed}}, "run": {"until": 60}}
    )
    block.advance(round(30 / setup.flow.dt))
    np.testing.assert_allclose(own(block)[0], speed, atol=2e-4)


def test_what_flows_into_a_viscous_channel_flows_out() -> None:
    block, _, last = begun(
        {
            "grid": {"cells": {"x": 64, "y": 16}, "size": {"x": 4.0, "y": 1.0}},
            "fluid": {"viscosity": 0.1, "speed": 1.5},
            "boundaries": {
                "x-": {"kind": "inflow", "velocity": {"x": 1.5}, "profile": "parabolic"},
                "x+": "outflow",
                "y": "wall",
            },
            "run": {"until": 8.0, "ramp": 1.0, "precision": "double"},
        }
    )
    block.advance(last)
    u, _, p = own(block)[:, 0]
    np.testing.assert_allclose(u.mean(0), u[:, 0].mean(), rtol=3e-3)
    np.testing.assert_allclose(np.diff(p.mean(0))[8:50] * 16, -1.2, rtol=5e-3)


def test_velocity_is_damped_where_the_outflow_can_have_the_inflows_profile_alone() -> None:
    walls = {"boundaries": TUNNEL["boundaries"] | {"y": "wall"}}
    step = {"shape": "box", "low": {"x": -1.0, "y": -1.0}, "high": {"x": 4.0, "y": 0.5}}
    bar = step | {"high": {"x": 30.0, "y": 0.5}}
    no_outflow = {"x-": {"kind": "inflow", "velocity": {"x": 1.0}}, "x+": "slip", "y": "outflow"}
    changes: list[tuple[dict[str, Any], Any]] = [
        ({}, (2, 0)),
        (walls, None),
        ({"obstacles": [step]}, None),
        ({"obstacles": [bar]}, (2, 0)),
        ({"boundaries": no_outflow}, None),
    ]
    for change, wanted in changes:
        assert begun(TUNNEL | change)[1].flow.stream == wanted


@pytest.mark.slow
def test_a_solid_in_a_sponge_is_not_drawn_along() -> None:
    bar = {"shape": "box", "low": {"x": -1.0, "y": -1.0}, "high": {"x": 30.0, "y": 0.5}}
    block, _, _ = begun(TUNNEL | {"obstacles": [bar], "run": {"until": 5}})
    block.advance(20)
    assert not own(block)[:2, 0, :2, 1:].any()
    assert own(block)[0, 0, 3].min() > 0.5


def test_pressure_rests_where_a_wall_or_a_body_does() -> None:
    box = {"grid": TUNNEL["grid"], "fluid": TUNNEL["fluid"], "run": {"until": 1.0}}
    ball = {"obstacles": [{"shape": "cylinder", "center": {"x": 3.0, "y": 0.5}, "radius": 0.2}]}
    for case, carried in ((box, True), (box | ball, False), (TUNNEL, False)):
        flow = begun(case)[1].flow
        assert (flow.carried, flow.pressure_diffusivity > 0, flow.lead == 0.2) == (carried,) * 3
        assert bool(flow.coefficients()["a"][0]) == carried
    given = {"viscosity": 0.01, "pressure": "carried", "pressure_diffusivity": 0.0}
    flow = begun(TUNNEL | {"fluid": given})[1].flow
    assert (flow.carried, flow.pressure_diffusivity, flow.lead) == (True, 0.0, 0.2)


def test_boundary_velocities_rise_smoothly() -> None:
    flow = replace(flow_of((1, 6, 7)), ramp=1.0, dt=0.1)
    rises = flow.ramps(0, 12)
    assert rises[4] == pytest.approx(0.5)
    np.testing.assert_array_equal(rises[9:], 1.0)
    assert (np.diff(rises[:10]) > 0).all()
    assert rises[0] < 0.03
