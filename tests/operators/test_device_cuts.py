"""Blocks that memory does not hold: cut in halves, whose results together are the whole's."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from math import prod
from typing import Any

import numpy as np
import pytest

from gridstride.workers import cpu, device
from gridstride.workers.operators import Correlate, Pass, Separable
from gridstride.workers.operators.base import Block
from gridstride.workers.split import halves, ranges, reach, where
from tests.cuda_host import table
from tests.marks import quick


def put_together(operator: Any, block: Block, parts: tuple[Block, ...]) -> np.ndarray:
    """The parts' results as one; every element must be written once."""
    shape = operator.out_shape(block.extent)
    result, times = np.empty(shape, operator.out_dtype), np.zeros(shape, int)
    for part in parts:
        there = where(operator, part, block)
        result[there] = operator.compute(part, cpu)
        times[there] += 1
    assert (times == 1).all()
    return result


def quarters(operator: Any, block: Block, depth: int = 2) -> Iterator[Block]:
    """The block cut as often as it can be, `depth` times at most."""
    cuttable = [n for axis, n in enumerate(block.extent) if axis != getattr(operator, "channel_axis", None)]
    if depth == 0 or max(cuttable, default=1) < 2:
        yield block
        return
    for half in halves(operator, block):
        yield from quarters(operator, half, depth - 1)


@pytest.mark.parametrize("room", [100_000, 300_000])
def test_a_block_that_host_memory_does_not_hold_is_computed_in_parts(room: int, monkeypatch: Any) -> None:
    rng = np.random.default_rng(0)
    data = rng.integers(0, 60000, (80, 90, 70)).astype(np.uint16)
    op = Correlate(rng.random((1, 1, 3, 3, 3)), (1, 1, 1), ("wrap", "reflect", "mirror"), 0.0, np.dtype(np.float32))
    block = Block(data, (0, 0, 0), (0, 0, 0), data.shape, data.shape)
    whole = op.compute(block, cpu)
    extents: list[int] = []
    compute = Correlate.compute

    def short(self: Any, block: Block, device: Any) -> Any:
        extents.append(prod(block.extent))
        if extents[-1] > room:
            raise MemoryError
        return compute(self, block, device)

    monkeypatch.setattr(Correlate, "compute", short)
    device.shortages.drain()
    np.testing.assert_array_equal(device.compute(op, block, "cpu"), whole)
    assert sum(n for n in extents if n <= room) == data.size
    assert device.shortages.drain() == sum(n > room for n in extents) > 0
    with pytest.raises(MemoryError):  # by FFT the cut would show in the last bits
        device.compute(replace(op, algorithm="fft"), block, "cpu")
    room = 0
    with pytest.raises(MemoryError):
        device.compute(op, block, "cpu")


@pytest.mark.parametrize("make", [table.separable_case, table.correlate_case])
@pytest.mark.parametrize("seed", quick(20, range(100)))
def test_halves_together_are_the_whole_bit_for_bit(make: Any, seed: int) -> None:
    """Any operator, mode, origin and number of axes; blocks in the grid's middle and at its edges; cut up to twice."""
    rng = np.random.default_rng(seed)
    case = make(rng, ("single", "double")[seed % 2])
    for start, stop in table.cuts(case, rng, 2):
        block = table.block_of(case.op, case.data, start, stop)
        whole = case.op.compute(block, cpu)
        for depth in (1, 2):
            result = put_together(case.op, block, tuple(quarters(case.op, block, depth)))
            np.testing.assert_array_equal(result, whole, err_msg=f"{case.name} {start} {stop}")


@pytest.mark.parametrize("make", [table.separable_case, table.correlate_case])
@pytest.mark.parametrize("seed", quick(10, range(50)))
def test_parts_that_read_their_own_data_are_the_whole_bit_for_bit(make: Any, seed: int) -> None:
    """No more is read than the halo asks for, wherever the block is and on axes that no block cuts, too."""
    rng = np.random.default_rng(seed)
    case = make(rng, ("single", "double")[seed % 2])
    for start, stop in table.cuts(case, rng, 2):
        block = table.block_of(case.op, case.data, start, stop)
        read = []
        for part in ranges(case.op, replace(block, data=None), 3):
            lo, hi = reach(case.op, part)
            assert all(b - a <= n + sum(h) for a, b, n, h in zip(lo, hi, part.extent, case.op.halo, strict=True))
            indices = [np.arange(a, b) % n for a, b, n in zip(lo, hi, block.shape, strict=True)]
            read.append(replace(part, data=case.data[np.ix_(*indices)], lo=lo))
        result = put_together(case.op, block, tuple(read))
        np.testing.assert_array_equal(result, case.op.compute(block, cpu), err_msg=f"{case.name} {start} {stop}")


@pytest.mark.parametrize("mode", table.MODES)
@pytest.mark.parametrize("size", [2, 3, 7, 40])
def test_a_halo_longer_than_the_half_is_filled(mode: str, size: int) -> None:
    """It reaches over the other half and is reflected at the grid's edge, more than once if need be."""
    rng = np.random.default_rng(size)
    block = table.whole(rng.normal(size=size))
    for before in (0, 12, 24):
        weights = rng.normal(size=25)
        separable = Separable(1, (Pass(0, weights, before, mode, 0.5),), np.dtype(np.float64), "double")
        dense = Correlate(weights[None, None], (before,), (mode,), 0.5, np.dtype(np.float64), "double")
        for op in (separable, dense):
            for depth in (1, 3):
                parts = tuple(quarters(op, block, depth))
                np.testing.assert_array_equal(put_together(op, block, parts), op.compute(block, cpu))


def test_fft_halves_agree_to_rounding() -> None:
    rng = np.random.default_rng(0)
    for mode in table.MODES:
        op = Correlate(rng.normal(size=(1, 1, 5, 4)), (2, 1), (mode,) * 2, 1.0, np.dtype(np.float64), "double")
        op = replace(op, algorithm="fft")
        block = table.whole(rng.normal(size=(30, 20)))
        np.testing.assert_allclose(put_together(op, block, halves(op, block)), op.compute(block, cpu), atol=1e-12)


def test_halves_take_only_the_data_they_need() -> None:
    op = Correlate(np.ones((1, 1, 5, 1, 1)), (2, 0, 0), ("reflect",) * 3, 0.0, np.dtype(np.float32))
    block = table.whole(np.zeros((100, 90, 80), np.float32))
    left, right = halves(op, block)
    # Axis 0 is the longest, but half of it needs 52 of its 100 elements; of axis 1, 45 of 90.
    assert left.data.shape == right.data.shape == (100, 45, 80)
    assert (left.lo, right.lo) == ((0, 0, 0), (0, 45, 0))
    assert np.shares_memory(left.data, block.data)
    cube = Correlate(np.ones((1, 1, 5, 5, 5)), (2,) * 3, ("reflect",) * 3, 0.0, np.dtype(np.float32))
    left, right = halves(cube, table.whole(np.zeros((64, 100, 64), np.float32)))
    assert (left.data.shape, right.data.shape) == ((64, 52, 64), (64, 52, 64))
    assert right.lo == (0, 48, 0)
    wrapped = replace(cube, modes=("wrap",) * 3)
    left, right = halves(wrapped, table.whole(np.zeros((64, 100, 64), np.float32)))
    assert (left.data.shape, right.data.shape) == ((64, 54, 64), (64, 54, 64))
    assert (left.lo[1], right.lo[1]) == (-2, 48)


def test_channels_are_not_cut() -> None:
    op = Correlate(np.ones((2, 50, 1, 1)), (0, 0), ("nearest",) * 2, 0.0, np.dtype(np.float32), channel_axis=0)
    for half in halves(op, table.whole(np.zeros((50, 4), np.float32))):
        assert half.data.shape == (50, 2)
    with pytest.raises(ValueError, match="50 x 1 cannot be cut"):
        halves(op, table.whole(np.zeros((50, 1), np.float32)))
