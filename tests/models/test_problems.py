"""Initial and exact flows: free of divergence on the staggered grid, solutions where they say so, the same bits in any
block."""

from __future__ import annotations

import dataclasses
import json
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gridstride.pipeline.simulations.case import Case, make_case
from gridstride.workers.models.edac.bind import make_geometry, make_problem
from gridstride.workers.models.edac.problems import PROBLEMS, Random, sample

SOME_PLACES = np.random.default_rng(3).random((3, 40))


def a_case(problem: str, cells: dict[str, int], size: dict[str, float] | None = None, **more: Any) -> Case:
    parameters = {key: more.pop(key) for key in ("seed", "speed", "peak", "background", "velocity") if key in more}
    content = {
        "grid": {
            "cells": cells,
            "size": size or dict.fromkeys(cells, 2.0),
            "origin": {"x": -0.3, "y": 0.2},
        },
        "fluid": {"viscosity": 0.02, "speed": 1.5},
        "initial": {"problem": problem, **parameters},
        "run": {"until": 1},
        **more,
    }
    return make_case(content)


CHANNEL = {"y-": {"kind": "wall", "velocity": {"x": -0.5}}, "y+": {"kind": "wall", "velocity": {"x": 1.5}}}
CASES = {
    "rest": a_case("rest", {"x": 8, "y": 8}),
    "uniform": a_case("uniform", {"x": 8, "y": 12, "z": 9}, velocity={"x": 1, "z": -2}),
    "taylor-green": a_case("taylor-green", {"x": 16, "y": 16, "z": 12}),
    "travelling": a_case("travelling-taylor-green", {"x": 16, "y": 16}, background={"x": 1, "y": 0.3}),
    "shear-layer": a_case("shear-layer", {"x": 16, "y": 24}),
    "poiseuille": a_case("poiseuille", {"x": 8, "y": 16, "z": 4}, boundaries={"y": "wall"}, force={"x": 0.1}),
    "couette": a_case("couette", {"x": 8, "y": 16}, boundaries=CHANNEL),
    "random": a_case("random", {"x": 16, "y": 20, "z": 28}, {"x": 1.0, "y": 1.5, "z": 2.0}, peak=2, seed=7),
    "random-2d": a_case("random", {"x": 32, "y": 28}, {"x": 2.0, "y": 1.5}, peak=4, seed=7),
}


def test_every_problem_is_tried() -> None:
    assert {case.initial.problem for case in CASES.values()} == set(PROBLEMS)


def whole(case: Case, t: float = 0.0, more: int = 0) -> np.ndarray:
    """All fields of a case; `more` cells beyond the grid along each axis, if it has that axis."""
    geometry = make_geometry(case)
    ends = [n + (more if n > 1 else 0) for n in geometry.cells]
    return sample(make_problem(case), geometry, (0, 0, 0), ends, t)


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("t", [0.0, 0.7])
def test_nothing_flows_out_of_a_cell_that_does_not_flow_in(name: str, t: float) -> None:
    case = CASES[name]
    geometry = make_geometry(case)
    fields = whole(case, t, more=1)
    inside = tuple(slice(0, n) for n in geometry.cells)
    flows = np.zeros(geometry.cells)
    for component in range(case.components):
        axis = 2 - component
        flows += (np.diff(fields[component], axis=axis) / geometry.spacing[axis])[inside]
    largest = np.abs(fields[:-1]).max() / min(case.spacing.values())
    assert np.abs(flows).max() <= 4e-15 * case.components * max(largest, 1e-30)
    assert name == "rest" or largest > 0.1


@pytest.mark.parametrize("name", CASES)
@given(data=st.data())
def test_a_block_gets_the_bits_of_the_whole(name: str, data: st.DataObject) -> None:
    geometry = make_geometry(CASES[name])
    fields = whole(CASES[name], t=0.3)
    lo, hi = [], []
    for axis, n in enumerate(geometry.cells):
        beyond = n if geometry.periodic[axis] and n > 1 else 0
        lo.append(data.draw(st.integers(-beyond, n - 1)))
        hi.append(data.draw(st.integers(lo[-1] + 1, n + beyond)))
    block = sample(make_problem(CASES[name]), geometry, lo, hi, 0.3)
    index = [np.arange(a, b) % n for a, b, n in zip(lo, hi, geometry.cells, strict=True)]
    np.testing.assert_array_equal(block, fields[np.ix_(range(len(fields)), *index)])


@pytest.mark.parametrize("name", CASES)
def test_problems_survive_json(name: str) -> None:
    problem = make_problem(CASES[name])
    stored = json.loads(json.dumps(dataclasses.asdict(problem)))  # type: ignore[call-overload]
    again = PROBLEMS[problem.name](**{k: tuple(v) if isinstance(v, list) else v for k, v in stored.items()})
    assert again == problem
    assert hash(again) == hash(problem)


def gradient(function: Any, place: np.ndarray, axis: int, order: int = 1, h: float = 2e-3) -> np.ndarray:
    """First or second derivative of a function of (x, y, z, t), to fourth order."""
    weights = {1: (1 / 12, -2 / 3, 0, 2 / 3, -1 / 12), 2: (-1 / 12, 4 / 3, -5 / 2, 4 / 3, -1 / 12)}[order]
    total = np.zeros(place.shape[1:])
    for step, weight in zip(range(-2, 3), weights, strict=True):
        moved = place.copy()
        moved[axis] += step * h
        total += weight * function(moved)
    return total / h**order


@pytest.mark.parametrize("name", [n for n in CASES if PROBLEMS[CASES[n].initial.problem].exact])
@pytest.mark.parametrize("t", [0.0, 0.4])
def test_exact_problems_solve_the_equations(name: str, t: float) -> None:
    """du/dt + u.grad u + grad p - nu lap u - f = 0 and div u = 0, by differences at scattered places."""
    check_equations(CASES[name], t)


@given(
    ratio=st.floats(0.5, 2),
    background=st.tuples(st.floats(-2, 2), st.floats(-2, 2)),
    speed=st.floats(0.2, 2),
    t=st.floats(0, 2),
)
def test_travelling_vortices_do_so_in_any_box(ratio: float, background: Any, speed: float, t: float) -> None:
    x, y = background
    size = {"x": 2.0, "y": 2 * ratio}
    case = a_case("travelling-taylor-green", {"x": 8, "y": 8}, size, background={"x": x, "y": y}, speed=speed)
    check_equations(case, t)


def check_equations(case: Case, t: float) -> None:
    problem, axes = make_problem(case), range(case.components)
    place = np.concatenate([SOME_PLACES, np.full((1, SOME_PLACES.shape[1]), t)])

    def at(field: int | str) -> Any:
        def value(p: np.ndarray) -> np.ndarray:
            z = p[2] if case.components == 3 else None
            times = p[3]  # a problem takes one time for all places
            if isinstance(field, str):
                return problem.pressure(p[0], p[1], z, float(times[0]))
            return problem.velocity(field, p[0], p[1], z, float(times[0]))

        return value

    velocity = [at(i)(place) for i in axes]
    scale = max(1.0, *(np.abs(v).max() for v in velocity)) ** 2
    assert np.abs(sum(gradient(at(i), place, i) for i in axes)).max() < 1e-7 * scale
    for i in axes:
        force = list(case.force.values())[i]
        convection = sum(velocity[j] * gradient(at(i), place, j) for j in axes)
        friction = case.fluid.viscosity * sum(gradient(at(i), place, j, 2) for j in axes)
        rest = gradient(at(i), place, 3) + convection + gradient(at("p"), place, i) - friction - force
        assert np.abs(rest).max() < 1e-6 * scale


def test_taylor_green_pressure_keeps_its_flow_free_of_divergence() -> None:
    """lap p = -(du_i/dx_j) (du_j/dx_i), at scattered places; the velocity itself against the formula."""
    problem = make_problem(CASES["taylor-green"])
    velocity = [lambda p, i=i: problem.velocity(i, p[0], p[1], p[2], 0.0) for i in range(3)]
    slopes = [[gradient(velocity[i], SOME_PLACES, j) for j in range(3)] for i in range(3)]
    source = -sum(slopes[i][j] * slopes[j][i] for i in range(3) for j in range(3))
    lap = sum(gradient(lambda p: problem.pressure(p[0], p[1], p[2], 0.0), SOME_PLACES, j, 2) for j in range(3))
    assert np.abs(source).max() > 1
    np.testing.assert_allclose(lap, source, atol=1e-6 * np.abs(source).max())
    x, y, z = SOME_PLACES
    a, b, c = np.pi * (x + 0.3), np.pi * (y - 0.2), np.pi * z
    np.testing.assert_allclose(velocity[0](SOME_PLACES), 1.5 * np.sin(a) * np.cos(b) * np.cos(c), atol=1e-14)
    np.testing.assert_allclose(velocity[1](SOME_PLACES), -1.5 * np.cos(a) * np.sin(b) * np.cos(c), atol=1e-14)


def test_shear_layers_are_where_they_belong() -> None:
    problem = make_problem(a_case("shear-layer", {"x": 8, "y": 8}, speed=2.0))
    y = 0.2 + 2.0 * np.array([0.0, 0.25, 0.2625, 0.5, 0.75, 0.7375, 1.0])
    u = problem.velocity(0, np.zeros(1), y, None, 0.0)
    edge, layer = 2 * np.tanh(20.0), 2 * np.tanh(1.0)
    np.testing.assert_allclose(u, [-edge, 0, layer, edge, 0, layer, -edge], atol=1e-12)
    np.testing.assert_allclose(problem.velocity(0, np.zeros(1), y - 2.0, None, 0.0), u, atol=1e-12)  # periodic
    x = -0.3 + 2.0 * np.array([0.0, 0.25, 0.5, 0.75])
    np.testing.assert_allclose(problem.velocity(1, x, np.zeros(1), None, 0.0), [0.1, 0, -0.1, 0], atol=1e-15)


def test_channel_flows_meet_their_walls() -> None:
    height, middle = np.array([0.2, 2.2]), np.array([1.2])
    parabola = make_problem(CASES["poiseuille"])
    peak = 0.1 * 2.0**2 / (8 * 0.02)
    np.testing.assert_allclose(parabola.velocity(0, 0.0, height, 0.0, 0.0), [0, 0], atol=1e-14)
    np.testing.assert_allclose(parabola.velocity(0, 0.0, middle, 0.0, 0.0), [peak])
    assert not parabola.pressure(np.linspace(0, 1, 5), 0.0, 0.0, 0.0).any()  # the force does all the work
    ends = {"x-": {"kind": "inflow", "velocity": {"x": 1.5}, "profile": "parabolic"}, "x+": "outflow", "y": "wall"}
    pushed = make_problem(a_case("poiseuille", {"x": 8, "y": 8}, boundaries=ends))
    np.testing.assert_allclose(pushed.pressure(np.array([-0.3, 1.7]), 0.0, None, 0.0), [8 * 0.02 * 1.5 / 4 * 2, 0])
    line = make_problem(CASES["couette"])
    np.testing.assert_allclose(line.velocity(0, 0.0, np.array([0.2, 1.2, 2.2]), None, 0.0), [-0.5, 0.5, 1.5])


@pytest.mark.parametrize("name", ["random", "random-2d"])
def test_random_flow_has_the_speed_and_spectrum_asked_for(name: str) -> None:
    """Energy by Fourier transform against k^4 exp(-2 (k / k0)^2) / k^(d - 1) for each mode."""
    case = CASES[name]
    geometry, problem = make_geometry(case), make_problem(case)
    assert isinstance(problem, Random)
    velocity = whole(case)[:-1]
    np.testing.assert_allclose((velocity**2).sum(axis=0).mean(), 1.5**2, rtol=1e-12)
    axes = [a for a in range(3) if geometry.cells[a] > 1]
    energy = (np.abs(np.fft.fftn(velocity, axes=[a + 1 for a in axes])) ** 2).sum(axis=0)
    waves = [np.fft.fftfreq(geometry.cells[a], geometry.spacing[a]) * problem.size[0] for a in axes]
    k = np.sqrt(sum(m**2 for m in np.meshgrid(*waves, indexing="ij"))).reshape(geometry.cells)
    resolved = (k > 0) & (k <= 3 * problem.peak)
    k[~resolved] = 1
    expected = np.where(resolved, k ** (5.0 - len(axes)) * np.exp(-2 * (k / problem.peak) ** 2), 0.0)
    np.testing.assert_allclose(energy / energy.sum(), expected / expected.sum(), atol=1e-14)


def test_random_flow_comes_from_the_seed() -> None:
    def at(seed: int) -> np.ndarray:
        return whole(a_case("random", {"x": 16, "y": 16}, peak=2, seed=seed))

    np.testing.assert_array_equal(at(1), at(1))
    assert np.abs(at(1) - at(2)).max() > 0.5


def test_random_flow_is_the_same_on_every_grid_to_second_order() -> None:
    """A finer grid's velocity tends to a limit, with a quarter of the error for half the spacing."""

    def at(n: int) -> np.ndarray:
        problem = make_problem(a_case("random", {"x": n, "y": n, "z": n}, peak=2, seed=5))
        return np.stack([problem.velocity(i, *SOME_PLACES, 0.0) for i in range(3)])

    coarse, fine, limit = at(16), at(32), at(1024)
    ratio = np.abs(coarse - limit).max() / np.abs(fine - limit).max()
    assert 3.5 < ratio < 5
    assert np.abs(fine - limit).max() < 0.1


def test_random_flow_is_what_it_was() -> None:
    """Simulations that were begun long ago must be made again: three values, as first computed."""
    problem = make_problem(CASES["random"])
    found = [float(problem.velocity(i, np.array(0.1), np.array(0.4), np.array(0.7), 0.0)) for i in range(3)]
    np.testing.assert_allclose(found, [-0.6293817580930379, 0.6920089724150075, 0.590271028456118], rtol=1e-12)
