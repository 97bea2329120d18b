"""However a grid is cut into blocks, exchanges and threads: the same bits."""

from __future__ import annotations

import threading
from itertools import pairwise, product
from typing import Any

import numpy as np
import pytest
from flow_blocks import flow_of, noise, region, whole
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gridstride.workers.models.edac import cpu, loops, measures
from gridstride.workers.models.edac.block import FlowBlock
from gridstride.workers.models.edac.flow import Flow
from gridstride.workers.models.edac.kinds import CUT, FIXED, OUTFLOW, PERIODIC, SLIP
from gridstride.workers.stages import stages

ENDS = st.sampled_from(
    [(PERIODIC, PERIODIC), (FIXED, FIXED), (SLIP, SLIP), (FIXED, OUTFLOW), (OUTFLOW, FIXED), (SLIP, FIXED)]
)


@st.composite
def cut_flows(draw: st.DrawFn) -> tuple[Flow, list[list[int]], int, int, bool]:
    """A flow, where its axes are cut, steps per exchange, exchanges, and whether there are solids."""
    planar = draw(st.booleans())
    cells = (1 if planar else draw(st.integers(4, 9)), draw(st.integers(4, 12)), draw(st.integers(4, 12)))
    ends = ((CUT, CUT) if planar else draw(ENDS), draw(ENDS), draw(ENDS))
    dtype, ramp = np.dtype(draw(st.sampled_from(["f4", "f8"]))), draw(st.sampled_from([0.0, 0.02]))
    cuts = [sorted({0, n, *draw(st.lists(st.integers(0, n), max_size=2))}) for n in cells]
    flow = flow_of(cells, ends, draw(st.integers(0, 9)), dtype=dtype, ramp=ramp)
    return flow, cuts, draw(st.integers(1, 3)), draw(st.integers(1, 3)), draw(st.booleans())


@pytest.mark.slow
@settings(max_examples=60, suppress_health_check=[HealthCheck.too_slow])
@given(cut_flows(), st.integers(2, 4), st.sampled_from([1, 600_000]))
def test_threads_that_share_a_block_do_not_change_a_bit(drawn: Any, threads: int, strip: int) -> None:
    flow, cuts, steps, _, solid = drawn
    rng = np.random.default_rng(3)
    shares = rng.choice([0.0, 0.7, 1.0, 1.0], (flow.components, *flow.cells)).astype(flow.dtype) if solid else None
    start, stop = tuple(cut[0] for cut in cuts), tuple(cut[1] for cut in cuts)
    one, several = (FlowBlock(flow, start, stop, steps, cpu, threads=n) for n in (1, threads))
    done = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(cpu, "CELLS_OF_A_THREAD", 1)
        patch.setattr(loops, "rows_at_a_time", lambda *_: 8 if strip == 1 else 600)
        for block in (one, several):
            if shares is not None:
                block.fluid_factor = region(flow, shares, block.low, block.high)
            low, high = block.held()
            block.load(region(flow, noise(flow), low, high), low)
            block.fill()
            done.append(block.advance(steps))
    around = one.local([max(a - 1, 0) for a in start], [min(b + 1, n) for b, n in zip(stop, flow.cells, strict=True)])
    for level in ("now", "before"):
        np.testing.assert_array_equal(getattr(several, level)[(slice(None), *around)],
                                      getattr(one, level)[(slice(None), *around)])  # fmt: skip
    np.testing.assert_array_equal(done[1].peaks, done[0].peaks)
    np.testing.assert_array_equal(done[1].gathered, done[0].gathered)


def test_seconds_are_noted_for_every_thread_that_shares_a_block() -> None:
    """Each other thread notes its own; the caller's are noted where it calls."""
    flow = flow_of((40, 40, 40), dt=0.001)
    block = FlowBlock(flow, (0, 0, 0), flow.cells, 0, cpu, threads=3)
    block.fill()
    stages.drain(), stages.spans()
    block.advance(4)
    spans = stages.spans()
    assert [name for _, name, _, _ in spans] == ["kernel", "kernel"]
    assert threading.get_ident() not in [thread for thread, *_ in spans]
    assert stages.drain()["kernel"] == pytest.approx(sum(end - begin for *_, begin, end in spans), rel=1e-3)


def test_threads_stop_together_at_the_first_step_beyond_the_limit() -> None:
    flow = flow_of((40, 30, 30), dt=0.05)
    one, several = (FlowBlock(flow, (0, 0, 0), flow.cells, 0, cpu, threads=n) for n in (1, 3))
    data = noise(flow)
    data[:, 8:] *= 1e-9  # what grows is seen by the first thread alone
    for block in (one, several):
        block.load(data, (0, 0, 0))
        block.fill()
    first, second = one.advance(50, 10.0), several.advance(50, 10.0)
    assert 1 < first.steps < 50
    assert second.steps == first.steps
    np.testing.assert_array_equal(second.peaks, first.peaks)


@pytest.mark.slow
@settings(max_examples=60, suppress_health_check=[HealthCheck.too_slow])
@given(cut_flows())
def test_the_cut_steps_per_exchange_and_reloading_do_not_change_a_bit(drawn: Any) -> None:
    flow, cuts, steps, exchanges, solid = drawn
    rng = np.random.default_rng(3)
    shares = rng.choice([0.0, 0.7, 1.0, 1.0], (flow.components, *flow.cells)).astype(flow.dtype) if solid else None
    data = noise(flow)
    one = whole(flow, data, shares)
    peaks = one.advance(steps * exchanges).peaks[-1]
    for exchange in range(exchanges):
        new, found, turning = np.empty_like(data), [], np.empty(flow.cells, flow.dtype)
        for ranges in product(*(pairwise(cut) for cut in cuts)):
            start, stop = zip(*ranges, strict=True)
            block = FlowBlock(flow, start, stop, steps, cpu, step=exchange * steps)
            if shares is not None:
                block.fluid_factor = region(flow, shares, block.low, block.high)
            low, high = block.held()
            block.load(region(flow, data, low, high), low)
            block.fill()
            found.append(block.advance(steps).peaks[-1])
            where = tuple(slice(a, b) for a, b in ranges)
            new[(slice(None), *where)] = block.saved()
            turning[where] = measures.centred(block, "q").reshape(turning[where].shape)
        data = new
    np.testing.assert_array_equal(data, one.saved())
    # Derivatives need a cell around the block.
    np.testing.assert_array_equal(turning, measures.centred(one, "q").reshape(flow.cells))
    assert max(found) >= peaks  # a block also sees its halo, no block's own peak is lost


def test_what_solids_took_is_summed_by_planes_whatever_the_cut() -> None:
    flow = flow_of((8, 6, 7))
    shares = np.random.default_rng(3).choice([0.0, 0.7, 1.0], (3, *flow.cells))
    data = noise(flow)
    taken = whole(flow, data, shares).advance(2).gathered
    parts = []
    for first, last in ((0, 3), (3, 8)):
        block = FlowBlock(flow, (first, 0, 0), (last, 6, 7), 2, cpu)
        block.fluid_factor = region(flow, shares, block.low, block.high)
        low, high = block.held()
        block.load(region(flow, data, low, high), low)
        block.fill()
        parts.append(block.advance(2).gathered)
    np.testing.assert_array_equal(np.concatenate(parts), taken)
