"""Where fluid can flow in: at those cells of an inflow's face from which a way leads past the solids to an outflow.

A velocity given on a solid, or where no way leads out, would pump for ever, and the pressure grow without end. A way
leads from cell to cell through every face whose velocity no solid stops. Beyond the box around all solids nothing
changes any more along an axis, so ways are looked for in there alone: slab by slab, of which only the planes that meet
are kept.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from math import ceil, floor, prod
from typing import Any

import numpy as np

from gridstride.workers.models.edac.geometry import Geometry
from gridstride.workers.models.edac.obstacles import Mask, cell_fractions, fluid_fractions
from gridstride.workers.models.edac.solids import stopped

Face = tuple[int, int]  # axis (0 z, 1 y, 2 x), side (0 low, 1 high)
Box = tuple[list[int], list[int]]
MOST = 2**27  # cells of the box around the solids in which ways are looked for: about half a minute
SLAB = 2**20  # cells at a time
WINDOW = 64  # cells along an axis that are looked at for a body thinner than a cell


def open_cells(
    geometry: Geometry, solids: Sequence[Any], inflows: Sequence[Face], outflows: Sequence[Face]
) -> dict[Face, np.ndarray]:
    """Of each inflow's face the cells through which fluid can flow in, (one axis, other axis).

    Where the box around the solids has more than `MOST` cells, all that no solid covers. Raises ValueError for a mask
    that holds no solid fractions.
    """
    box = around(geometry, solids)
    planes = {face: _let_through(geometry, solids, box, face, face in outflows) for face in (*inflows, *outflows)}
    if searched(geometry, solids):
        found = _components(geometry, solids, box, planes)
        out = np.unique(np.concatenate([found[face][planes[face]] for face in outflows]))
        planes = {face: planes[face] & np.isin(found[face], out) for face in inflows}
    return {face: _widened(geometry, box, face, planes[face]) for face in inflows}


def searched(geometry: Geometry, solids: Sequence[Any]) -> bool:
    """Whether ways are looked for, and not just which cells solids cover."""
    return prod(b - a for a, b in zip(*around(geometry, solids), strict=True)) <= MOST


def around(geometry: Geometry, solids: Sequence[Any]) -> Box:
    """(lo, hi) of the box around all solids and two cells more, inside the grid. Of an axis along which all is the same
    one cell; all of a periodic axis beyond whose ends a solid reaches."""
    lo, hi = [], []
    for axis, n in enumerate(geometry.cells):
        first, last, h = n, 0, geometry.spacing[axis]
        for solid in solids:
            ends = (-np.inf, np.inf) if isinstance(solid, Mask) else (*solid.bounds(), None, None)[2 - axis]
            if ends is None:
                continue
            low, high = (np.clip((end - geometry.origin[axis]) / h, -n, 2 * n) for end in ends)
            first, last = min(first, floor(low) - 2), max(last, ceil(high) + 2)
        if first >= last:
            first, last = 0, 1
        elif geometry.periodic[axis] and (first < 0 or last > n):
            first, last = 0, n
        lo.append(max(0, min(first, n - 1)))
        hi.append(min(n, max(last, 1)))
    return lo, hi


def check_on_grid(geometry: Geometry, solid: Any, field: str) -> None:
    """Raise ValueError for a body so thin that the grid has no velocity that it would stop, and for a mask of up to
    `MOST` cells that holds no solid fractions."""
    if isinstance(solid, Mask):
        cells = list(geometry.cells)
        for start, stop in _slabs([0, 0, 0], cells, 1 if cells[0] == 1 else 0) if prod(cells) <= MOST else ():
            cell_fractions(geometry, [solid], start, stop)
        return
    thinnest = min((high - low) / h for (low, high), h in zip(solid.bounds(), geometry.spacing[::-1], strict=False))
    if thinnest >= 1:
        return
    lo, hi = around(geometry, [solid])
    hi = [min(b, a + WINDOW) for a, b in zip(lo, hi, strict=True)]
    if not (fluid_fractions(geometry, [solid], lo, hi) < 1).any():
        raise ValueError(
            f"{field} is {thinnest:.2g} cells thin and falls between the points of the grid, where it would stop "
            "nothing: make it a cell thick or more, or the cells smaller"
        )


def _let_through(geometry: Geometry, solids: Sequence[Any], box: Box, face: Face, outflow: bool) -> np.ndarray:
    """Which cells of the box nearest to a grid's face are fluid, with a velocity across that face that no solid stops;
    at an outflow neither across the cell's inner face, for that is the velocity there."""
    (axis, side), (lo, hi) = face, box
    first, last = list(lo), list(hi)
    first[axis] = cell = hi[axis] - 1 if side else lo[axis]
    last[axis] = cell + 1
    taken = cell_fractions(geometry, solids, first, last).squeeze(axis) > 0.5
    for at in (cell, cell + 1) if outflow else (cell + side,):
        first[axis], last[axis] = at, at + 1
        taken |= stopped(geometry, solids, first, last)[2 - axis].squeeze(axis)
    return ~taken


def _components(
    geometry: Geometry, solids: Sequence[Any], box: Box, faces: Mapping[Face, Any]
) -> dict[Face, np.ndarray]:
    """The connected region of each cell of the box at the faces, as numbers: (one axis, other axis)."""
    lo, hi = box
    links: list[np.ndarray] = []
    found: dict[Face, list[np.ndarray]] = {face: [] for face in faces}
    count, first, before = 0, None, None
    slab = 1 if hi[0] - lo[0] == 1 else 0
    for start, stop in _slabs(lo, hi, slab):
        way = ~stopped(geometry, solids, start, stop)
        regions, number = _regions(way)
        regions, count = regions + count, count + number
        for axis in range(3):
            if axis != slab and geometry.periodic[axis] and hi[axis] - lo[axis] > 1:
                links.append(_met(way, regions, axis, regions.take([-1], axis)))
        if before is not None:
            links.append(_met(way, regions, slab, before))
        first = (way, regions) if first is None else first
        before = regions.take([-1], slab)
        for (axis, side), planes in found.items():
            if axis != slab or (start[slab] == lo[slab] if side == 0 else stop[slab] == hi[slab]):
                planes.append(regions.take(-side, axis))
    if geometry.periodic[slab] and first is not None and before is not None:
        links.append(_met(*first, slab, before))
    whole = _joined(count, links)
    return {(axis, side): whole[np.concatenate(planes, slab if axis > slab else 0) if axis != slab else planes[0]]
            for (axis, side), planes in found.items()}  # fmt: skip


def _slabs(lo: list[int], hi: list[int], axis: int) -> Iterator[Box]:
    plane = prod(b - a for i, (a, b) in enumerate(zip(lo, hi, strict=True)) if i != axis)
    step = max(1, SLAB // plane)
    for first in range(lo[axis], hi[axis], step):
        start, stop = list(lo), list(hi)
        start[axis], stop[axis] = first, min(first + step, hi[axis])
        yield start, stop


def _regions(way: np.ndarray) -> tuple[np.ndarray, int]:
    """Connected regions of cells, numbered, and how many. way: (components, z, y, x) whether fluid passes low faces.

    Runs of cells along x are one node from the start, and of two runs side by side one pair is enough.
    """
    begins = ~way[0]
    begins[..., 0] = True
    runs = begins.cumsum().reshape(begins.shape) - 1
    pairs = []
    for component in range(1, len(way)):
        axis = 2 - component
        inner = tuple(slice(1, None) if a == axis else slice(None) for a in range(3))
        outer = tuple(slice(None, -1) if a == axis else slice(None) for a in range(3))
        passes = way[component][inner].copy()
        again = passes[..., 1:] & passes[..., :-1] & way[0][inner][..., 1:] & way[0][outer][..., 1:]
        passes[..., 1:] &= ~again
        pairs.append(np.stack([runs[outer][passes], runs[inner][passes]]))
    whole = _joined(int(runs.max()) + 1, pairs)
    return whole[runs], int(whole.max()) + 1


def _met(way: np.ndarray, regions: np.ndarray, axis: int, before: np.ndarray) -> np.ndarray:
    """Pairs of regions that meet at the low end of an axis: `before` is the plane there on the other side."""
    passes = way[2 - axis].take([0], axis)
    pairs = np.stack([before[passes], regions.take([0], axis)[passes]])
    again = (pairs[:, 1:] == pairs[:, :-1]).all(axis=0)
    return pairs[:, np.concatenate([np.ones(min(1, pairs.shape[1]), bool), ~again])]


def _joined(count: int, pairs: Sequence[np.ndarray]) -> np.ndarray:
    """Which connected region each of so many nodes is in. pairs: (2, n) arrays of nodes that are connected."""
    from scipy.sparse import coo_matrix
    from scipy.sparse.csgraph import connected_components

    one, other = np.concatenate([np.zeros((2, 0), np.int64), *pairs], axis=1)
    graph = coo_matrix((np.ones(one.size, bool), (one, other)), (count, count))
    return connected_components(graph, directed=False)[1]


def _widened(geometry: Geometry, box: Box, face: Face, values: np.ndarray) -> np.ndarray:
    """Values of the box at a face for all of the face: beyond the box, what is at its edge."""
    ends = [(a, n - b) for i, (a, b, n) in enumerate(zip(*box, geometry.cells, strict=True)) if i != face[0]]
    return np.pad(values, ends, "edge")
