"""Flows on a real GPU, against the CPU's and against the harness of test_fluids_cuda.py."""

from __future__ import annotations

import shutil
from dataclasses import replace

import numpy as np
import pytest

from gridstride.workers.models.edac import cpu, gpu, instantiations, measures
from gridstride.workers.models.edac.block import LEVELS
from gridstride.workers.models.edac.kinds import FIXED, OUTFLOW, PERIODIC, SLIP
from tests.cuda_host.flows import OnHost, block_of, in_parts, make_flow, some_kinds, some_solid, some_state, worst
from tests.cuda_host.host import Host, build

cupy = pytest.importorskip("cupy", reason="CuPy is not installed")
pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not cupy.is_available(), reason="no CUDA device: cupy.is_available() is False"),
]

WALLS = ((FIXED, FIXED), (FIXED, OUTFLOW), (FIXED, OUTFLOW))
SHAPES = {"2-D": (1, 219, 337), "3-D": (35, 61, 137)}


def agree(done, wanted, ours, theirs):
    assert (done.steps, ours.slot, ours.step) == (wanted.steps, theirs.slot, theirs.step)
    assert worst(ours, theirs) <= 1
    eps = np.finfo(ours.flow.dtype).eps
    np.testing.assert_allclose(done.peaks, wanted.peaks, rtol=64 * eps)
    cells = np.prod([b - a for a, b in ours.box]) / len(done.gathered)
    np.testing.assert_allclose(done.gathered, wanted.gathered, rtol=0, atol=8 * eps * cells)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("cells", SHAPES.values(), ids=SHAPES)
@pytest.mark.parametrize("seed", range(12))
def test_gpu_and_cpu_agree(seed, cells, dtype):
    """Any boundary, solids, sponge and boundary velocities that rise; of the whole grid, and of a block with halos."""
    rng = np.random.default_rng(seed)
    planar = cells[0] == 1
    flow = make_flow(rng, cells, some_kinds(rng, planar), dtype, sponge=seed % 2 > 0, ramp=3.0 * (seed % 3))
    state, keep = some_state(rng, flow), some_solid(rng, flow) if seed % 2 == 0 else None
    part = [sorted(rng.choice(n + 1, 2, replace=False)) if n > 1 else (0, 1) for n in cells]
    for start, stop in (((0, 0, 0), cells), tuple(zip(*part, strict=True))):
        start, stop = tuple(map(int, start)), tuple(map(int, stop))
        steps = 1 + seed % 4
        ours, theirs = (block_of(flow, state, backend, start, stop, 4, keep) for backend in (gpu, cpu))
        agree(ours.advance(steps), theirs.advance(steps), ours, theirs)


@pytest.mark.skipif(shutil.which("g++") is None, reason="g++ builds the kernels for the CPU; it is missing")
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("cells", [(1, 40, 70), (9, 21, 40)], ids=SHAPES)
def test_a_gpu_makes_the_harness_bits(tmp_path, cells, dtype):
    """Multiply-adds are fused where the source says so: there is nothing for compilers to choose. (float32 numbers
    below 1.2e-38, which a GPU takes for 0, do not come up.)"""
    host = Host(build(tmp_path, instantiations()))
    for kinds in (WALLS, ((PERIODIC, PERIODIC), (SLIP, FIXED), (OUTFLOW, SLIP))):
        rng = np.random.default_rng(2)
        flow = make_flow(rng, cells, kinds, dtype, sponge=True, ramp=2.0)
        state, keep = some_state(rng, flow), some_solid(rng, flow)
        found = []
        for backend in (gpu, OnHost(host)):
            block = block_of(flow, state, backend, keep=keep)
            done = block.advance(3)
            found.append((block.saved(), done.peaks, done.gathered))
        for ours, theirs in zip(*found, strict=True):
            np.testing.assert_array_equal(ours, theirs)
    host.close()


@pytest.mark.parametrize(
    ("cells", "cuts"), [((40, 50, 130), ((10, 17), (20,), ())), ((1, 333, 400), ((), (100,), (7,)))]
)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_neither_cuts_nor_steps_an_exchange_change_a_bit(cells, cuts, dtype):
    rng = np.random.default_rng(3)
    for solids in (False, True):
        flow = make_flow(rng, cells, some_kinds(rng, cells[0] == 1), dtype, sponge=True, ramp=3.0)
        state, keep = some_state(rng, flow), some_solid(rng, flow) if solids else None
        whole = block_of(flow, state, gpu, keep=keep)
        whole.advance(6)
        wanted = whole.saved()
        assert np.isfinite(wanted).all()
        for rounds in ((6,), (2, 3, 1)):
            np.testing.assert_array_equal(in_parts(flow, state, gpu, cuts, rounds, keep), wanted)


def test_the_same_again_has_the_same_bits():
    """Whatever the order in which blocks of threads happen to run: fields, peaks and what solids take."""
    rng = np.random.default_rng(4)
    flow = make_flow(rng, (64, 96, 160), WALLS, sponge=True)
    state, keep = some_state(rng, flow), some_solid(rng, flow)
    found = []
    for _ in range(5):
        block = block_of(flow, state, gpu, keep=keep)
        done = block.advance(10)
        found.append((block.saved(), done.peaks, done.gathered))
    for others in found[1:]:
        for one, other in zip(found[0], others, strict=True):
            np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("cells", SHAPES.values(), ids=SHAPES)
def test_a_block_stays_at_the_step_that_went_beyond_the_limit(cells):
    rng = np.random.default_rng(6)
    flow = make_flow(rng, cells, WALLS, ramp=6.0)
    state = some_state(rng, flow)
    peaks = block_of(flow, state, cpu, reach=6).advance(6).peaks
    for limit in (0.999 * peaks.min(), 0.999 * peaks[2], 1.001 * peaks.max()):
        ours, theirs = (block_of(flow, state, backend, reach=6) for backend in (gpu, cpu))
        agree(ours.advance(6, limit), theirs.advance(6, limit), ours, theirs)
    state[0, 0, 5, 6] = np.nan
    block = block_of(flow, state, gpu, reach=6)
    assert block.advance(6, flow.sound_speed).steps == 1
    assert block.slot == 1 % LEVELS
    assert "step 1: |" in block.where_largest()


def test_blocks_exchange_their_edges():
    """Two slabs on a periodic axis, each the other's neighbour on both sides."""
    rng = np.random.default_rng(7)
    flow = make_flow(rng, (24, 30, 40), [(PERIODIC, PERIODIC), *WALLS[1:]])
    state = some_state(rng, flow)
    slabs = [block_of(flow, state, gpu, (a, 0, 0), (b, 30, 40), 3) for a, b in ((0, 13), (13, 24))]
    whole = block_of(flow, state, gpu)
    for _ in range(3):
        edges = [slab.edges() for slab in slabs]
        for slab, other in zip(slabs, edges[::-1], strict=True):
            slab.join(*(other[:, half] for half in (slice(slabs[0].deep, None), slice(0, slabs[0].deep))))
            slab.advance(3)
        whole.advance(3)
    np.testing.assert_array_equal(np.concatenate([slab.saved() for slab in slabs], axis=1), whole.saved())


@pytest.mark.parametrize("cells", SHAPES.values(), ids=SHAPES)
def test_what_is_measured_is_what_the_cpu_measures(cells):
    rng = np.random.default_rng(8)
    flow = make_flow(rng, cells, WALLS, "float64")
    state = some_state(rng, flow)
    ours, theirs = (block_of(flow, state, backend) for backend in (gpu, cpu))
    for block in (ours, theirs):
        block.advance(2)
    a, b = measures.measure(ours), measures.measure(theirs)
    np.testing.assert_allclose(a.values, b.values, rtol=1e-10, atol=1e-10)
    assert a.largest == pytest.approx(b.largest)
    for name in measures.arrays_of(("velocity", "pressure", "vorticity", "q-criterion"), flow.components):
        np.testing.assert_allclose(measures.centred(ours, name), measures.centred(theirs, name), rtol=0, atol=1e-10)


def test_a_large_block():
    """Many tiles on every axis, and long marches."""
    rng = np.random.default_rng(9)
    flow = replace(make_flow(rng, (150, 200, 310), WALLS, sponge=True))
    state, keep = some_state(rng, flow), some_solid(rng, flow)
    ours, theirs = (block_of(flow, state, backend, keep=keep) for backend in (gpu, cpu))
    agree(ours.advance(3), theirs.advance(3), ours, theirs)
