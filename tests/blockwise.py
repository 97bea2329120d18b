"""Applies operators to arrays in memory, block by block, by what they say of their geometry: no planner, no Dask."""

from __future__ import annotations

import tracemalloc
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import pairwise, product
from typing import Any

import numpy as np

from gridstride.workers import buffers
from gridstride.workers.operators import registry
from gridstride.workers.operators.base import Grid, Operator, Region, Window, crop

Compute = Callable[[Operator, Window], Any]


def bound(name: str, source: Any, names: Sequence[str] | None = None, **fields: Any) -> Operator:
    """The operator of a name for an array, or for (shape, dtype)."""
    return registry.find(name)(**fields).bind(grid_of(source, names))


def grid_of(source: Any, names: Sequence[str] | None = None) -> Grid:
    shape, dtype = (source.shape, source.dtype) if isinstance(source, np.ndarray) else source
    return Grid.of(shape, dtype, names)


def on_cpu(operator: Operator, window: Window) -> Any:
    """A window's result, or its report."""
    out = np.empty(window.want.shape if operator.writes() else (0,), operator.out_grid(window.grid).dtype)
    report = operator.cpu(window, out)
    return out if operator.writes() else report


def peak(operator: Operator, window: Window) -> int:
    """Bytes that an operator takes beside its window and its result, compiled and with nothing kept from before."""
    on_cpu(operator, window)
    buffers.release()
    out = np.empty(window.want.shape if operator.writes() else (0,), operator.out_grid(window.grid).dtype)
    tracemalloc.start()
    operator.cpu(window, out)
    taken = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return taken


def window_of(operator: Operator, array: np.ndarray, want: Region, grid: Grid | None = None) -> Window:
    """The window of a want: exactly what it needs of the array, copied."""
    grid = grid or grid_of(array)
    need = operator.needed(want, grid)
    data = np.ascontiguousarray(crop(array, Region.whole(grid.shape), need, grid.shape))
    return Window(data, need, want, grid)


def blocks_of(operator: Operator, grid: Grid, block: Sequence[int] | None) -> Iterator[Region]:
    """The grid of an operator's result cut at multiples of `block`; axes that must not be cut, and all if None, are
    whole. Of what a sweep stores, `block` is of the last axes."""
    shape, whole = operator.out_grid(grid).shape, operator.uncut(grid)
    block = shape if block is None else (*shape[: len(shape) - len(block)], *block)
    steps = [n if axis in whole else block[axis] for axis, n in enumerate(shape)]
    edges = [[*range(0, n, max(1, step)), n] for n, step in zip(shape, steps, strict=True)]
    yield from regions(edges)


def regions(edges: Sequence[Sequence[int]]) -> Iterator[Region]:
    """The regions between the places where each axis is cut."""
    yield from map(Region, product(*(list(pairwise(places)) for places in edges)))


def apply(
    operator: Operator, array: np.ndarray, block: Sequence[int] | None = None, compute: Compute = on_cpu
) -> np.ndarray:
    """The operator's result for a whole array, computed in blocks; all sweeps that it needs are made."""
    operator, array = resolved(operator, array, lambda first, grid: blocks_of(first, grid, block), compute)
    return swept(operator, array, block, compute)


def resolved(
    operator: Operator,
    array: np.ndarray,
    cut: Callable[[Operator, Grid], Iterable[Region]],
    compute: Compute = on_cpu,
    order: Callable[[list[Any]], list[Any]] = list,
) -> tuple[Operator, np.ndarray]:
    """The operator after the sweeps that must come first, and the array that it reads. order: of the reports"""
    while (first := operator.first_sweep()) is not None:
        grid = grid_of(array)
        made, reports = sweep(first, array, cut(first, grid), compute)
        operator = operator.resolve(order(reports), grid)
        array = made if first.writes() else array
    return operator, array


def swept(operator: Operator, array: np.ndarray, block: Sequence[int] | None, compute: Compute) -> np.ndarray:
    """The result of a last sweep."""
    return sweep(operator, array, blocks_of(operator, grid_of(array), block), compute)[0]


def sweep(
    operator: Operator, array: np.ndarray, wants: Iterable[Region], compute: Compute
) -> tuple[np.ndarray, list[Any]]:
    """What one sweep writes, if it does, and its reports."""
    grid, reports = grid_of(array), []
    given = operator.out_grid(grid)
    out = np.empty(given.shape if operator.writes() else (0,), given.dtype)
    for want in wants:
        if want.size == 0:
            continue
        made = compute(operator, window_of(operator, array, want, grid))
        if operator.writes():
            assert (made.shape, made.dtype) == (want.shape, given.dtype)
            out[want.within(Region.whole(given.shape))] = made
        else:
            reports.append(made)
    return out, reports
