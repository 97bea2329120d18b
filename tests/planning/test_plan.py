"""The planner: pure arithmetic, so every case is tested in microseconds."""

from __future__ import annotations

from itertools import pairwise, product
from math import ceil, prod
from typing import Any

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from plans import request

from gridstride.pipeline.errors import UsageError
from gridstride.pipeline.planning.plan import make_plan
from gridstride.pipeline.planning.request import Request
from gridstride.workers.region import Region


@st.composite
def requests(draw: Any) -> Request:
    ndim = draw(st.integers(1, 4))
    shape = tuple(draw(st.integers(0, 40)) for _ in range(ndim))
    unit = tuple(draw(st.integers(1, 9)) for _ in range(ndim))
    block = None
    if draw(st.booleans()):
        block = tuple(u * draw(st.integers(1, 4)) for u in unit)
    return request(
        shape=shape,
        itemsize=draw(st.sampled_from([1, 2, 4, 8])),
        write_unit=unit,
        halo=tuple((draw(st.integers(0, 6)), draw(st.integers(0, 6))) for _ in range(ndim)),
        modes=tuple(draw(st.sampled_from(["reflect", "mirror", "wrap", "constant"])) for _ in range(ndim)),
        workers=draw(st.integers(1, 4)),
        memory=draw(st.sampled_from([None, 4_000_000_000])),
        block=block,
        max_tasks=draw(st.sampled_from([10, 100, 3000])),
    )


@settings(max_examples=500)
@given(requests())
def test_blocks_are_whole_write_units_and_tile_the_grid(r: Request) -> None:
    plan = make_plan(r)
    for edges, size, unit in zip(plan.edges, r.shape, r.write_unit, strict=True):
        assert edges[0] == 0
        assert edges[-1] == size
        assert all(edge % unit == 0 for edge in edges[:-1])
    if plan.halos == "exchange":
        for edges, depth in zip(plan.edges, plan.halo.depth, strict=True):
            assert len(edges) == 2 or min(b - a for a, b in pairwise(edges)) >= max(depth)
    seen = [index for box in plan.boxes() for index in product(*(range(lo, hi) for lo, hi in box))]
    assert len(seen) == len(set(seen)) == plan.blocks
    if 0 not in r.shape:
        assert set(seen) == set(product(*(range(n) for n in plan.grid)))
        assert sum(plan.region(i).size for i in seen) == prod(r.shape)
        assert plan.batches == len(list(plan.boxes()))


@settings(max_examples=300)
@given(requests())
def test_neighbours_hold_what_a_block_needs(r: Request) -> None:
    """Where halos are exchanged, a block and `depth` elements of its neighbours hold all that the operator reads."""
    assume(0 not in r.shape)
    plan = make_plan(r)
    assume(plan.halo.possible)
    for index in product(*(range(n) for n in plan.grid)):
        region, needed = plan.region(index), r.operator.needed(plan.region(index), r.grid)
        held = []
        for axis, (a, b) in enumerate(region.spans):
            (before, after), n, count = plan.halo.depth[axis], plan.shape[axis], plan.grid[axis]
            first = index[axis] == 0 and not plan.halo.periodic[axis]
            last = index[axis] == count - 1 and not plan.halo.periodic[axis]
            held.append((0, n) if count == 1 else (a - (0 if first else before), b + (0 if last else after)))
        assert Region(tuple(held)).holds(needed)


@settings(max_examples=200)
@given(requests(), st.integers(700, 3000))
def test_a_plan_keeps_to_its_memory_or_is_refused(r: Request, megabytes: int) -> None:
    big = request(
        shape=tuple(n * 40 + 1 for n in r.shape),
        write_unit=tuple(u * 10 for u in r.write_unit),
        halo=r.operator.halo,
        modes=r.operator.modes,
        workers=r.workers,
        memory=megabytes * 1_000_000,
        scratch=lambda extent: 4 * prod(extent),
    )
    try:
        plan = make_plan(big)
    except UsageError as error:
        if "--memory at least" not in str(error):
            raise
    else:
        assert plan.memory_total <= megabytes * 1_000_000


def test_the_advice_of_a_refusal_works() -> None:
    r = request(memory=700_000_000, write_unit=(256, 256, 256))
    with pytest.raises(UsageError) as refused:
        make_plan(r)
    words = str(refused.value).split("--memory at least ")[1].split(",")[0]
    number, unit = words.split()
    memory = int(float(number) * {"MB": 10**6, "GB": 10**9}[unit] * 1.01)
    assert make_plan(request(memory=memory, write_unit=(256, 256, 256))).memory_total <= memory


def test_axes_without_halo_are_cut_first() -> None:
    plan = make_plan(
        request(
            shape=(100, 512, 512),
            write_unit=(1, 128, 128),
            halo=((0, 0), (8, 8), (8, 8)),
        )
    )
    assert plan.block[1:] == (512, 512)
    assert plan.halos == "read"
    assert plan.tasks_per_block == 1
    assert plan.halo.overhead == 0


def test_more_memory_gives_larger_blocks() -> None:
    small, large = (make_plan(request(shape=(4096,) * 3, memory=memory)) for memory in (2_000_000_000, 30_000_000_000))
    assert prod(small.block) < prod(large.block)
    assert small.halo.overhead > large.halo.overhead


def test_batches_stay_within_the_task_limit() -> None:
    plan = make_plan(request(shape=(4096,) * 3, block=(128,) * 3, memory=None))
    assert plan.blocks == 32**3
    assert prod(plan.batch) * plan.tasks_per_block <= 4000
    assert plan.batches == prod(ceil(n / b) for n, b in zip(plan.grid, plan.batch, strict=True))
    assert plan.batch == (5, 5, 5)  # compact, for little of a ring of neighbours
    rows = make_plan(request(shape=(4096, 1024, 1024), block=(128,) * 3, memory=None))
    assert rows.batch[1:] == (8, 8)  # whole rows, whose reads one batch shares with the next


def test_a_block_that_cuts_a_write_unit_is_refused() -> None:
    with pytest.raises(UsageError, match="multiple of 128"):
        make_plan(request(block=(100, 128, 128)))
    with pytest.raises(UsageError, match="3, one for each axis"):
        make_plan(request(block=(128, 128)))


def test_blocks_thinner_than_their_halo_read_it() -> None:
    thin = {"block": (128, 128, 128), "halo": ((200, 0), (0, 0), (0, 0))}
    assert make_plan(request(**thin)).halos == "read"
    with pytest.raises(UsageError, match="thinner than the halo"):
        make_plan(request(**thin, halos="exchange"))


@pytest.mark.parametrize("outputs", [1, 3, 16])
def test_channels_are_never_cut(outputs: int) -> None:
    r = request(
        shape=(3, 4096, 4096), outputs=outputs, write_unit=(1, 512, 512), halo=((0, 0), (1, 1), (1, 1)), itemsize=1
    )
    plan = make_plan(r)
    assert plan.edges[0] == (0, outputs)
    assert plan.blocks > 1
    assert all(r.operator.needed(plan.region((0, i, 0)), r.grid).spans[0] == (0, 3) for i in range(plan.grid[1]))
    if outputs > 1:
        with pytest.raises(UsageError, match="must have whole"):
            make_plan(request(shape=(3, 512, 512), outputs=outputs, write_unit=(1, 128, 128), block=(1, 128, 128)))


def test_scratch_and_results_count_as_memory() -> None:
    r = request(scratch=lambda extent: 10 * prod(extent))
    parts = r.memory_parts((256, 256, 256), 8, 4)
    assert parts["scratch"] == 2 * 10 * 256**3
    assert parts["results"] == 2 * 4 * 256**3
    assert parts["blocks with halo"] == 2 * 2 * 264**3  # the typical block of two lies at an end
    assert parts["inputs"] == 8 * 2 * 256**3


def test_blocks_of_a_periodic_axis_follow_each_other_round() -> None:
    plan = make_plan(
        request(
            shape=(100, 8, 8),
            write_unit=(10, 8, 8),
            block=(30, 8, 8),
            modes=("wrap",) * 3,
            halo=((3, 3), (0, 0), (0, 0)),
        )
    )
    assert plan.edges[0] == (0, 30, 60, 90, 100)
    assert plan.region((-1, 0, 0)).spans[0] == (-10, 0)
    assert plan.region((4, 0, 0)).spans[0] == (100, 130)


def test_more_blocks_than_can_be_listed_are_refused() -> None:
    huge = request(shape=(20, 10**12), write_unit=(20, 20), memory=4_000_000_000, block=(20, 20))
    with pytest.raises(UsageError, match=r"10{12} elements along axis 1, which makes 50{10} blocks there"):
        make_plan(huge)
