"""How a simulation is cut up: arithmetic alone."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gridstride.pipeline.errors import UsageError
from gridstride.pipeline.simulations.plan import Wishes, make_flow_plan, slab_edges
from gridstride.workers.cluster import Size
from gridstride.workers.models.edac import kinds
from gridstride.workers.models.edac.flow import Flow
from gridstride.workers.models.edac.kinds import EXTRA_HALO
from gridstride.workers.models.edac.setup import Setup


def flow(*cells: int) -> Flow:
    nothing = np.zeros((3, 1, 1))
    return Flow(
        cells=cells,
        spacing=(1.0,) * 3,
        components=2 if cells[0] == 1 else 3,
        dt=0.1,
        viscosity=0.1,
        pressure_diffusivity=0.1,
        sound_speed=10.0,
        force=(0.0,) * 3,
        kinds=((kinds.PERIODIC,) * 2,) * 3,
        faces=((nothing,) * 2,) * 3,
        ramp=0.0,
        sponge=(),
        dtype=np.dtype(np.float32),
    )


def plan(cells, memory=None, workers=1, threads=2, unit=16, **wishes):
    setup = Setup(flow(*cells), None, (), None)
    return make_flow_plan(setup, unit, Size(workers, threads, memory), "cpu", Wishes(**wishes))


@given(st.integers(1, 500), st.integers(1, 64), st.integers(1, 12))
def test_slabs_are_whole_write_units_and_as_equal_as_these_allow(cells, unit, blocks):
    units = -(-cells // unit)
    blocks = min(blocks, units)
    edges = slab_edges(cells, unit, blocks)
    assert edges[0] == 0
    assert edges[-1] == cells
    assert all(a < b for a, b in pairwise(edges))
    assert all(e % unit == 0 for e in edges[:-1])
    counts = [-(-b // unit) - a // unit for a, b in pairwise(edges)]
    assert max(counts) - min(counts) <= 1


def test_a_worker_has_one_slab_which_its_threads_share():
    assert plan((256, 256, 256)).blocks == 1
    assert plan((256, 256, 256)).threads == 2
    large = plan((1024, 512, 512), workers=4, threads=8)
    assert (large.blocks, large.threads) == (4, 8)
    assert 2 <= large.substeps <= 32
    assert plan((256, 256, 256), workers=4, threads=8, blocks=8).threads == 4
    assert plan((256, 256, 256), workers=2, threads=2, blocks=16).threads == 1


def test_a_small_grid_is_one_block():
    assert plan((1, 64, 64), workers=4).blocks == 1


def test_more_steps_an_exchange_where_dask_costs_more_than_the_planes_computed_twice():
    thin, thick = plan((64, 64, 64), blocks=2), plan((256, 512, 512), blocks=2)
    assert thin.substeps > thick.substeps


@given(st.integers(1, 4), st.integers(1, 40), st.integers(20, 34))
def test_the_halo_never_reaches_past_the_neighbour(blocks, substeps, log_memory):
    try:
        found = plan((128, 32, 32), 2**log_memory, blocks=blocks, substeps=substeps)
    except UsageError:
        thinnest = min(b - a for a, b in pairwise(slab_edges(128, 16, blocks)))
        assert substeps + EXTRA_HALO + 1 > thinnest or log_memory < 31
        return
    assert found.memory <= 2**log_memory
    if found.blocks > 1:
        assert found.substeps + EXTRA_HALO + 1 <= min(b - a for a, b in pairwise(found.edges))


def test_what_no_memory_holds_goes_from_store_to_store():
    assert plan((512, 512, 512), 20_000_000_000).in_memory
    found = plan((512, 512, 512), 4_000_000_000)
    assert not found.in_memory
    assert found.substeps >= 1


def test_what_cannot_be_is_refused():
    with pytest.raises(UsageError, match="5 blocks for 64 planes written 16 at a time: expected 1 to 4"):
        plan((64, 32, 32), blocks=5)
    with pytest.raises(UsageError, match="substeps is 15: slabs of 16 planes have a halo for at most 14 steps"):
        plan((64, 32, 32), blocks=4, substeps=15)
    with pytest.raises(UsageError, match="2 blocks in memory do not fit"):
        plan((512, 512, 512), 2_000_000_000, blocks=2)
