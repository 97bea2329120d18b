"""Blocks that memory does not hold: cut in halves, whose results together are the whole's."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from gridstride.workers import device
from gridstride.workers.families.separable import Pass, Separable
from gridstride.workers.families.stencil import Stencil
from gridstride.workers.operators.base import Grid, Operator, Region, Window
from gridstride.workers.split import halves, parts
from tests.blockwise import on_cpu, window_of
from tests.cuda_host import table
from tests.cuda_host.table import whole
from tests.marks import quick


def put_together(operator: Operator, window: Window, wants: Iterable[Region]) -> np.ndarray:
    """The parts' results as one, each from just what it needs; every element must be written once."""
    shape = window.want.shape
    result, times = np.empty(shape, operator.out_grid(window.grid).dtype), np.zeros(shape, int)
    for want in wants:
        there = want.within(window.want)
        result[there] = on_cpu(operator, window.part(operator.needed(want, window.grid), want))
        times[there] += 1
    assert (times == 1).all()
    return result


def quarters(operator: Operator, window: Window, depth: int = 2) -> Iterator[Region]:
    """The want cut as often as it can be, `depth` times at most."""
    return parts(operator, window.want, window.grid, depth)


@pytest.mark.parametrize("room", [100_000, 300_000])
def test_a_block_that_host_memory_does_not_hold_is_computed_in_parts(room: int, monkeypatch: Any) -> None:
    rng = np.random.default_rng(0)
    data = rng.integers(0, 60000, (80, 90, 70)).astype(np.uint16)
    op = Stencil(rng.random((1, 1, 3, 3, 3)), (1, 1, 1), ("wrap", "reflect", "mirror"), 0.0, np.dtype(np.float32))
    block = whole(op, data)
    wanted = on_cpu(op, block)
    sizes: list[int] = []
    compute = Stencil.cpu

    def short(self: Any, window: Window, out: np.ndarray) -> None:
        sizes.append(window.want.size)
        if sizes[-1] > room:
            raise MemoryError
        compute(self, window, out)

    monkeypatch.setattr(Stencil, "cpu", short)
    device.shortages.drain()
    np.testing.assert_array_equal(device.compute(op, block, "cpu").values, wanted)
    assert sum(n for n in sizes if n <= room) == data.size
    assert device.shortages.drain() == sum(n > room for n in sizes) > 0
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
    for want in table.cuts(case, rng, 2):
        block = case.window(want)
        for depth in (1, 2):
            result = put_together(case.op, block, quarters(case.op, block, depth))
            np.testing.assert_array_equal(result, on_cpu(case.op, block), err_msg=f"{case.name} {want}")


@pytest.mark.parametrize("make", [table.separable_case, table.correlate_case])
@pytest.mark.parametrize("seed", quick(10, range(50)))
def test_parts_that_read_their_own_data_are_the_whole_bit_for_bit(make: Any, seed: int) -> None:
    """No more is read than the taps ask for, wherever the block is and on axes that no block cuts, too."""
    rng = np.random.default_rng(seed)
    case = make(rng, ("single", "double")[seed % 2])
    taps = case.op.reads(case.grid)
    for want in table.cuts(case, rng, 2):
        block, wanted = case.window(want), on_cpu(case.op, case.window(want))
        for part in quarters(case.op, block, 3):
            read = window_of(case.op, case.data, part, case.grid)
            for one, n, m in zip(taps, read.have.shape, part.shape, strict=True):
                assert one is None or n <= m + one.count - 1
            result = on_cpu(case.op, read)
            np.testing.assert_array_equal(result, wanted[part.within(want)], err_msg=f"{case.name} {part}")


@pytest.mark.parametrize("mode", table.MODES)
@pytest.mark.parametrize("size", [2, 3, 7, 40])
def test_a_halo_longer_than_the_half_is_filled(mode: str, size: int) -> None:
    """It reaches over the other half and is reflected at the grid's edge, more than once if need be."""
    rng = np.random.default_rng(size)
    data = rng.normal(size=size)
    for before in (0, 12, 24):
        weights = rng.normal(size=25)
        separable = Separable((Pass(0, weights, before, mode, 0.5),), np.dtype(np.float64), "double")
        dense = Stencil(weights[None, None], (before,), (mode,), 0.5, np.dtype(np.float64), "double")
        for op in (separable, dense):
            block = whole(op, data)
            for depth in (1, 3):
                result = put_together(op, block, quarters(op, block, depth))
                np.testing.assert_array_equal(result, on_cpu(op, block))


def test_fft_halves_agree_to_rounding() -> None:
    rng = np.random.default_rng(0)
    for mode in table.MODES:
        op = Stencil(rng.normal(size=(1, 1, 5, 4)), (2, 1), (mode,) * 2, 1.0, np.dtype(np.float64), "double")
        op = replace(op, algorithm="fft")
        block = whole(op, rng.normal(size=(30, 20)))
        result = put_together(op, block, halves(op, block.want, block.grid))
        np.testing.assert_allclose(result, on_cpu(op, block), atol=1e-12)


def needs(op: Operator, grid: Grid) -> list[Region]:
    return [op.needed(half, grid) for half in halves(op, Region.whole(op.out_grid(grid).shape), grid)]


def test_halves_take_only_the_data_they_need() -> None:
    op = Stencil(np.ones((1, 1, 5, 1, 1)), (2, 0, 0), ("reflect",) * 3, 0.0, np.dtype(np.float32))
    grid = Grid.of((100, 90, 80), np.float32)
    left, right = needs(op, grid)
    # Axis 0 is the longest, but half of it needs 52 of its 100 elements; of axis 1, 45 of 90.
    assert left.shape == right.shape == (100, 45, 80)
    assert (left.start, right.start) == ((0, 0, 0), (0, 45, 0))
    window = whole(op, np.zeros(grid.shape, np.float32))
    assert np.shares_memory(window.part(left).data, window.data)
    cube = Stencil(np.ones((1, 1, 5, 5, 5)), (2,) * 3, ("reflect",) * 3, 0.0, np.dtype(np.float32))
    left, right = needs(cube, Grid.of((64, 100, 64), np.float32))
    assert (left.shape, right.shape) == ((64, 52, 64), (64, 52, 64))
    assert right.start == (0, 48, 0)
    wrapped = replace(cube, modes=("wrap",) * 3)
    left, right = needs(wrapped, Grid.of((64, 100, 64), np.float32))
    assert (left.shape, right.shape) == ((64, 54, 64), (64, 54, 64))
    assert (left.start[1] % 100, right.start[1]) == (98, 48)


def test_channels_are_not_cut() -> None:
    op = Stencil(np.ones((2, 50, 1, 1)), (0, 0), ("nearest",) * 2, 0.0, np.dtype(np.float32), channel_axis=0)
    for half in needs(op, Grid.of((50, 4), np.float32)):
        assert half.shape == (50, 2)
    with pytest.raises(ValueError, match="2 x 1 cannot be cut"):
        halves(op, Region.whole((2, 1)), Grid.of((50, 1), np.float32))
