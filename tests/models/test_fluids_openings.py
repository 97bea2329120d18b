"""Solids at the faces that fluid flows in and out through."""

from __future__ import annotations

from collections import deque
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from flow_blocks import begun, own
from hypothesis import given, settings
from hypothesis import strategies as st

from gridstride.pipeline.simulations.case import make_case
from gridstride.workers.models.edac import openings
from gridstride.workers.models.edac.geometry import Geometry
from gridstride.workers.models.edac.obstacles import Box, Cylinder, Mask, Sphere, cell_fractions
from gridstride.workers.models.edac.solids import stopped

FACES = {"z": ((0, 0), (0, 1)), "y": ((1, 0), (1, 1)), "x": ((2, 0), (2, 1))}


def channel(obstacles: list[Any], until: float = 0.1, **more: Any) -> dict[str, Any]:
    return {
        "grid": {"cells": {"x": 40, "y": 20}, "size": {"x": 2.0, "y": 2.0}},
        "fluid": {"viscosity": 0.1, "speed": 2.0, "mach": 0.1},
        "boundaries": {"x-": {"kind": "inflow", "velocity": {"x": 1.0}}, "x+": {"kind": "outflow"}, "y": "slip"},
        "obstacles": obstacles,
        "run": {"until": until, "precision": "double"},
        **more,
    }


def box(*ends: float) -> dict[str, Any]:
    x0, x1, y0, y1 = ends
    return {"shape": "box", "low": {"x": x0, "y": y0}, "high": {"x": x1, "y": y1}}


def flooded(geometry: Geometry, solids: Any, inflows: Any, outflows: Any) -> dict[Any, np.ndarray]:
    """`open_cells`, cell by cell over the whole grid."""
    cells, components = geometry.cells, geometry.components
    ends = [n + (components == 3 or axis > 0) for axis, n in enumerate(cells)]
    closed = stopped(geometry, solids, (0, 0, 0), ends)
    solid = cell_fractions(geometry, solids, (0, 0, 0), cells) > 0.5

    def shut(axis: int, cell: tuple[int, ...], side: int) -> bool:
        at = list(cell)
        at[axis] += side
        return bool(closed[(2 - axis, *at)])

    def beside(face: Any) -> list[tuple[int, ...]]:
        axis, side = face
        ends = [(n - 1 if side else 0,) if a == axis else range(n) for a, n in enumerate(cells)]
        return [(z, y, x) for z in ends[0] for y in ends[1] for x in ends[2]]

    reached = set()
    for axis, side in outflows:
        for cell in beside((axis, side)):
            if not (shut(axis, cell, 0) or shut(axis, cell, 1) or solid[cell]):
                reached.add(cell)
    waiting = deque(reached)
    while waiting:
        cell = waiting.popleft()
        for axis in range(3 - components, 3):
            for side in (0, 1):
                other = list(cell)
                other[axis] += 2 * side - 1
                wrapped = not 0 <= other[axis] < cells[axis]
                if wrapped and not geometry.periodic[axis]:
                    continue
                other[axis] %= cells[axis]
                if not shut(axis, cell if side == 0 else tuple(other), 0) and tuple(other) not in reached:
                    reached.add(tuple(other))
                    waiting.append(tuple(other))
    found = {}
    for face in inflows:
        axis, side = face
        shape = [n for a, n in enumerate(cells) if a != axis]
        here = [c in reached and not shut(axis, c, side) and not solid[c] for c in beside(face)]
        found[face] = np.array(here).reshape(shape)
    return found


@st.composite
def places(draw: st.DrawFn) -> tuple[Geometry, Any, Any, Any]:
    planar = draw(st.booleans())
    cells = (1 if planar else draw(st.integers(4, 9)), draw(st.integers(4, 12)), draw(st.integers(4, 12)))
    axes = ["y", "x"] if planar else ["z", "y", "x"]
    through = draw(st.sampled_from(axes))
    flip = draw(st.booleans())
    inflow, outflow = FACES[through][::-1] if flip else FACES[through]
    periodic = [(planar and a == "z") or (a != through and draw(st.booleans())) for a in "zyx"]
    spacing = tuple(draw(st.sampled_from([0.1, 0.25, 1.0])) for _ in range(3))
    geometry = Geometry(cells, spacing, (0.0,) * 3, tuple(periodic), len(axes))  # type: ignore[arg-type]
    sizes = [n * h for n, h in zip(cells, spacing, strict=True)][::-1]
    number = st.floats(-0.2, 1.2).map(lambda v: round(v, 3))
    solids: list[Any] = []
    for kind in draw(st.lists(st.sampled_from(["disc", "ball", "box", "plate"]), min_size=1, max_size=4)):
        at = [draw(number) * s for s in sizes[: len(axes)]]
        if kind == "disc":
            solids.append(Cylinder((at[0], at[1]), 0.5 * draw(st.floats(0.05, 1)) * min(sizes[:2])))
        elif kind == "ball" and not planar:
            solids.append(Sphere(tuple(at), 0.5 * draw(st.floats(0.05, 1)) * min(sizes)))
        else:
            ends = [sorted((a, draw(number) * s + 1e-3)) for a, s in zip(at, sizes, strict=False)]
            if kind == "plate":
                ends[-1] = [ends[-1][0], ends[-1][0] + 0.2 * spacing[3 - len(axes)]]
            solids.append(Box(tuple(e[0] for e in ends), tuple(e[1] for e in ends)))
    return geometry, solids, (inflow,), (outflow,)


@settings(max_examples=80, deadline=None)
@given(places(), st.sampled_from([1, 40, 2**20]))
def test_ways_are_those_of_a_flood_through_the_whole_grid(case: Any, slab: int) -> None:
    geometry, solids, inflows, outflows = case
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(openings, "SLAB", slab)
        found = openings.open_cells(geometry, solids, inflows, outflows)
    wanted = flooded(geometry, solids, inflows, outflows)
    for face in inflows:
        np.testing.assert_array_equal(found[face], wanted[face])


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 10**6), st.sampled_from([0.2, 0.4, 0.6]), st.booleans(), st.sampled_from([30, 2**20]))
def test_ways_through_random_masks(seed: int, share: float, flat: bool, slab: int) -> None:
    rng = np.random.default_rng(seed)
    cells = (1 if flat else 5, 7, 9)
    values = rng.random(cells) < share
    periodic = (flat or seed % 2 == 0, seed % 3 == 0, False)
    geometry = Geometry(cells, (0.3, 0.1, 0.2), (0.0,) * 3, periodic, 2 if flat else 3)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(openings, "SLAB", slab)
        patch.setattr("gridstride.workers.models.edac.obstacles._open_mask", lambda path: values[0] if flat else values)
        found = openings.open_cells(geometry, [Mask("")], FACES["x"][:1], FACES["x"][1:])
        wanted = flooded(geometry, [Mask("")], FACES["x"][:1], FACES["x"][1:])
    np.testing.assert_array_equal(found[2, 0], wanted[2, 0])


# A step at the inflow, one that ends a tenth of a cell behind it, and a pocket between a post, a wall and the inflow.
COVERED = {
    "step": ([box(-1, 0.5, -1, 1.0)], 10),
    "step from the face": ([box(0, 0.5, 0, 1.0)], 10),
    "step behind the face": ([box(0.005, 0.5, -1, 1.0)], 10),
    "pocket": ([box(0.3, 0.6, -1, 0.8), box(-1, 0.6, 0.5, 0.8)], 12),
    "post": ([box(0.3, 0.6, 0.6, 1.4)], 20),
}


@pytest.mark.parametrize("name", COVERED)
def test_what_flows_in_is_the_given_velocity_where_the_face_is_open(name: str) -> None:
    obstacles, rows = COVERED[name]
    block, setup, last = begun(channel(obstacles))
    block.advance(last)
    u = own(block)[0, 0]
    assert u[:, 0].tolist() == [0.0] * (20 - rows) + [1.0] * rows
    assert f"x-: {rows / 10:.4g} in each unit" in make_case(channel(obstacles)).facts(setup)["inflow"]


def test_a_step_at_the_inflow_does_not_pump() -> None:
    """Flux 1 through every section (2 of Ma^2, 0.02), and a pressure that balances friction: 3, where it grew without
    end."""
    run = {"until": 8.0, "ramp": 2.0, "precision": "double"}
    block, _, last = begun(channel([box(-1, 0.5, -1, 1.0)], run=run))
    block.advance(last)
    u, _, p = own(block)[:, 0]
    np.testing.assert_allclose(u[:, :36].sum(axis=0) * 0.1, 1.0, atol=0.01)
    assert abs(p).max() < 4.0
    assert not u[:10, 0:10].any()


def test_what_is_closed_is_refused() -> None:
    for obstacles in (
        [{"shape": "cylinder", "center": {"x": 1.0, "y": 1.0}, "radius": 1.1}],
        [box(1.0, 1.02, -1, 3)],
        [box(-1, 0.3, -1, 3)],
        [box(1.97, 3, -1, 3)],
        [box(0.5, 1, -1, 1.2), box(1.0, 1.5, 1.1, 3)],
    ):
        case = make_case(channel(obstacles))
        with pytest.raises(ValueError, match=r"no way from the inflow at boundaries.x- to the outflow at boundaries"):
            case.setup(1e-3)


def test_a_lid_on_part_of_the_outflow_stops_what_meets_it() -> None:
    block, _, last = begun(channel([box(1.97, 3, -1, 1.0)], 0.5))
    block.advance(last)
    assert not own(block)[0, 0, :10, -1].any()
    assert own(block)[0, 0, 10:, -1].all()


def test_a_body_that_falls_between_the_points_of_the_grid_is_refused() -> None:
    for body in (
        {"shape": "cylinder", "center": {"x": 1.0, "y": 1.0}, "radius": 0.001},
        box(1.0, 1.001, 0.0, 2.0),
    ):
        with pytest.raises(ValueError, match=r"obstacles.1 is 0.0\d+ cells thin and falls between the points"):
            make_case(channel([box(0.5, 0.6, 0.5, 0.6), body])).setup(1e-3)


def test_a_mask_too_large_to_look_for_ways_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    solid = np.zeros((20, 40), bool)
    solid[:5] = True
    solid[:, 20] = True
    np.save(tmp_path / "mask.npy", solid)
    case = make_case(channel([{"shape": "mask", "path": str(tmp_path / "mask.npy")}]))
    with pytest.raises(ValueError, match="no way"):
        case.setup(1e-3)
    monkeypatch.setattr(openings, "MOST", 100)
    setup = case.setup(1e-3)
    assert setup.flow.faces[2][0][0, 0].tolist() == [0.0] * 5 + [1.0] * 15
    assert "was not looked at" in case.facts(setup)["inflow"]


def test_pressure_in_a_closed_pocket_does_not_drift() -> None:
    """Fluid closed in by a ring, in a stream: its pressure stays between those outside. What moves there is what the
    equation's own diffusion of pressure, nu_p lap p = c^2 div u, lets through."""
    ring = [box(0.8, 1.2, 0.8, 0.9), box(0.8, 1.2, 1.1, 1.2), box(0.8, 0.9, 0.8, 1.2), box(1.1, 1.2, 0.8, 1.2)]
    block, _, last = begun(channel(ring, 6.0, grid={"cells": {"x": 40, "y": 40}, "size": {"x": 2.0, "y": 2.0}}))
    block.advance(last)
    u, _, p = own(block)[:, 0]
    inside = slice(19, 21)
    outside = np.concatenate([p[14, 14:26], p[25, 14:26]])
    assert outside.min() <= p[inside, inside].mean() <= outside.max()
    assert abs(u[inside, 19:22]).max() < 0.1 * np.ptp(outside) / (20.0**2 * 0.05)


def test_a_mask_of_other_numbers_is_refused_before_anything_is_made(tmp_path: Path) -> None:
    np.save(tmp_path / "mask.npy", np.full((20, 40), 7.0))
    case = make_case(channel([{"shape": "mask", "path": str(tmp_path / "mask.npy")}], boundaries={}))
    with pytest.raises(ValueError, match="holds values that are no solid fractions: expected bool, or from 0 to 1"):
        case.setup(1e-3)


@pytest.mark.parametrize("seed", range(6))
def test_what_flows_into_a_random_maze_is_what_flows_out_or_is_stored(seed: int, tmp_path: Path) -> None:
    """The pressure's own budget, without a sponge: c^2 times the volume that came in and did not go out."""
    solid = np.random.default_rng(seed).random((20, 40)) < 0.25
    solid[:, 0] = solid[:, 1]
    np.save(tmp_path / "mask.npy", solid)
    content = channel([{"shape": "mask", "path": str(tmp_path / "mask.npy")}])
    content["boundaries"] |= {"x+": {"kind": "outflow", "sponge": 0}, "y": "slip"}
    block, setup, _ = begun(content)
    face, n = setup.flow.faces[2][0][0, 0], 40
    assert 0 < (face > 0).sum() <= (~solid[:, 0]).sum()
    cell, c2 = 0.05 * 0.1, setup.flow.sound_speed**2
    for _ in range(200):
        block.advance(1)
        u = block.now[0, 0, 1:-1, 1:]
        p, before = block.now[-1, 0, 1:-1, 1:-1], block.before[-1, 0, 1:-1, 1:-1]
        assert np.array_equal(u[:, 0], face)
        assert not u[:, 1:n][solid[:, 1:] | solid[:, :-1]].any()
        came = c2 * (u[:, 0] - u[:, n]).sum() * 0.1
        assert (p - before).sum() * cell / setup.flow.dt == pytest.approx(came, abs=1e-8 * c2)
        assert abs(p).max() < c2
