"""Memory that is used again: no two arrays share it, and no more is kept than arrays had at a time."""

from __future__ import annotations

import tracemalloc
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as some

from gridstride.pipeline.sweep import block_task
from gridstride.workers import buffers
from gridstride.workers.buffers import LARGER, SMALLEST, Borrowed
from gridstride.workers.operators import registry
from gridstride.workers.operators.base import Grid, Operator, Window
from gridstride.workers.region import Region
from tests.blockwise import on_cpu, swept


@pytest.fixture(autouse=True)
def _nothing_iskept_here() -> Iterator[None]:
    buffers.release()
    yield
    buffers.release()


@settings(max_examples=40)
@given(some.lists(some.tuples(some.integers(0, 5), some.sampled_from(["u1", "f8"])), max_size=20), some.randoms())
def test_arrays_share_no_memory_and_no_more_is_kept_than_they_had(sizes: list[tuple[int, str]], random: object) -> None:
    buffers.release()
    held: list[np.ndarray] = []
    most = 0
    with Borrowed() as memory:
        for size, kind in sizes:
            dtype = np.dtype(kind)
            array = memory.array((SMALLEST // dtype.itemsize + size * 4000, 1), dtype)
            held.append(array)
            most = max(most, sum(a.nbytes for a in held))
            if random.random() < 0.5:  # type: ignore[attr-defined]
                memory.give_back(held.pop(random.randrange(len(held))))  # type: ignore[attr-defined]
            for n, one in enumerate(held):
                assert not any(np.shares_memory(one, other) for other in held[:n])
            assert buffers.kept_here().bytes() <= most + most // LARGER
    assert buffers.kept_here().used == 0
    buffers.release()
    assert buffers.kept_here().bytes() == 0


def test_a_block_after_another_makes_no_new_memory_but_the_next_sweep_does(monkeypatch: pytest.MonkeyPatch) -> None:
    array = np.random.default_rng(0).integers(0, 255, (64, 100, 100), np.uint8)
    grid = Grid.of(array.shape, array.dtype)
    operator: Operator = registry.find("white-tophat")(size=3).bind(grid)
    whole = Region.whole(grid.shape)
    out = np.empty(grid.shape, grid.dtype)

    def compute() -> int:
        tracemalloc.start()
        operator.cpu(Window(array, whole, whole, grid), out)
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return peak

    first, second = compute(), compute()
    assert first > 2 * array.nbytes
    assert second < array.nbytes / 2
    wrong = np.empty((3, 3), np.uint8)
    with pytest.raises(IndexError, match="too many indices"):
        operator.cpu(Window(array, whole, whole, grid), wrong)
    assert buffers.kept_here().used == 0
    assert compute() < array.nbytes / 2
    monkeypatch.setattr(block_task.saving, "load", lambda *_: None)
    block_task.open_work("memory", "", "another sweep of this process")
    assert compute() > 2 * array.nbytes


def test_threads_have_memory_of_their_own() -> None:
    rng = np.random.default_rng(1)
    arrays = [rng.integers(0, 255, (70, 90, 80), np.uint8) for _ in range(6)]
    operator: Operator = registry.find("grey-opening")(size=3).bind(Grid.of(arrays[0].shape, np.dtype("uint8")))
    alone = [swept(operator, array, None, on_cpu) for array in arrays]
    with ThreadPoolExecutor(3) as pool:
        together = list(pool.map(lambda array: swept(operator, array, None, on_cpu), arrays * 3))
    for n, result in enumerate(together):
        np.testing.assert_array_equal(result, alone[n % 6])
