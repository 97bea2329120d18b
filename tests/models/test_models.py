"""What holds of every model: the order of its errors, the same bits at every cut, and that it travels as data."""

from __future__ import annotations

from itertools import pairwise, product
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import gridstride
from gridstride.pipeline.simulations.case import make_case
from gridstride.pipeline.simulations.schedules import make_timeline
from gridstride.workers import saving
from gridstride.workers.models import registry
from gridstride.workers.models.base import Model, Problem, Setup
from gridstride.workers.models.block import Block

ROOT = Path(gridstride.__file__).parent.resolve()
PROBLEMS = [(name, problem) for name in registry.modules() for problem in registry.model(name).problems()]
NAMED = [f"{name}: {problem.name}" for name, problem in PROBLEMS]


def case_of(problem: Problem, cells: int) -> Model:
    grid = problem.case["grid"]
    return make_case({**problem.case, "grid": {**grid, "cells": dict.fromkeys(grid["size"], cells)}})


def begun(case: Model, dt: float | None = None) -> tuple[Setup, Block]:
    setup = case.setup(make_timeline(case).dt if dt is None else dt)
    block = setup.block((0, 0, 0), setup.domain.cells, 0, "cpu")
    setup.begin(block)
    return setup, block


def error(case: Model) -> float:
    """The largest difference from the exact solution at the end."""
    setup, block = begun(case)
    last = make_timeline(case).last
    block.advance(last)
    exact = setup.exact(block, last * setup.domain.dt)
    assert exact
    return max(float(np.abs(setup.output(block, name) - values).max()) for name, values in exact.items())


def test_every_model_has_a_problem_with_an_exact_solution() -> None:
    assert set(registry.modules()) == {name for name, _ in PROBLEMS}


@pytest.mark.slow
@pytest.mark.parametrize(("name", "problem"), PROBLEMS, ids=NAMED)
def test_errors_fall_with_the_order_of_the_scheme(name: str, problem: Problem) -> None:
    coarse, fine = (error(case_of(problem, cells)) for cells in problem.cells)
    if problem.order == np.inf:
        assert max(coarse, fine) < 1e-12
        return
    assert np.log(coarse / fine) / np.log(problem.cells[1] / problem.cells[0]) > problem.order - 0.1
    assert 1e-8 < fine < 0.1


@pytest.mark.parametrize(("name", "problem"), PROBLEMS, ids=NAMED)
def test_the_beginning_is_the_exact_solution_at_time_0(name: str, problem: Problem) -> None:
    setup, block = begun(case_of(problem, problem.cells[1]))
    exact = setup.exact(block, 0.0)
    scale = max(np.abs(values).max() for values in exact.values())
    assert scale > 0.1
    for array, values in exact.items():
        np.testing.assert_allclose(setup.output(block, array), values, atol=0.1 * scale)


def cuts(rng: np.random.Generator, n: int) -> list[tuple[int, int]]:
    if n < 8:
        return [(0, n)]
    middle = int(rng.integers(4, n - 3))
    return list(pairwise((0, middle, n)))


def with_precisions() -> list[Any]:
    """(name, problem, precision); slow: the one that takes longest."""
    return [
        pytest.param(*problem, precision, id=f"{precision}-{called}",
                     marks=pytest.mark.slow if (precision, called) == ("single", "edac: travelling vortex") else ())
        for precision in ("single", "double")
        for problem, called in zip(PROBLEMS, NAMED, strict=True)
    ]  # fmt: skip


@pytest.mark.parametrize(("name", "problem", "precision"), with_precisions())
def test_the_cut_changes_no_bit(name: str, problem: Problem, precision: str) -> None:
    """Of the state, of what is measured, and of the output, after rounds of steps with exchanges between."""
    case = case_of(problem, problem.cells[0])
    case = make_case({**case.resolved(), "run": {**case.resolved()["run"], "precision": precision}})
    rng = np.random.default_rng(1)
    setup, whole = begun(case)
    domain = setup.domain
    state = whole.saved() + rng.normal(0, 1e-3, (domain.arrays, *domain.cells)).astype(domain.dtype)
    whole.load(state, (0, 0, 0))
    whole.fill()
    step = 0
    for steps in (1, 3, 2):
        result = np.full_like(state, np.nan)
        for ends in product(*(cuts(rng, n) for n in domain.cells)):
            start, stop = zip(*ends, strict=True)
            block = setup.block(start, stop, steps, "cpu", step)
            low, high = block.held()
            where = np.ix_(*(np.arange(a, b) % n for a, b, n in zip(low, high, domain.cells, strict=True)))
            block.load(np.stack([field[where] for field in state]), low)
            block.fill()
            done = block.advance(steps)
            assert done.steps == steps
            result[(slice(None), *(slice(a, b) for a, b in ends))] = block.saved()
        whole.advance(steps)
        np.testing.assert_array_equal(result, whole.saved())
        state, step = result, step + steps
    axis = domain.slab_axis
    total = []
    for a, b in pairwise((0, domain.cells[axis] // 3, domain.cells[axis])):
        start, stop = [0, 0, 0], list(domain.cells)
        start[axis], stop[axis] = a, b
        block = setup.block(tuple(start), tuple(stop), 0, "cpu", step)  # type: ignore[arg-type]
        low, high = block.held()
        where = np.ix_(*(np.arange(a, b) % n for a, b, n in zip(low, high, domain.cells, strict=True)))
        block.load(np.stack([field[where] for field in state]), low)
        block.fill()
        total.append(setup.measure(block).values)
        place = tuple(slice(p, q) for p, q in zip(start, stop, strict=True))[1 if domain.planar else 0 :]
        for array in case.arrays():
            np.testing.assert_array_equal(setup.output(block, array), setup.output(whole, array)[place])
    np.testing.assert_array_equal(np.concatenate(total), setup.measure(whole).values)
    assert np.isfinite(state).all()


@pytest.mark.parametrize(("name", "problem"), PROBLEMS, ids=NAMED)
def test_threads_change_no_bit(name: str, problem: Problem) -> None:
    case = case_of(problem, 40 if len(problem.case["grid"]["size"]) == 3 else 150)
    found = []
    for threads in (1, 3):
        setup = case.setup(make_timeline(case).dt)
        block = setup.block((0, 0, 0), setup.domain.cells, 0, "cpu", threads=threads)
        setup.begin(block)
        peaks = block.advance(4).peaks
        found.append((block.saved(), peaks))
    for one, other in zip(*found, strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize(("name", "problem"), PROBLEMS, ids=NAMED)
def test_a_setup_travels_as_data_and_a_case_as_what_it_resolves_to(name: str, problem: Problem, tmp_path: Path) -> None:
    case = case_of(problem, problem.cells[0])
    setup, block = begun(case)
    saving.save(setup, tmp_path, "setup")
    again: Any = saving.load(tmp_path, "setup")
    assert saving.encoded(again)[0] == saving.encoded(setup)[0]
    copy = again.block((0, 0, 0), again.domain.cells, 0, "cpu")
    again.begin(copy)
    block.advance(3)
    copy.advance(3)
    np.testing.assert_array_equal(copy.saved(), block.saved())
    resolved = case.resolved()
    assert resolved["model"] == name
    assert make_case(resolved).resolved() == resolved


@pytest.mark.parametrize(("name", "problem"), PROBLEMS, ids=NAMED)
def test_a_step_beyond_the_limit_is_the_last_and_is_told(name: str, problem: Problem) -> None:
    case = case_of(problem, problem.cells[0])
    _, block = begun(case)
    peaks = block.advance(3).peaks
    assert (peaks > 0).all()
    _, block = begun(case)
    done = block.advance(3, 0.999 * float(peaks[0]))
    assert (done.steps, block.step) == (1, 1)
    np.testing.assert_array_equal(done.peaks, peaks[:1])
    assert block.where_largest().startswith("step 1: |")


@pytest.mark.parametrize(("name", "problem"), PROBLEMS, ids=NAMED)
def test_the_stable_step_is_stable_and_a_longer_one_is_not(name: str, problem: Problem) -> None:
    case = case_of(problem, 12)
    grown = []
    for factor in (0.99, 2.0):
        setup, block = begun(case, factor * case.stable_step())
        noise = np.random.default_rng(1).normal(0, 1e-3, (setup.domain.arrays, *setup.domain.cells))
        block.load((block.saved() + noise).astype(setup.domain.dtype), (0, 0, 0))
        block.fill()
        grown.append(float(block.advance(600).peaks[-1]))
    assert grown[0] < 10
    assert not grown[1] < 1e3


def test_no_model_is_named_outside_its_folder_its_source_and_tests() -> None:
    """So that a model can be added by its folder and its .cu file alone."""
    heat = [path for path in registry.modules() if path != registry.DEFAULT]
    files = [path for room in ("pipeline", "workers", "cuda") for path in (ROOT / room).rglob("*.*")]
    for name in heat:
        own = ROOT / "workers" / "models" / name
        for path in files:
            if path.suffix not in (".py", ".cu", ".cuh") or path.is_relative_to(own) or path.stem == name:
                continue
            assert name not in path.read_text(), path


def test_simulations_import_no_model() -> None:
    """What they know of one is its protocol, and that the registry has it."""
    for path in [*(ROOT / "pipeline").rglob("*.py"), *(ROOT / "workers").rglob("*.py")]:
        for name in registry.modules():
            if not path.is_relative_to(ROOT / "workers" / "models" / name):
                assert f"models.{name}" not in path.read_text(), path


def test_a_model_is_imported_when_it_is_used() -> None:
    import subprocess
    import sys

    code = (
        "import sys; from gridstride.pipeline.simulations import simulation; "
        "print([m for m in sys.modules if m.startswith('gridstride.workers.models.') and m.count('.') > 3])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_a_model_that_is_not_there_is_one_line() -> None:
    from gridstride.pipeline.errors import UsageError

    with pytest.raises(UsageError, match=r"case: model is 'haet': expected one of edac, heat"):
        make_case({"model": "haet", "grid": {}})
