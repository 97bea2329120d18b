"""Anisotropic diffusion on the CPU; `diffusion_loops` has the loops."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from gridstride.workers.buffers import Borrowed
from gridstride.workers.families import diffusion_loops as loops
from gridstride.workers.families.rows import LINE
from gridstride.workers.families.variation_cpu import rows_of_plane
from gridstride.workers.operators.base import Window

if TYPE_CHECKING:
    from gridstride.workers.families.diffusion import Diffusion


def run(op: Diffusion, window: Window, out: np.ndarray) -> None:
    """A window that has just what is needed, slice by slice along the axes that are not filtered."""
    dtype, shape = window.data.dtype, window.data.shape
    plan, leading = op.plan(shape, dtype)
    missing = plan.axes - len(op.axes)
    boxes, rates = boxes_of(op, window, missing), np.zeros((2, plan.axes), dtype)
    rates[:, missing:] = op.rates(dtype)
    rows, beside = rows_of_plane(leading[1:]), np.empty(2 * plan.axes, np.int64)
    inner = tuple(
        slice(a - first, b - first)
        for axis in op.axes
        for (a, b), (first, _) in [(window.want.spans[axis], window.have.spans[axis])]
    )
    order = [*(axis for axis in range(len(shape)) if axis not in op.axes), *op.axes]
    source, target = window.data.transpose(order), out.transpose(order)
    with Borrowed() as memory:
        kept = [memory.array((plan.far + plan.first,), dtype) for _ in range(2)]
        # From where a line of the cache begins.
        one, other = (array[-array.ctypes.data % LINE // dtype.itemsize :][: plan.far] for array in kept)
        other[:] = 0
        views = [_rows(array, plan, leading) for array in (one, other)]
        for place in np.ndindex(source.shape[: len(shape) - len(op.axes)]):
            one[:] = 0
            image = source[place].reshape((*views[0].shape[:-1], plan.size))
            views[0][..., plan.first : plan.first + plan.size] = image
            views[0][..., plan.first - 1] = image[..., 0]
            at = plan.first + plan.size
            one[at :: plan.pitch][: plan.planes * plan.rows] = image[..., -1].reshape(-1)
            loops.iterate(one, other, boxes, *rows, beside, rates, plan, op.quadratic, dtype.type(op.largest(dtype)))
            result = views[op.count % 2][..., plan.first : plan.first + plan.size]
            target[place] = result.reshape(source.shape[-len(op.axes) :])[inner]


def _rows(array: np.ndarray, plan: loops.Plan, leading: tuple[int, ...]) -> np.ndarray:
    return array[: plan.planes * plan.rows * plan.pitch].reshape(*leading, plan.pitch)


def boxes_of(op: Diffusion, window: Window, missing: int) -> np.ndarray:
    """Where each iteration must be made on each axis of the loops: (iterations, axes, 2), from the window's first
    element. What a block needs becomes less by an element on each side."""
    left = np.arange(op.count - 1, -1, -1)
    found = np.zeros((op.count, missing + len(op.axes), 2), np.int64)
    found[:, :missing, 1] = 1
    for k, axis in enumerate(op.axes):
        (start, stop), begin, n = window.want.spans[axis], window.have.spans[axis][0], window.grid.shape[axis]
        found[:, missing + k, 0] = np.maximum(start - left, 0) - begin
        found[:, missing + k, 1] = np.minimum(stop + left, n) - begin
    return found
