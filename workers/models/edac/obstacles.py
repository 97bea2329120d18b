"""Solid obstacles: shapes, and how much of each velocity's control volume they leave to the fluid.

Shapes are frozen dataclasses of plain numbers; tuples are (x, y) or (x, y, z).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from itertools import product
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from gridstride.workers.models.edac.geometry import Geometry, Spans

POINTS = 8  # along each axis of a cell that a surface may cross
PIECE = 4096  # cells subsampled at a time: 2 MB of points


class Shape(Protocol):
    """A solid body with a surface. Arguments x, y, z broadcast; z is None in two dimensions."""

    def bounds(self) -> tuple[tuple[float, float], ...]:
        """(low, high) along x, y, ..; an axis that is not there is all inside."""

    def shifted(self, by: Sequence[float]) -> Shape:
        """The same body moved by (x, y, z)."""

    def contains(self, x: Any, y: Any, z: Any) -> Any:
        """Whether points are inside."""

    def covers(self, x: Spans, y: Spans, z: Spans | None) -> Any:
        """Whether whole boxes are inside."""

    def misses(self, x: Spans, y: Spans, z: Spans | None) -> Any:
        """Whether whole boxes are outside."""


@dataclass(frozen=True)
class _Round:
    center: tuple[float, ...]
    radius: float

    def bounds(self) -> tuple[tuple[float, float], ...]:
        return tuple((c - self.radius, c + self.radius) for c in self.center)

    def shifted(self, by: Sequence[float]) -> Shape:
        return replace(self, center=tuple(c + d for c, d in zip(self.center, by, strict=False)))

    def contains(self, x: Any, y: Any, z: Any) -> Any:
        return sum((p - c) ** 2 for p, c in zip((x, y, z), self.center, strict=False)) <= self.radius**2

    def covers(self, x: Spans, y: Spans, z: Spans | None) -> Any:
        farthest = [np.maximum(c - low, high - c) for (low, high), c in self._axes(x, y, z)]
        return sum(d**2 for d in farthest) <= self.radius**2

    def misses(self, x: Spans, y: Spans, z: Spans | None) -> Any:
        nearest = [np.maximum(np.maximum(low - c, c - high), 0.0) for (low, high), c in self._axes(x, y, z)]
        return sum(d**2 for d in nearest) >= self.radius**2

    def _axes(self, *spans: Any) -> Iterator[tuple[Spans, float]]:
        return zip(spans, self.center, strict=False)


@dataclass(frozen=True)
class Cylinder(_Round):
    """A cylinder along z, all of its length; center (x, y). A disc in two dimensions."""


@dataclass(frozen=True)
class Sphere(_Round):
    """A ball; center (x, y, z)."""


@dataclass(frozen=True)
class Box:
    """A box between two corners."""

    low: tuple[float, ...]
    high: tuple[float, ...]

    def bounds(self) -> tuple[tuple[float, float], ...]:
        return tuple(zip(self.low, self.high, strict=True))

    def shifted(self, by: Sequence[float]) -> Shape:
        low, high = (tuple(c + d for c, d in zip(corner, by, strict=False)) for corner in (self.low, self.high))
        return replace(self, low=low, high=high)

    def contains(self, x: Any, y: Any, z: Any) -> Any:
        return _all((a <= p) & (p <= b) for p, (a, b) in zip((x, y, z), self.bounds(), strict=False))

    def covers(self, x: Spans, y: Spans, z: Spans | None) -> Any:
        return _all((a <= s[0]) & (s[1] <= b) for s, (a, b) in zip((x, y, z), self.bounds(), strict=False) if s)

    def misses(self, x: Spans, y: Spans, z: Spans | None) -> Any:
        meets = _all((a < s[1]) & (s[0] < b) for s, (a, b) in zip((x, y, z), self.bounds(), strict=False) if s)
        return ~np.asarray(meets)


def _all(conditions: Iterator[Any]) -> Any:
    result: Any = True
    for condition in conditions:
        result = result & condition
    return result


@dataclass(frozen=True)
class Mask:
    """Solid fractions at cell centres, of the grid's shape: a .npy file, or a Zarr array; bool or from 0 to 1."""

    path: str


SHAPES: dict[str, type] = {cls.__name__: cls for cls in (Cylinder, Sphere, Box, Mask)}


def solid_fraction(
    shapes: Sequence[Shape], x_edges: np.ndarray, y_edges: np.ndarray, z_edges: np.ndarray | None = None
) -> np.ndarray:
    """The share of each cell that is inside any of the shapes; (z, y, x), or (1, y, x) without z_edges.

    A cell that one shape covers or all miss is exactly 1 or 0; the others count 8 points along each axis. Edges are 1-D
    and one longer than the cells. A cell's share depends on its own edges alone.
    """
    x, y = ((edges[:-1], edges[1:]) for edges in (x_edges, y_edges))
    return _solid(shapes, x, y, None if z_edges is None else (z_edges[:-1], z_edges[1:]))


def fluid_fractions(
    geometry: Geometry, obstacles: Sequence[Shape | Mask], lo: Sequence[int], hi: Sequence[int], dtype: Any = np.float32
) -> np.ndarray:
    """1 - the solid share of each velocity's control volume: (components, z, y, x) of the global indices [lo, hi).

    These may reach past the grid. On periodic axes the solid repeats itself; elsewhere shapes go on beyond the grid,
    and a mask's outermost cells do.
    """
    fluid = np.empty((geometry.components, *(b - a for a, b in zip(lo, hi, strict=True))), dtype)
    for component in range(geometry.components):
        fluid[component] = 1 - _shares(geometry, obstacles, component, lo, hi)
    return fluid


def cell_fractions(
    geometry: Geometry, obstacles: Sequence[Shape | Mask], lo: Sequence[int], hi: Sequence[int], dtype: Any = np.float32
) -> np.ndarray:
    """The solid share of each cell, where the pressure is: (z, y, x) of the global indices [lo, hi)."""
    return _shares(geometry, obstacles, geometry.components, lo, hi).astype(dtype)


def _shares(
    geometry: Geometry, obstacles: Sequence[Shape | Mask], field: int, lo: Sequence[int], hi: Sequence[int]
) -> np.ndarray:
    """The solid share of a field's control volumes."""
    shapes = list(_images([shape for shape in obstacles if not isinstance(shape, Mask)], geometry))
    x, y, z = geometry.spans(field, lo, hi)
    solid = _solid(shapes, x, y, z if geometry.components == 3 else None)
    for obstacle in obstacles:
        if isinstance(obstacle, Mask):
            np.maximum(solid, _masked(obstacle, geometry, field, lo, hi), out=solid)
    return solid


def _images(shapes: Sequence[Shape], geometry: Geometry) -> Iterator[Shape]:
    """The shapes, and their repetitions beyond periodic faces as far as they reach into the grid's control volumes."""
    axes = range(geometry.components)  # x first
    lengths = [geometry.cells[2 - a] * geometry.spacing[2 - a] for a in axes]
    low = [geometry.origin[2 - a] - geometry.spacing[2 - a] for a in axes]
    high = [geometry.origin[2 - a] + lengths[a] + geometry.spacing[2 - a] for a in axes]
    repeats = [geometry.periodic[2 - a] for a in axes]
    turns = [(0, -1, 1) if repeat else (0,) for repeat in repeats]
    for shape, turn in product(shapes, product(*turns)):
        moved = shape.shifted([n * length for n, length in zip(turn, lengths, strict=True)]) if any(turn) else shape
        reach = zip(moved.bounds(), low, high, repeats, strict=False)
        if all((a < h and b > g) or not repeat for (a, b), g, h, repeat in reach):
            yield moved


def _solid(shapes: Sequence[Shape], x: Spans, y: Spans, z: Spans | None) -> np.ndarray:
    depth = 1 if z is None else len(z[0])
    covered = np.zeros((depth, len(y[0]), len(x[0])), bool)
    crossed = np.zeros_like(covered)
    spans = (x, y, z)
    for shape in shapes:
        bounds = (*shape.bounds(), (-np.inf, np.inf))[:3]
        near = [
            np.flatnonzero((b >= span[0]) & (a <= span[1])) if span else np.arange(depth)
            for span, (a, b) in zip(spans, bounds, strict=False)
        ]
        if not all(len(n) for n in near):
            continue
        where = np.ix_(near[2], near[1], near[0])
        boxes = [_cut(span, n, 2 - axis) for axis, (span, n) in enumerate(zip(spans, near, strict=True))]
        covered[where] |= shape.covers(*boxes)
        crossed[where] |= ~np.asarray(shape.misses(*boxes))
    solid = covered.astype(np.float64)
    cells = np.flatnonzero(crossed & ~covered)
    for start in range(0, len(cells), PIECE):
        piece = cells[start : start + PIECE]
        k, j, i = np.unravel_index(piece, covered.shape)
        solid.reshape(-1)[piece] = _counted(shapes, [_at(x, i), _at(y, j), _at(z, k)])
    return solid


def _cut(span: Spans | None, indices: np.ndarray, axis: int) -> Any:
    """A span's cells at `indices`, to broadcast along axis 0 = z, 1 = y, 2 = x."""
    if span is None:
        return None
    shape = [-1 if a == axis else 1 for a in range(3)]
    return span[0][indices].reshape(shape), span[1][indices].reshape(shape)


def _at(span: Spans | None, indices: np.ndarray) -> Any:
    return None if span is None else (span[0][indices], span[1][indices])


def _counted(shapes: Sequence[Shape], cells: Sequence[Any]) -> np.ndarray:
    """The share of a list of cells inside any shape; cells: (low, high) of each along x, y, z (or None)."""
    share = (np.arange(POINTS) + 0.5) / POINTS
    inside = np.zeros((len(cells[0][0]), *(POINTS if span else 1 for span in reversed(cells))), bool)
    for shape in shapes:
        touched = np.ones(len(inside), bool)
        for span, (a, b) in zip(cells, shape.bounds(), strict=False):
            if span:
                touched &= (b >= span[0]) & (a <= span[1])
        chosen = np.flatnonzero(touched)
        if not len(chosen):
            continue
        points: list[Any] = []
        for axis, span in enumerate(cells):
            if span is None:
                points.append(None)
                continue
            low, high = (end[chosen, None] for end in span)
            line = low + share * (high - low)
            points.append(line.reshape(len(chosen), *(POINTS if a == 2 - axis else 1 for a in range(3))))
        inside[chosen] |= shape.contains(*points)
    return inside.reshape(len(inside), -1).mean(axis=1)


def _masked(mask: Mask, geometry: Geometry, field: int, lo: Sequence[int], hi: Sequence[int]) -> np.ndarray:
    """A mask's solid share of control volumes; a velocity's is half of the cell on either side of its face."""
    axis = 2 - field if field < geometry.components else None
    start = [a - (1 if i == axis else 0) for i, a in enumerate(lo)]
    indices = []
    for i, (a, b, n) in enumerate(zip(start, hi, geometry.cells, strict=True)):
        wanted = geometry.indices(i, a, b)
        indices.append(wanted if geometry.periodic[i] else np.clip(wanted, 0, n - 1))
    source = _open_mask(mask.path)
    used = indices[3 - source.ndim :]
    region = np.asarray(source[tuple(slice(int(n.min()), int(n.max()) + 1) for n in used)], np.float64)
    if not ((region >= 0) & (region <= 1)).all():
        raise ValueError(f"{mask.path} holds values that are no solid fractions: expected bool, or from 0 to 1")
    region = region.reshape((1,) * (3 - source.ndim) + region.shape)
    firsts = [0] * (3 - source.ndim) + [int(n.min()) for n in used]
    values = region[np.ix_(*(n - first for n, first in zip(indices, firsts, strict=True)))]
    if axis is None:
        return values
    before = [slice(None, -1) if i == axis else slice(None) for i in range(3)]
    after = [slice(1, None) if i == axis else slice(None) for i in range(3)]
    return (values[tuple(before)] + values[tuple(after)]) / 2


@lru_cache(maxsize=4)
def _open_mask(path: str) -> Any:
    if Path(path).suffix == ".npy":
        return np.load(path, mmap_mode="r", allow_pickle=False)
    import zarr

    return zarr.open_array(path, mode="r")
