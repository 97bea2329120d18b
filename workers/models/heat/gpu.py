"""Steps of the heat equation on a GPU: the launches of cuda/heat.cu. Imports no CuPy."""

from __future__ import annotations

from math import prod
from typing import Any

import numpy as np

from gridstride.workers import kernels
from gridstride.workers.launches import Launches, Ref, ceil_div, type_name
from gridstride.workers.models.accelerator import __getattr__, name, to_host
from gridstride.workers.models.block import Block
from gridstride.workers.models.domain import CUT, Advance
from gridstride.workers.models.host import number_bits

__all__ = ["__getattr__", "advance", "fill", "name", "to_host"]

THREADS = 256  # as in cuda/heat.cu
STEPS_AT_ONCE = 64  # that are described before they run


def advance(block: Block, steps: int, limit: float, run: Any = None) -> Advance:
    """As `cpu.advance`. It waits for the GPU. run: what runs launches, as `kernels.run`."""
    dtype, backend = block.domain.dtype, block.backend
    bits = number_bits(dtype)
    most, peaks = np.array(limit, dtype).view(bits)[()], backend.xp.zeros(steps + 1, bits)
    for first in range(0, steps, STEPS_AT_ONCE):
        plan = Launches((0,), np.dtype(np.uint8))
        for step in range(first, min(first + STEPS_AT_ONCE, steps)):
            slot = (block.slot + step) % 2
            known = Ref("peaks", step * dtype.itemsize), most
            _launch_step(plan, block, slot, steps - 1 - step, known)
            _launch_ghosts(plan, block, 1 - slot, known)
        (run or kernels.run)(plan, block.state, {"peaks": peaks})
    found = backend.to_host(peaks)[1:]
    beyond = np.flatnonzero(found > most)
    done = int(beyond[0]) + 1 if beyond.size else steps
    return Advance(done, found[:done].view(dtype), np.zeros((0, 0)))


def fill(block: Block, slot: int, step: int, run: Any = None) -> None:
    """Fill the ghost cells of one level."""
    plan, bits = Launches((0,), np.dtype(np.uint8)), number_bits(block.domain.dtype)
    _launch_ghosts(plan, block, slot, (Ref("peaks"), bits.type(0)))
    (run or kernels.run)(plan, block.state, {"peaks": block.backend.xp.zeros(1, bits)})


def _level(block: Block, slot: int) -> Ref:
    return Ref("data", slot * prod(block.shape) * block.domain.dtype.itemsize)


def _launch_step(plan: Launches, block: Block, slot: int, left: int, known: tuple[Ref, Any]) -> None:
    """One step, after which `left` more may follow. known: peaks and limit"""
    dtype = block.domain.dtype
    numbers = np.zeros((), [("c", dtype, 3), ("source", dtype)])
    numbers["c"], numbers["source"] = block.domain.numbers()  # type: ignore[attr-defined]
    around = np.zeros((), [("stride", np.int64, 3), ("first", np.int32, 3), ("last", np.int32, 3)])
    around["stride"] = [prod(block.shape[axis + 1 :]) for axis in range(3)]
    around["first"], around["last"] = zip(*block.computed(left), strict=True)
    args = _level(block, slot), _level(block, 1 - slot), *known, around, numbers
    kernel = f"heat_step<{type_name(dtype)}, {2 if block.domain.planar else 3}>"
    cells = prod(b - a for a, b in block.computed(left))
    plan.launch("heat.cu", kernel, ceil_div(cells, THREADS), (THREADS, 1), 0, args)


def _launch_ghosts(plan: Launches, block: Block, slot: int, known: tuple[Any, Any]) -> None:
    dtype = block.domain.dtype
    ends = np.dtype(
        [("along", np.int64), ("stride", np.int64, 2)]
        + [(key, np.int32, 2) for key in ("count", "edge", "kind")]
        + [("given", dtype, 2)],
        align=True,
    )
    for axis, kinds in enumerate(block.kinds):
        if kinds == (CUT, CUT):
            continue
        others = [a for a in range(3) if a != axis]
        values = np.zeros((), ends)
        values["along"] = prod(block.shape[axis + 1 :])
        values["stride"] = [prod(block.shape[a + 1 :]) for a in others]
        values["count"] = [block.shape[a] for a in others]
        values["edge"], values["kind"] = block.edges_of_grid[axis], kinds
        values["given"] = block.domain.given[axis]  # type: ignore[attr-defined]
        args = _level(block, slot), *known, values
        tiles = ceil_div(prod(block.shape[a] for a in others), THREADS)
        plan.launch("heat.cu", f"heat_ghosts<{type_name(dtype)}>", tiles, (THREADS, 1), 0, args)
