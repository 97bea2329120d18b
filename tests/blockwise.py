"""Applies an operator to an array in memory, block by block, with the planner's blocks and halos and without Dask."""

from __future__ import annotations

from itertools import product
from typing import Any

import numpy as np

from gridstride.pipeline.planning.plan import Request, make_plan, thinnest
from gridstride.workers import cpu
from gridstride.workers.operators.base import Block


def plan_for(operator: Any, array: np.ndarray, block: tuple[int, ...] | None) -> Any:
    halo = operator.halo
    if block is not None:  # no block may be thinner than the halo
        block = tuple(max(b, thinnest(h, m)) for b, h, m in zip(block, halo, operator.modes, strict=True))
        out_shape = operator.out_shape(array.shape)
        block = tuple(n if n != m else b for b, n, m in zip(block, array.shape, out_shape, strict=True))
    return make_plan(
        Request(
            shape=array.shape,
            out_shape=operator.out_shape(array.shape),
            itemsize=array.itemsize,
            out_itemsize=operator.out_dtype.itemsize,
            write_unit=(1,) * array.ndim,
            halo=halo,
            modes=operator.modes,
            scratch=lambda extent: 0,
            workers=1,
            threads=1,
            block=block if block is not None else tuple(max(n, 1) for n in array.shape),
        )
    )


def apply(operator: Any, array: np.ndarray, block: tuple[int, ...] | None = None, device: Any = cpu) -> np.ndarray:
    """The operator's result for a whole array, computed in blocks of (at least) `block`; in one block if None."""
    plan = plan_for(operator, array, block)
    out = np.empty(plan.out_shape, operator.out_dtype)
    for index in product(*(range(n) for n in plan.grid)):
        if not plan.blocks:
            break
        lo, hi = plan.needed(index)
        data = array
        for axis, (a, b) in enumerate(zip(lo, hi, strict=True)):
            data = data.take(np.arange(a, b) % array.shape[axis], axis)
        block_ = Block(data, lo, plan.start(index), plan.stop(index), array.shape)
        first, last = plan.out_range(index)
        out[tuple(slice(a, b) for a, b in zip(first, last, strict=True))] = operator.compute(block_, device)
    return out
