"""Threads that share a block: one that raises ends them all."""

from __future__ import annotations

import threading
from typing import Any

import numpy as np
import pytest
from flow_blocks import flow_of, noise, whole
from numba import njit

from gridstride.workers.models.edac import loops
from gridstride.workers.models.threads import barrier, together


@njit(nogil=True)
def _turns(gate, parts, count):
    turn = 0
    for done in range(count):
        turn = barrier(gate, parts, turn)
        if turn < 0:
            return done
    return count


def in_time(call: Any, seconds: float = 30.0) -> list[Any]:
    """What a call returns or raises, from a thread of its own, so that one that never ends fails the test."""
    found: list[Any] = []

    def run() -> None:
        try:
            found.append(call())
        except Exception as error:
            found.append(error)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    thread.join(seconds)
    assert not thread.is_alive(), "the threads wait for one that has raised"
    return found


def test_threads_meet_at_every_turn() -> None:
    assert together(lambda part, parts, gate: (part, _turns(gate, parts, 1000)), 3) == (0, 1000)


@pytest.mark.parametrize("guilty", [0, 1, 2])
@pytest.mark.parametrize("turns", [0, 5])
def test_a_thread_that_raises_ends_the_others_and_its_error_is_raised(guilty: int, turns: int) -> None:
    ended = np.full(3, -1)

    def work(part: int, parts: int, gate: np.ndarray) -> None:
        if part == guilty:
            _turns(gate, parts, turns)
            raise ZeroDivisionError(f"in part {part}")
        ended[part] = _turns(gate, parts, 10**9)

    (error,) = in_time(lambda: together(work, 3))
    assert isinstance(error, ZeroDivisionError)
    assert str(error) == f"in part {guilty}"
    assert ended[guilty] == -1
    assert set(np.delete(ended, guilty)) <= {turns, turns - 1}  # the last turn may have been broken off


def test_a_block_of_which_a_thread_raises_is_broken_and_says_why(monkeypatch: Any) -> None:
    flow = flow_of((24, 24, 40))
    block = whole(flow, noise(flow))
    block.threads = 2
    march = loops.advance

    def fails(*arguments: Any) -> Any:
        if arguments[-3] == 1:
            raise MemoryError("no room for the ring")
        return march(*arguments)

    monkeypatch.setattr(loops, "advance", fails)
    (error,) = in_time(lambda: block.advance(3))
    assert isinstance(error, MemoryError)
    assert block.broken
