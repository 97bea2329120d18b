"""Tasks that read their own halos: each takes some boxes of blocks, and depends on no other task."""

from __future__ import annotations

from collections.abc import Iterator
from math import prod

import numpy as np

from gridstride.pipeline.planning.plan import Plan
from gridstride.pipeline.sweep.record import Box, blocks_in

Span = tuple[int, int]


def runs(plan: Plan, done: np.ndarray) -> Iterator[list[Box]]:
    """What is to be done, as lists of boxes of blocks: one list a task. done: which blocks are finished"""
    collected: list[Box] = []
    most = room = prod(plan.batch)
    for batch in plan.boxes():
        for box in unfinished(batch, done, plan.exact):
            size = blocks_in(box)
            if collected and size > room:
                yield collected
                collected, room = [], most
            collected.append(box)
            room -= size
    if collected:
        yield collected


def unfinished(batch: tuple[Span, ...], done: np.ndarray, together: bool) -> Iterator[Box]:
    """What is to be done of a batch, as few boxes: halved until each is all to do (and, unless `together`, one
    block)."""
    part = done[tuple(slice(lo, hi) for lo, hi in batch)]
    if part.all():
        return
    sizes = [hi - lo for lo, hi in batch]
    if not part.any() and (together or max(sizes) == 1):
        yield tuple(lo for lo, _ in batch), tuple(hi - 1 for _, hi in batch)
        return
    axis = sizes.index(max(sizes))
    lo, hi = batch[axis]
    for half in ((lo, (lo + hi) // 2), ((lo + hi) // 2, hi)):
        yield from unfinished((*batch[:axis], half, *batch[axis + 1 :]), done, together)
