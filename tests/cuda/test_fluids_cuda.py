"""The kernels that advance a flow, run on the CPU by the harness: the launches of workers/models/edac/gpu.py, against
workers/models/edac/loops.py, and against themselves where the bits must be the same."""

from __future__ import annotations

import shutil
from dataclasses import replace

import numpy as np
import pytest

from gridstride.workers import kernels, launches
from gridstride.workers.families import march as plans
from gridstride.workers.models.edac import cpu, gpu, instantiations, measures
from gridstride.workers.models.edac.block import LEVELS
from gridstride.workers.models.edac.geometry import Geometry
from gridstride.workers.models.edac.kinds import FIXED, PERIODIC
from gridstride.workers.models.edac.obstacles import Cylinder, Sphere
from gridstride.workers.models.edac.problems import Rest
from gridstride.workers.models.edac.setup import Setup
from tests.cuda_host import flows
from tests.cuda_host.flows import (
    WALLS,
    OnHost,
    arrays_far_away,
    block_of,
    in_parts,
    make_flow,
    some_kinds,
    some_solid,
    some_state,
    sums_of_planes,
    worst,
)
from tests.cuda_host.host import Host, build
from tests.marks import quick

pytestmark = [
    pytest.mark.skipif(shutil.which("g++") is None, reason="g++ builds the kernels for the CPU; it is missing"),
    pytest.mark.slow,
]

PLANAR, SOLID = (1, 35, 37), (5, 19, 37)  # several tiles of 32 x 16 or 8, and what is left over


@pytest.fixture(scope="session")
def program(tmp_path_factory):
    edac = instantiations()
    return build(tmp_path_factory.mktemp("edac_host"), edac)


@pytest.fixture(scope="module")
def host(program):
    host = Host(program, seed=1)
    yield host
    host.close()


@pytest.fixture(autouse=True)
def few_blocks(monkeypatch):
    """So that marches are cut along the axis they go."""
    monkeypatch.setattr(plans, "BLOCKS_AT_ONCE", 16)
    gpu.plan_advance.cache_clear()


def both(flow, state, host, steps, keep=None, limit=np.inf, start=None, stop=None, reach=None, max_grid=3):
    """A block advanced by the kernels, and by the CPU, and what both say of it."""
    found = []
    for backend in (OnHost(host, max_grid), cpu):
        block = block_of(flow, state, backend, start, stop, reach or steps, keep)
        found += [block, block.advance(steps, limit)]
    return found


def check(flow, state, host, steps, **options):
    ours, done, theirs, wanted = both(flow, state, host, steps, **options)
    assert (done.steps, ours.step, ours.slot) == (wanted.steps, theirs.step, theirs.slot)
    assert worst(ours, theirs) <= 1
    eps = np.finfo(flow.dtype).eps
    assert done.peaks.dtype == flow.dtype
    np.testing.assert_allclose(done.peaks, wanted.peaks, rtol=64 * eps)
    assert done.gathered.shape == wanted.gathered.shape
    cells = np.prod([b - a for a, b in ours.box]) / len(done.gathered)
    np.testing.assert_allclose(done.gathered, wanted.gathered, rtol=0, atol=8 * eps * cells)
    assert (options.get("keep") is None) == (not wanted.gathered.any())
    return ours, done


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("cells", [PLANAR, SOLID], ids=["2-D", "3-D"])
@pytest.mark.parametrize("seed", quick(3, range(6)))
def test_the_kernels_agree_with_the_cpu(host, seed, cells, dtype):
    """Any boundary, solids, sponge, and boundary velocities that rise, for one step and more."""
    rng = np.random.default_rng(seed)
    kinds = some_kinds(rng, cells[0] == 1)
    flow = make_flow(rng, cells, kinds, dtype, sponge=seed % 2 > 0, ramp=2.5 * (seed % 3))
    keep = some_solid(rng, flow) if seed % 2 == 0 else None
    check(flow, some_state(rng, flow), host, 1 + seed % 3, keep=keep)


@pytest.mark.parametrize("pair", flows.PAIRS, ids=str)
@pytest.mark.parametrize("axis", [0, 1, 2])
def test_every_boundary_on_every_axis(host, axis, pair):
    """One step: whatever it leaves unwritten is NaN. And a second, which sees what the first has put beyond."""
    for cells in (SOLID, PLANAR) if axis > 0 else (SOLID,):
        rng = np.random.default_rng(axis)
        kinds = some_kinds(rng, cells[0] == 1)
        kinds[axis] = pair
        flow = make_flow(rng, cells, kinds)
        state = some_state(rng, flow)
        check(flow, state, host, 1)
        check(flow, state, host, 2)


@pytest.mark.parametrize("cells", [(1, 4, 4), (1, 16, 32), (1, 17, 33), (1, 15, 31), (1, 33, 5), (1, 5, 70)])
def test_planes_at_the_edges_of_tiles(host, cells):
    for dtype in ("float32", "float64"):
        rng = np.random.default_rng(1)
        flow = make_flow(rng, cells, WALLS, dtype)
        check(flow, some_state(rng, flow), host, 2, keep=some_solid(rng, flow))


@pytest.mark.parametrize(
    "cells", [(4, 4, 4), (4, 16, 32), (5, 17, 33), (7, 15, 31), (30, 5, 4), (4, 33, 5), (4, 4, 66)]
)
def test_boxes_at_the_edges_of_tiles(host, cells):
    for dtype in ("float32", "float64"):
        rng = np.random.default_rng(1)
        flow = make_flow(rng, cells, WALLS, dtype)
        check(flow, some_state(rng, flow), host, 2, keep=some_solid(rng, flow))


@pytest.mark.parametrize("solids", [False, True])
@pytest.mark.parametrize("seed", range(8))
def test_blocks_with_halos_agree_with_the_cpu(host, seed, solids):
    """Blocks in the middle, at faces and near them, that make as many steps as the halo allows, or fewer."""
    rng = np.random.default_rng(seed)
    planar = seed % 2 == 0
    cells = (1, 23, 45) if planar else (9, 14, 40)
    flow = make_flow(rng, cells, some_kinds(rng, planar), ("float32", "float64")[seed % 4 // 2], sponge=seed > 3)
    start, stop = [0, 0, 0], list(cells)
    for axis in range(1 if planar else 0, 3):
        start[axis], stop[axis] = sorted(rng.choice(cells[axis] + 1, 2, replace=False))
    keep = some_solid(rng, flow) if solids else None
    reach = 1 + seed % 3
    for steps in {1, reach}:
        ours, done, theirs, wanted = both(
            flow, some_state(rng, flow), host, steps, keep, start=tuple(start), stop=tuple(stop), reach=reach
        )
        assert worst(ours, theirs) <= 1
        np.testing.assert_allclose(done.peaks, wanted.peaks, rtol=1e-5)
        np.testing.assert_allclose(done.gathered, wanted.gathered, rtol=0, atol=1e-4)


@pytest.mark.parametrize(
    ("cells", "cuts", "dtype"),
    quick(
        2,
        [
            ((9, 10, 35), ((4,), (), ()), "float64"),
            ((1, 21, 70), ((), (9,), (1, 33, 60)), "float32"),
            ((8, 19, 33), ((2, 5), (5,), ()), "float32"),
            ((6, 10, 40), ((), (3,), (7, 20)), "float32"),
            ((1, 21, 35), ((), (5, 13), ()), "float64"),
        ],
    ),
)
def test_neither_cuts_nor_steps_an_exchange_change_a_bit(host, cells, cuts, dtype):
    rng = np.random.default_rng(3)
    for solids in (False, True):
        flow = make_flow(rng, cells, some_kinds(rng, cells[0] == 1), dtype, sponge=True, ramp=3.0)
        state, backend = some_state(rng, flow), OnHost(host, 5)
        keep = some_solid(rng, flow) if solids else None
        block = block_of(flow, state, backend, keep=keep)
        block.advance(3)
        wanted = block.saved()
        assert np.isfinite(wanted).all()
        for rounds in ((3,), (1, 2)):
            np.testing.assert_array_equal(in_parts(flow, state, backend, cuts, rounds, keep), wanted)
        block = block_of(flow, state, backend, keep=keep)
        for steps in (2, 1):
            block.advance(steps)
        np.testing.assert_array_equal(block.saved(), wanted)


@pytest.mark.parametrize("cells", [PLANAR, pytest.param((9, 18, 37), marks=pytest.mark.slow)], ids=["2-D", "3-D"])
def test_no_launch_changes_a_bit(program, monkeypatch, cells):
    """Any number of blocks of threads, any cut into marches, any order of threads; sums and peaks too."""
    rng = np.random.default_rng(4)
    flow = make_flow(rng, cells, WALLS, sponge=True)
    state, keep = some_state(rng, flow), some_solid(rng, flow)
    found = []
    for at_once, max_grid, seed in ((16, 3, 1), (1, 1, 2), (1000, 1, 3), (1000, launches.MAX_GRID, 4), (30, 7, 5)):
        monkeypatch.setattr(plans, "BLOCKS_AT_ONCE", at_once)
        gpu.plan_advance.cache_clear()
        host = Host(program, seed)
        block = block_of(flow, state, OnHost(host, max_grid), keep=keep)
        done = block.advance(3)
        found.append((block.saved(), done.peaks, done.gathered))
        host.close()
    assert found[0][2].any()
    for others in found[1:]:
        for one, other in zip(found[0], others, strict=True):
            np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("axis", ["z", "y"])
def test_sums_over_planes_do_not_depend_on_the_cut_along_their_axis(host, axis):
    rng = np.random.default_rng(5)
    cells = (9, 10, 40) if axis == "z" else (1, 30, 70)
    flow = make_flow(rng, cells, flows.STILL[::-1] if axis == "z" else flows.STILL)
    flow = replace(flow, kinds=WALLS)
    state, keep, slab = some_state(rng, flow), some_solid(rng, flow), flow.slab_axis
    taken = []
    for first, last in ((0, cells[slab]), (0, 4), (4, cells[slab])):
        start, stop = [0, 0, 0], list(cells)
        start[slab], stop[slab] = first, last
        block = block_of(flow, state, OnHost(host), tuple(start), tuple(stop), 3, keep)
        taken.append(block.advance(3).gathered)
    np.testing.assert_array_equal(taken[0], np.concatenate(taken[1:]))
    assert taken[0].shape == (cells[slab], flow.components)


@pytest.mark.parametrize("dtype", quick(1, ["float32", "float64"]))
@pytest.mark.parametrize("cells", [PLANAR, SOLID], ids=["2-D", "3-D"])
def test_a_block_stays_at_the_step_that_went_beyond_the_limit(host, cells, dtype):
    rng = np.random.default_rng(6)
    flow = make_flow(rng, cells, WALLS, dtype, ramp=6.0)
    state, keep = some_state(rng, flow), some_solid(rng, flow)
    _, done, _, wanted = both(flow, state, host, 5)
    peaks = np.maximum.accumulate(wanted.peaks)
    assert len(peaks) == 5
    for step in range(5):
        limit = float(wanted.peaks[step]) * 0.999
        ours, done = check(flow, state, host, 5, limit=limit)
        assert done.steps == 1 + np.argmax(wanted.peaks > limit) <= 1 + step
        assert len(done.peaks) == done.steps
        assert ours.slot == done.steps % LEVELS
    check(flow, state, host, 5, limit=0.0, keep=keep)
    check(flow, state, host, 5, limit=float(peaks[-1]) * 1.001, keep=keep)


@pytest.mark.parametrize("stop", [None, 1, 4, 6])
@pytest.mark.parametrize("cells", [PLANAR, (4, 9, 13)], ids=["2-D", "3-D"])
def test_many_steps_are_made_by_the_same_plan_again(host, monkeypatch, cells, stop):
    """Also when a step goes beyond the limit: those planned after it take nothing from solids."""
    monkeypatch.setattr(gpu, "STEPS_OF_A_PLAN", 3)
    rng = np.random.default_rng(10)
    flow = make_flow(rng, cells, WALLS, ramp=5.0)
    state, keep = some_state(rng, flow), some_solid(rng, flow)
    peaks = block_of(flow, state, cpu, keep=keep, reach=8).advance(8).peaks
    limit = np.inf if stop is None else 0.999 * float(peaks[:stop].max())
    _, done = check(flow, state, host, 8, keep=keep, limit=limit)
    assert (done.steps == 8) == (stop is None)
    assert gpu.plan_advance.cache_info().currsize <= 2


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_infinity_and_nan_are_beyond_all_limits(host, bad):
    rng = np.random.default_rng(7)
    for cells in (PLANAR, SOLID):
        flow = make_flow(rng, cells, WALLS)
        state = some_state(rng, flow)
        state[0, 0, 5, 6] = bad
        for limit in (4.0, np.inf):
            ours, done, theirs, wanted = both(flow, state, host, 3, limit=limit)
            assert done.steps == wanted.steps == 1
            assert not done.peaks[0] <= 4.0
            assert np.isnan(done.peaks[0]) == np.isnan(wanted.peaks[0])
            np.testing.assert_array_equal(np.isfinite(ours.saved()), np.isfinite(theirs.saved()))


def test_given_velocities_count_as_the_largest(host):
    """On the low face of an axis, where the CPU counts them too."""
    for axis in range(3):
        rng = np.random.default_rng(8)
        kinds = [(PERIODIC, PERIODIC)] * 3
        kinds[axis] = (FIXED, FIXED)
        flow = make_flow(rng, SOLID, kinds)
        faces = [list(pair) for pair in flow.faces]
        faces[axis] = [np.full((3, 1, 1), 3.0), np.zeros((3, 1, 1))]
        flow = replace(flow, faces=tuple(map(tuple, faces)))
        for state in (some_state(rng, flow), np.zeros((8, *SOLID), np.float32)):
            _, done = check(flow, state, host, 2)
            assert axis == 0 or (done.peaks >= 3).all()


@pytest.mark.parametrize("cells", [PLANAR, SOLID], ids=["2-D", "3-D"])
@pytest.mark.parametrize("seed", range(4))
def test_ghost_cells_are_filled_as_on_the_cpu(host, seed, cells):
    rng = np.random.default_rng(seed)
    flow = make_flow(rng, cells, some_kinds(rng, cells[0] == 1), ("float32", "float64")[seed % 2], ramp=2.0)
    start, stop = ((0, 0, 0), cells) if seed < 2 else ((0, 2, 0), (cells[0], 9, cells[2]))
    state = some_state(rng, flow)
    ours, theirs = (block_of(flow, state, backend, start, stop, 2) for backend in (OnHost(host, 3), cpu))
    eps = np.finfo(flow.dtype).eps
    for a, b in ((ours.now, theirs.now), (ours.before, theirs.before)):
        np.testing.assert_allclose(a, b, rtol=0, atol=8 * eps)
        assert np.isfinite(a).all()


def test_the_module_is_a_backend_that_simulations_find_by_its_name(host, monkeypatch):
    """As `Setup` does on a worker, from the start to what is measured: all but CuPy itself."""
    monkeypatch.setitem(vars(gpu), "xp", np)
    monkeypatch.setattr(gpu, "to_host", lambda array: array)
    monkeypatch.setattr(kernels, "run", OnHost(host).run)
    rng = np.random.default_rng(11)
    for cells, solid in ((PLANAR, Cylinder((1.2, 1.1), 0.5)), ((10, 19, 37), Sphere((1.2, 0.9, 0.5), 0.4))):
        flow = make_flow(rng, cells, WALLS, "float64")
        geometry = Geometry(cells, flow.spacing, (0.0,) * 3, (cells[0] == 1, False, False), flow.components)
        setup = Setup(flow, geometry, (solid,), Rest())
        found = []
        for device in ("gpu", "cpu"):
            block = setup.block((0, 0, 0), cells, 4, device)
            setup.begin(block)
            done = block.advance(4, flow.sound_speed)
            arrays = [measures.centred(block, name) for name in measures.arrays_of(("velocity", "pressure"), 2)]
            found.append((block.saved(), *arrays, done.peaks, done.gathered, measures.measure(block).values))
        for ours, theirs in zip(*found, strict=True):
            np.testing.assert_allclose(ours, theirs, rtol=0, atol=1e-10 * np.abs(theirs).max())
        assert found[0][-2].any()


@pytest.mark.parametrize("shape", [(1, 2**16 + 8, 2**15), (6, 2**14, 2**15)], ids=["2-D", "3-D"])
def test_arrays_of_more_than_2_to_31_elements(host, shape):
    np.testing.assert_allclose(*arrays_far_away(host, shape), rtol=1e-5)


@pytest.mark.parametrize("length", [1, 255, 256, 257, 1000])
def test_sums_of_rows_of_any_length(host, length):
    np.testing.assert_array_equal(*sums_of_planes(host, 5, length))
