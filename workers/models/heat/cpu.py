"""Steps of the heat equation on the CPU, compiled by Numba; all release the GIL. cuda/heat.cu has the same expressions,
with the same bits: no multiply-adds are fused."""

from __future__ import annotations

import numpy as np
from numba import njit

from gridstride.workers.models.block import Block
from gridstride.workers.models.domain import PERIODIC, Advance
from gridstride.workers.models.heat.kinds import FIXED, INSULATED
from gridstride.workers.models.host import name, number_bits, to_host, xp
from gridstride.workers.models.threads import barrier, together

__all__ = ["advance", "fill", "name", "to_host", "xp"]
COMPILE = {"nogil": True, "cache": True}


def advance(block: Block, steps: int, limit: float) -> Advance:
    domain, bits = block.domain, number_bits(block.domain.dtype)
    c, source = domain.numbers()  # type: ignore[attr-defined]
    ranges = np.array([block.computed(steps - 1 - step) for step in range(steps)])
    parts = max(1, min(block.threads, block.shape[domain.slab_axis]))
    peaks = np.zeros((parts, steps), bits)
    most = np.array(limit, domain.dtype).view(bits)[()]

    def work(part: int, parts: int, gate: np.ndarray) -> int:
        what = (block.state, block.state.view(bits), block.slot, ranges, c, source, *_ends(block))
        return _advance(*what, most, peaks, part, parts, gate)

    done = together(work, parts)
    return Advance(done, peaks[:, :done].max(axis=0).view(domain.dtype), np.zeros((0, 0)))


def fill(block: Block, slot: int, step: int) -> None:
    """Fill the ghost cells of one level."""
    _fill(block.state[slot, 0], *_ends(block))


def _ends(block: Block) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    given = np.array(block.domain.given, block.domain.dtype)  # type: ignore[attr-defined]
    return np.array(block.edges_of_grid), np.array(block.kinds), given


@njit(**COMPILE)
def _fill_axis(level, edges, kinds, given):
    """Fill the ghost cells at both ends of the array's first axis."""
    low, high = edges
    for side, ghost, inside, other in ((0, low - 1, low, high - 1), (1, high, high - 1, low)):
        if kinds[side] == PERIODIC:
            level[ghost] = level[other]
        elif kinds[side] == FIXED:
            level[ghost] = (given[side] + given[side]) - level[inside]
        elif kinds[side] == INSULATED:
            level[ghost] = level[inside]


@njit(**COMPILE)
def _fill(level, edges, kinds, given):
    _fill_axis(level, edges[0], kinds[0], given[0])
    _fill_axis(level.transpose(1, 0, 2), edges[1], kinds[1], given[1])
    _fill_axis(level.transpose(2, 0, 1), edges[2], kinds[2], given[2])


@njit(**COMPILE)
def _row(now, new, bits, z, y, columns, c, source):
    """New values of a row of cells; the largest magnitude of them, as an integer."""
    cz, cy, cx = c
    here, south, north, to = now[z, y], now[z, y - 1], now[z, y + 1], new[z, y]
    for x in range(columns[0], columns[1]):
        e = here[x]
        change = cx * ((here[x - 1] + here[x + 1]) - (e + e)) + cy * ((south[x] + north[x]) - (e + e))
        if now.shape[0] > 1:
            change = change + cz * ((now[z - 1, y, x] + now[z + 1, y, x]) - (e + e))
        to[x] = e + (change + source)
    peak = bits.dtype.type(0)
    for x in range(columns[0], columns[1]):
        peak = max(peak, bits[z, y, x] & bits.dtype.type((1 << (8 * bits.itemsize - 1)) - 1))
    return peak


@njit(**COMPILE)
def _advance(state, bits, slot, ranges, c, source, edges, kinds, given, limit, peaks, part, parts, gate):
    """Advance a block by as many steps as there are ranges, or up to the first beyond `limit`; returns how many."""
    turn, alone = 0, parts == 1
    for step in range(len(ranges)):
        now, new = state[slot, 0], state[1 - slot, 0]
        (first, last), rows, columns = ranges[step]
        peak, high = bits.dtype.type(0), rows[1] - rows[0]
        share = (last - first) * high
        for row in range(share * part // parts, share * (part + 1) // parts):
            z, y = first + row // high, rows[0] + row % high
            peak = max(peak, _row(now, new, bits[1 - slot, 0], z, y, columns, c, source))
        peaks[part, step] = peak
        if not alone:
            turn = barrier(gate, parts, turn)
        if part == 0 and turn >= 0:
            _fill(new, edges, kinds, given)
        if not alone:
            turn = barrier(gate, parts, turn) if turn >= 0 else turn
        if turn < 0:
            return step
        slot = 1 - slot
        for other in range(parts):
            peak = max(peak, peaks[other, step])
        if peak > limit:
            return step + 1
    return len(ranges)
