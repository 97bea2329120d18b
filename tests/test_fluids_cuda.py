"""The kernels that advance a flow, run on the CPU by the harness: the launches of workers/fluids/gpu.py, against
workers/fluids/loops.py, and against themselves where the bits must be the same."""

from __future__ import annotations

import shutil
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest

from gridstride.workers import gpu as plans
from gridstride.workers import kernels
from gridstride.workers.fluids import cpu, gpu, measures
from gridstride.workers.fluids.block import LEVELS, FlowBlock
from gridstride.workers.fluids.geometry import Geometry
from gridstride.workers.fluids.kinds import CUT, FIXED, OUTFLOW, PERIODIC, SLIP, SPARE
from gridstride.workers.fluids.obstacles import Cylinder, Sphere
from gridstride.workers.fluids.problems import Rest
from gridstride.workers.fluids.setup import Setup
from tests.cuda_host import flows
from tests.cuda_host.flows import OnHost, block_of, in_parts, make_flow, some_kinds, some_solid, some_state, worst
from tests.cuda_host.host import Host, build
from tests.marks import quick

pytestmark = pytest.mark.skipif(shutil.which("g++") is None, reason="g++ builds the kernels for the CPU; it is missing")

PLANAR, SOLID = (1, 35, 37), (5, 19, 37)  # several tiles of 32 x 16 or 8, and what is left over
WALLS = ((FIXED, FIXED), (FIXED, OUTFLOW), (FIXED, OUTFLOW))


@pytest.fixture(scope="session")
def program(tmp_path_factory):
    edac = [found for found in kernels.instantiations() if found[0] == "edac.cu"]
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
    assert done.taken.shape == wanted.taken.shape
    cells = np.prod([b - a for a, b in ours.box]) / len(done.taken)
    np.testing.assert_allclose(done.taken, wanted.taken, rtol=0, atol=8 * eps * cells)
    assert (options.get("keep") is None) == (not wanted.taken.any())
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
        np.testing.assert_allclose(done.taken, wanted.taken, rtol=0, atol=1e-4)


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
    for at_once, max_grid, seed in ((16, 3, 1), (1, 1, 2), (1000, 1, 3), (1000, kernels.MAX_GRID, 4), (30, 7, 5)):
        monkeypatch.setattr(plans, "BLOCKS_AT_ONCE", at_once)
        gpu.plan_advance.cache_clear()
        host = Host(program, seed)
        block = block_of(flow, state, OnHost(host, max_grid), keep=keep)
        done = block.advance(3)
        found.append((block.saved(), done.peaks, done.taken))
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
        taken.append(block.advance(3).taken)
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
            found.append((block.saved(), *arrays, done.peaks, done.taken, measures.measure(block).values))
        for ours, theirs in zip(*found, strict=True):
            np.testing.assert_allclose(ours, theirs, rtol=0, atol=1e-10 * np.abs(theirs).max())
        assert found[0][-2].any()


def far_away(part: gpu.Part, shape) -> gpu.Part:
    """The same block in the last corner of an array of another shape."""
    moves = [b - a for a, b in zip(part.shape, shape, strict=True)]

    def moved(ends):
        return tuple((a + move, b + move) for (a, b), move in zip(ends, moves, strict=True))

    # (Given velocities that are not the same all over a face would have to be moved, too.)
    assert all(set(lengths) == {1} for pair in part.faces for lengths in pair)
    return replace(part, shape=tuple(shape), box=moved(part.box), edges=moved(part.edges))


def arrays_far_away(host, shape):
    """Peaks of three steps in a corner of an array of a shape, and the CPU's. The third step's velocity comes of all
    that those before have written."""
    rng = np.random.default_rng(9)
    flow = make_flow(rng, (1, 7, 9) if shape[0] == 1 else (4, 7, 9), WALLS)
    flow = replace(flow, faces=tuple(tuple(face[:, :1, :1] for face in pair) for pair in flow.faces))
    block = block_of(flow, some_state(rng, flow), cpu)
    part, state = gpu.Part.of(block), np.nan_to_num(block.state)
    corner = [b - a for a, b in zip(part.shape, shape, strict=True)]
    pieces = []
    for level, field, z, y in np.ndindex(*state.shape[:4]):
        at = np.ravel_multi_index((level, field, corner[0] + z, corner[1] + y, corner[2]), (*state.shape[:2], *shape))
        pieces.append((int(at) * part.item, state[level, field, z, y].tobytes()))
    size = int(np.prod(state.shape[:2], dtype=np.int64)) * int(np.prod(shape, dtype=np.int64)) * part.item
    arrays = gpu._given(block, flow.ramps(0, 3))
    arrays |= {"peaks": np.zeros(4, part.bits), "taken": np.zeros(part.taken)}
    plan = gpu.plan_advance(far_away(part, shape), 0, 3, 0x7F800000)
    host.change(plan, arrays, ["peaks"], sparse={"data": (size, pieces)})
    return arrays["peaks"][1:].view(flow.dtype), block.advance(3).peaks


@pytest.mark.parametrize("shape", [(1, 2**16 + 8, 2**15), (6, 2**14, 2**15)], ids=["2-D", "3-D"])
def test_arrays_of_more_than_2_to_31_elements(host, shape):
    np.testing.assert_allclose(*arrays_far_away(host, shape), rtol=1e-5)


def sums_of_planes(host, count, length):
    """Sums of whole numbers, which are the same in any order; and NumPy's."""
    parts = np.random.default_rng(0).integers(-1000, 1000, (count, length)).astype(float)
    arrays = {"parts": parts, "sums": np.full(count, np.nan), "peaks": np.zeros(1, np.int32)}
    plan = kernels.Plan((0,), np.dtype(np.uint8))
    places = (kernels.Ref(name) for name in ("parts", "sums", "peaks"))
    args = next(places), next(places), np.int64(count), np.int64(length), next(places), np.int32(1)
    plan.launch(gpu.FILE, "plane_sums<f32>", count, (gpu.WIDTH, gpu.WARPS), gpu.THREADS * 8, args)
    host.change(plan, arrays, ["sums"], max_grid=2)
    return arrays["sums"], parts.sum(axis=1)


@pytest.mark.parametrize("length", [1, 255, 256, 257, 1000])
def test_sums_of_rows_of_any_length(host, length):
    np.testing.assert_array_equal(*sums_of_planes(host, 5, length))


# --- plans: no kernel runs -------------------------------------------------------------------------------------


def part_of(cells, kinds, start=None, stop=None, reach=4, dtype="float32"):
    rng = np.random.default_rng(0)
    flow = make_flow(rng, cells, kinds, dtype)
    return gpu.Part.of(FlowBlock(flow, start or (0, 0, 0), stop or cells, reach, cpu))


def names(plan):
    return [launch.expression.split("<")[0] for launch in plan.launches]


def test_a_step_is_four_launches_and_two_where_no_face_is_near():
    step = ["velocity", "ghosts", "pressure", "ghosts"]
    assert names(gpu.plan_advance(part_of(SOLID, WALLS), 0, 3, 1)) == step * 3
    inner = part_of((30, 30, 30), WALLS, (10, 10, 10), (20, 20, 20))
    assert names(gpu.plan_advance(inner, 0, 3, 1)) == ["velocity", "pressure"] * 3
    solid = replace(part_of(SOLID, WALLS), solid=True)
    assert names(gpu.plan_advance(solid, 0, 3, 1)) == [*step * 3, "plane_sums"]
    # Two cells from a face: the first of four steps goes up to it, the last ones do not.
    near = part_of((30, 30, 30), WALLS, (10, 10, 2), (20, 20, 20), reach=4)
    assert names(gpu.plan_advance(near, 0, 4, 1)) == [*step * 3, "velocity", "pressure"]


def test_a_plan_is_made_once():
    part = part_of(SOLID, WALLS)
    assert gpu.plan_advance(part, 1, 3, 1) is gpu.plan_advance(replace(part), 1, 3, 1)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("solid", [False, True])
@pytest.mark.parametrize("cells", [PLANAR, SOLID])
def test_launches_are_of_kernels_that_are_compiled_and_fit_shared_memory(cells, solid, dtype):
    plan = gpu.plan_advance(replace(part_of(cells, WALLS, dtype=dtype), solid=solid), 2, 2, 1)
    every = set(kernels.instantiations())
    for launch in plan.launches:
        assert (launch.file, launch.expression) in every
        assert launch.shared <= kernels.SHARED_BYTES
        assert launch.block == (32, 8)
        assert 0 < launch.grid <= kernels.MAX_GRID


def test_marches_are_long_where_there_are_many_and_short_where_there_are_few(monkeypatch):
    monkeypatch.setattr(plans, "BLOCKS_AT_ONCE", 264)

    def marches(cells):
        part = part_of(cells, WALLS)
        around, count = gpu._range(part, *part.computed(SPARE)[:2])
        return int(around["chunk"]), count

    chunk, count = marches((256, 256, 256))
    assert chunk >= 32
    assert 0.9 * 264 <= count <= 264 * 4
    assert marches((1, 128, 128)) == (1, 32)  # each tile by itself
    chunk, count = marches((1, 4096, 4096))
    assert chunk >= 32
    assert 0.9 * 264 <= count <= 264 * 4


def test_what_32_bits_do_not_hold_is_refused():
    part = part_of(PLANAR, WALLS)
    with pytest.raises(ValueError, match="too wide"):
        gpu.plan_advance(far_away(replace(part, faces=(((1, 1),) * 2,) * 3), (1, 4, 2**26)), 0, 1, 1)
    slab = replace(part_of(SOLID, WALLS), shape=(4, 2**16, 2**15), box=((1, 3), (1, 2**16 - 1), (1, 2**15 - 1)))
    with pytest.raises(ValueError, match="too many ghost cells"):
        gpu.plan_advance(replace(slab, edges=((1, 3), (1, 2**16 - 1), (1, 2**15 - 1))), 0, 1, 1)


def test_the_compilers_own_fused_multiply_adds_are_off():
    for file, expression in kernels.instantiations():
        if file == "edac.cu":
            assert "-fmad=false" in kernels.options(expression)
    assert {e.split("<")[0] for f, e in kernels.instantiations() if f == "edac.cu"} == set(kernels.EDAC)


def test_the_kinds_are_the_kernels():
    text = (kernels.SOURCES / "edac.cu").read_text()
    assert "enum Kind { CUT, PERIODIC, FIXED, SLIP, OUTFLOW };" in text
    assert (CUT, PERIODIC, FIXED, SLIP, OUTFLOW) == (0, 1, 2, 3, 4)


def test_the_module_is_imported_without_cupy():
    code = (
        "import sys; sys.modules['cupy'] = None\n"
        "from gridstride.workers.fluids import gpu\n"
        "assert gpu.name == 'gpu'\n"
        "try: gpu.xp\n"
        "except ImportError: print('as it should')"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout == "as it should\n"
    with pytest.raises(AttributeError, match="no attribute 'yp'"):
        gpu.yp  # noqa: B018
