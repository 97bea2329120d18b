"""The heat model: its numbers, its CUDA twin on the harness, and bugs that the comparison of both must notice."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from gridstride.pipeline.errors import UsageError
from gridstride.pipeline.simulations.case import make_case
from gridstride.pipeline.simulations.schedules import make_timeline
from gridstride.workers import kernels
from gridstride.workers.models.block import Block
from gridstride.workers.models.domain import CUT, PERIODIC, Index
from gridstride.workers.models.heat import cpu, gpu, instantiations
from gridstride.workers.models.heat.kinds import FIXED, INSULATED
from gridstride.workers.models.heat.setup import Heat
from tests.cuda_host.flows import OnHost
from tests.cuda_host.host import Host, HostError, build
from tests.marks import quick

FLAT: dict[str, Any] = {
    "model": "heat",
    "grid": {"cells": {"x": 16, "y": 12}, "size": {"x": 1.0, "y": 0.8}},
    "diffusivity": 0.05,
    "initial": {"problem": "wave"},
    "run": {"until": 0.1, "precision": "double"},
}
NEEDS_GXX = pytest.mark.skipif(shutil.which("g++") is None, reason="g++ builds the kernels for the CPU; it is missing")


# --- numbers ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["periodic", "fixed", "insulated"])
def test_a_wave_decays_by_the_factor_of_the_scheme_to_round_off(kind: str) -> None:
    """(1 - dt diffusivity k'^2) a step, with k' = 2 sin(k h / 2) / h: the operator's own eigenvalue."""
    case = make_case({**FLAT, "boundaries": {"x": kind, "y": kind}})
    timeline = make_timeline(case)
    setup = case.setup(timeline.dt)
    block = setup.block((0, 0, 0), setup.domain.cells, 0, "cpu")
    setup.begin(block)
    before = setup.output(block, "temperature")
    block.advance(timeline.last)
    k = [(2 if kind == "periodic" else 1) * np.pi / size for size in case.grid.size.values()]
    stepped = sum((2 * np.sin(a * h / 2) / h) ** 2 for a, h in zip(k, case.spacing.values(), strict=True))
    factor = (1 - timeline.dt * 0.05 * stepped) ** timeline.last
    np.testing.assert_allclose(setup.output(block, "temperature"), before * factor, atol=1e-13)
    assert 0.1 < factor < 0.95


def test_a_source_warms_an_insulated_box_and_the_diagnostics_tell() -> None:
    case = make_case({**FLAT, "boundaries": {"x": "insulated", "y": "insulated"}, "source": 2.0, "initial": None})
    setup = case.setup(1e-3)
    block = setup.block((0, 0, 0), setup.domain.cells, 0, "cpu")
    setup.begin(block)
    block.advance(50)
    np.testing.assert_allclose(setup.output(block, "temperature"), 0.1, rtol=1e-12)
    sums = setup.measure(block)
    means = dict(zip(case.sums(), sums.values.sum(axis=0) / (16 * 12), strict=True))
    assert means == pytest.approx({"temperature": 0.1, "temperature_squared": 0.01})
    assert sums.largest["max_temperature"] == pytest.approx(0.1)


def test_between_fixed_faces_a_straight_line_is_kept() -> None:
    faces = {"x-": {"kind": "fixed", "value": 1.0}, "x+": {"kind": "fixed", "value": 3.0}}
    case = make_case({**FLAT, "boundaries": faces, "initial": {"problem": "uniform", "level": 2.0}})
    setup = case.setup(make_timeline(case).dt)
    block = setup.block((0, 0, 0), setup.domain.cells, 0, "cpu")
    setup.begin(block)
    block.advance(20000)
    x = (np.arange(16) + 0.5) / 16
    np.testing.assert_allclose(setup.output(block, "temperature"), np.broadcast_to(1 + 2 * x, (12, 16)), atol=1e-10)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"difusivity": 1}, "unknown key 'difusivity': did you mean 'diffusivity'?"),
        ({"diffusivity": 0}, "diffusivity is 0: expected greater than 0"),
        ({"fluid": {"viscosity": 1}}, "unknown key 'fluid'"),
        ({"boundaries": {"x": "wall"}}, "boundaries.x-.kind is 'wall': expected 'periodic', 'fixed' or 'insulated'"),
        ({"boundaries": {"x-": "fixed"}}, "boundaries.x- is fixed and boundaries.x+ is periodic"),
        ({"boundaries": {"x": {"kind": "insulated", "value": 1}}}, "boundaries.x-: kind insulated takes no value"),
        ({"boundaries": {"x": {"kind": "fixed", "value": 1}}}, "boundaries.x-.value is 1.0: expected initial.level"),
        ({"initial": {"problem": "wafe"}}, "initial.problem is 'wafe': expected one of 'uniform', 'wave'"),
        ({"output": {"fields": ["velocity"]}}, "output.fields.0 is 'velocity': expected 'temperature'"),
        ({"output": {"fields": []}}, "output.fields is []: expected at least one of temperature"),
    ],
)
def test_a_wrong_field_is_one_line_that_names_it(change: dict[str, Any], words: str) -> None:
    with pytest.raises(UsageError) as refused:
        make_case({**FLAT, **change})
    assert str(refused.value).startswith(f"case: {words}")
    assert "\n" not in str(refused.value)


# --- the CUDA source --------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def host(tmp_path_factory: Any) -> Iterator[Host]:
    host = Host(build(tmp_path_factory.mktemp("heat_host"), instantiations()), seed=1)
    yield host
    host.close()


ENDS = (FIXED, INSULATED)
PAIRS = ((PERIODIC, PERIODIC), *product(ENDS, ENDS))


def some_heat(rng: np.random.Generator, cells: Index, dtype: str) -> Heat:
    kinds = [PAIRS[i] for i in rng.integers(len(PAIRS), size=3)]
    if cells[0] == 1:
        kinds[0] = PAIRS[0]
    given = tuple((float(a), float(b)) for a, b in rng.normal(size=(3, 2)))
    return Heat(cells, (0.11, 0.1, 0.13), 1e-3, tuple(kinds), np.dtype(dtype), (0.0,) * 3, 0.7, 0.3, given, None)


def block_of(heat: Heat, state: np.ndarray, backend: Any, start: Index, stop: Index, reach: int) -> Block:
    """A block that holds its part of a state; the level that comes next is NaN."""
    block = Block(heat, start, stop, reach, backend)
    low, high = block.held()
    where = np.ix_(*(np.arange(a, b) % n for a, b, n in zip(low, high, heat.cells, strict=True)))
    block.load(state[where][None], low)
    block.fill()
    block.state[1 - block.slot] = np.nan
    return block


def difference(
    seed: int, host: Host, cells: Index, dtype: str, part: bool, steps: int = 3, limit: float = np.inf
) -> str:
    """What the kernels make of a block that the CPU does not: "" where all bits are the same."""
    rng = np.random.default_rng(seed)
    heat = some_heat(rng, cells, dtype)
    state = rng.normal(size=cells).astype(dtype)
    start, stop = (0, 0, 0), cells
    if part:
        start = tuple(0 if n == 1 else n // 3 for n in cells)  # type: ignore[assignment]
        stop = tuple(n - n // 4 for n in cells)  # type: ignore[assignment]
    found = []
    for backend in (OnHost(host, 3, gpu), cpu):
        block = block_of(heat, state, backend, start, stop, steps)
        done = block.advance(steps, limit)
        found.append((done.steps, done.peaks, block.saved(), block.step, block.where_largest()))
    ours, theirs = found
    if (ours[0], ours[3]) != (theirs[0], theirs[3]):
        return f"{ours[0]} steps, expected {theirs[0]}"
    if not np.array_equal(ours[1], theirs[1]):
        return f"peaks {ours[1]}, expected {theirs[1]}"
    return "" if np.array_equal(ours[2], theirs[2]) and ours[4] == theirs[4] else "other bits"


SHAPES = [(1, 19, 37), (5, 9, 33)]


@pytest.mark.slow
@NEEDS_GXX
@pytest.mark.parametrize("part", [False, True], ids=["whole", "part"])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("cells", SHAPES, ids=["2-D", "3-D"])
@pytest.mark.parametrize("seed", quick(3, range(10)))
def test_the_kernels_have_the_cpu_s_bits(seed: int, cells: Index, dtype: str, part: bool, host: Host) -> None:
    assert difference(seed, host, cells, dtype, part) == ""


@NEEDS_GXX
def test_steps_end_at_the_first_beyond_the_limit(host: Host) -> None:
    for seed in range(4):
        assert difference(seed, host, SHAPES[1], "float64", False, 4, 1.0) == ""


BUGS = {
    "the pull of the neighbours along z is left out": ("if (DIMENSIONS == 3)", "if (DIMENSIONS == 4)"),
    "z takes y's coefficient": ("n.c[0] * bend(here, r.stride[0], e)", "n.c[1] * bend(here, r.stride[0], e)"),
    "the source is left out": ("e + (change + n.source)", "e + change"),
    "the last cell of a row is left out": ("wide = r.last[2] - r.first[2]", "wide = r.last[2] - r.first[2] - 1"),
    "rows begin one late": ("(r.first[1] + take_digit", "(1 + r.first[1] + take_digit"),
    "a fixed face is where the ghost is": ("(e.given[side] + e.given[side]) - inside", "e.given[side]"),
    "an insulated face loses heat": ("if (e.kind[side] == INSULATED) line[ghost * e.along] = inside;", ""),
    "a periodic axis repeats its own side": (
        "(side ? e.edge[0] : e.edge[1] - 1)", "(side ? e.edge[1] - 1 : e.edge[0])",
    ),
    "the high ghost is one cell early": ("ghost = side ? e.edge[1] :", "ghost = side ? e.edge[1] - 1 :"),
    "the peak is of what was": ("magnitude(value)", "magnitude(e)"),
    "the peak is of another cell": ("atomicMax(peaks + 1, peak)", "peaks[1] = magnitude(next[0])"),
    "steps after the limit go on": ("> limit) return;\n    const i64 w", "> limit && 0) return;\n    const i64 w"),
    "a line of cells is left out": ("all = i64(e.count[0]) * e.count[1]", "all = i64(e.count[0]) * (e.count[1] - 2)"),
    "only the first threads work": ("THREADS) {\n        i64 rest", "THREADS * 9999) {\n        i64 rest"),
}  # fmt: skip


@NEEDS_GXX
@pytest.mark.slow
@pytest.mark.parametrize("what", BUGS)
def test_a_planted_bug_is_noticed(what: str, tmp_path: Path) -> None:
    text, bug = BUGS[what]
    assert kernels.source("heat.cu").count(text) == 1
    host = Host(build(tmp_path, instantiations(), lambda source: source.replace(text, bug)), seed=1)
    found = []
    try:
        for seed, cells in product(range(6), SHAPES):
            found.append(difference(seed, host, cells, "float64", False))
            found.append(difference(seed, host, cells, "float64", False, 4, 1.0))
    except HostError as error:
        found.append(str(error))
    finally:
        host.close()
    assert any(found)


def test_the_kinds_are_the_kernels() -> None:
    assert "enum Kind { CUT, PERIODIC, FIXED, INSULATED };" in kernels.source("heat.cu")
    assert (CUT, PERIODIC, FIXED, INSULATED) == (0, 1, 2, 3)


@pytest.mark.parametrize("arch", kernels.ARCHITECTURES)
def test_every_kernel_compiles(arch: str) -> None:
    pytest.importorskip("cuda.bindings.nvrtc", reason="cuda-bindings compiles the kernels; it is missing")
    cubin, log = kernels.compile_to_cubin("heat.cu", [expression for _, expression in instantiations()], arch)
    assert cubin.startswith(b"\x7fELF")
    assert log == ""
