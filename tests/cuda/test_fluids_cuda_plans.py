"""Which kernels workers/models/edac/gpu.py launches to advance a flow, and how: no kernel runs."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest

from gridstride.workers import kernels, launches
from gridstride.workers.families import march as plans
from gridstride.workers.models import registry
from gridstride.workers.models.edac import cpu, gpu, instantiations
from gridstride.workers.models.edac.block import FlowBlock
from gridstride.workers.models.edac.kinds import CUT, EXTRA_HALO, FIXED, OUTFLOW, PERIODIC, SLIP
from tests.cuda_host.flows import WALLS, far_away, make_flow

PLANAR, SOLID = (1, 35, 37), (5, 19, 37)  # several tiles of 32 x 16 or 8, and what is left over


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
    every = set(instantiations())
    for launch in plan.launches:
        assert (launch.file, launch.expression) in every
        assert launch.shared <= launches.SHARED_BYTES
        assert launch.block == (32, 8)
        assert 0 < launch.grid <= launches.MAX_GRID


@pytest.mark.slow
def test_marches_are_long_where_there_are_many_and_short_where_there_are_few(monkeypatch):
    monkeypatch.setattr(plans, "BLOCKS_AT_ONCE", 264)

    def marches(cells):
        part = part_of(cells, WALLS)
        around, count = gpu._range(part, *part.computed(EXTRA_HALO)[:2])
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
    for file, expression in registry.instantiations():
        assert "-fmad=false" in kernels.options(expression), file
    names = {expression.split("<")[0] for _, expression in instantiations()}
    assert names == {"velocity", "pressure", "ghosts", "plane_sums"}


def test_the_kinds_are_the_kernels():
    text = (kernels.SOURCES / "edac.cu").read_text()
    assert "enum Kind { CUT, PERIODIC, FIXED, SLIP, OUTFLOW };" in text
    assert (CUT, PERIODIC, FIXED, SLIP, OUTFLOW) == (0, 1, 2, 3, 4)


def test_the_module_is_imported_without_cupy():
    code = (
        "import sys; sys.modules['cupy'] = None\n"
        "from gridstride.workers.models.edac import gpu\n"
        "assert gpu.name == 'gpu'\n"
        "try: gpu.xp\n"
        "except ImportError: print('as it should')"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout == "as it should\n"
    with pytest.raises(AttributeError, match="no attribute 'yp'"):
        gpu.yp  # noqa: B018
