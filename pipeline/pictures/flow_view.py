"""The part of a simulation that a picture shows: a field on one plane of cells, at one of the stored times.

Fields that are not stored are derived from the stored velocity, a tile of the plane at a time, with the neighbouring
planes if a derivative along the normal needs them: never the whole volume. Derivatives are central differences of the
cell-centred velocity, one-sided of second order at the edges of the grid.

If a plane has more cells than the picture has pixels, a pixel is the mean of its cells.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from math import ceil

import numpy as np

from gridstride.pipeline.errors import JobFailed, UsageError, first_line
from gridstride.pipeline.pictures.canvas import Scale
from gridstride.pipeline.simulations.store import FlowStore, field_path
from gridstride.pipeline.storage.regions import open_regions

DERIVED = ("speed", "vorticity", "q")  # from the velocity
STORED_AS = {"pressure": "p"}  # fields by another name than their array's
VELOCITY = {"x": "u", "y": "v", "z": "w"}
TILE = 1024  # cells along a side of what is computed at once
LABELS = {
    "speed": "speed |u|",
    "pressure": "pressure / density, p",
    "u": "velocity along x, u",
    "v": "velocity along y, v",
    "w": "velocity along z, w",
    "q": "Q-criterion, q",
}

Span = tuple[int, int]


@dataclass(frozen=True)
class FlowView:
    """A field of a simulation on a plane of cells.

    normal, index: the axis the plane cuts and where, both None in two dimensions
    sources:       names of the arrays it is read or derived from
    size:          pixels along the longer side, at most
    """

    store: FlowStore
    field: str
    normal: str | None
    index: int | None
    sources: tuple[str, ...]
    size: int = 1024

    @property
    def shown(self) -> tuple[str, str]:
        """Axes of the picture: rows, columns."""
        rows, columns = (axis for axis in self.store.axes if axis != self.normal)
        return rows, columns

    @property
    def stride(self) -> int:
        """Cells along a side of a pixel."""
        return max(1, ceil(max(self.store.centres[axis].size for axis in self.shown) / self.size))

    @property
    def scale(self) -> Scale:
        """The kind of its colour scale."""
        scales: dict[str, Scale] = {"speed": "positive", "vorticity": "signed", "q": "signed"}
        return scales.get(self.field, "auto")

    @property
    def label(self) -> str:
        if self.field == "vorticity":
            return f"vorticity along {self.normal}, ω" if self.normal else "vorticity, ω"
        return LABELS.get(self.field, self.field)

    @property
    def place(self) -> str:
        """The position of the plane, in words; empty in two dimensions."""
        if self.normal is None or self.index is None:
            return ""
        return f"{self.normal} = {self.store.centres[self.normal][self.index]:.4g}"

    @property
    def bounds(self) -> tuple[tuple[float, float], tuple[float, float]]:
        """Edges of the grid along the shown axes: (low, high) of rows, of columns."""
        edges = []
        for axis in self.shown:
            at, half = self.store.centres[axis], self.store.spacing(axis) / 2
            edges.append((float(at[0] - half), float(at[-1] + half)))
        return edges[0], edges[1]

    @property
    def extent(self) -> tuple[float, float, float, float]:
        """Edges of the pixels: left, right, bottom, top. The last pixels may reach past the grid."""
        (bottom, _), (left, _) = self.bounds
        tall, wide = (
            ceil(self.store.centres[axis].size / self.stride) * self.stride * self.store.spacing(axis)
            for axis in self.shown
        )
        return left, left + wide, bottom, bottom + tall

    def values(self, when: int) -> np.ndarray:
        """The field at a stored time, float64, rows upwards along the first shown axis. Raises JobFailed."""
        return self._pixels(lambda rows, columns: self._tile(when, rows, columns))

    @cached_property
    def solid(self) -> np.ndarray | None:
        """Share of each pixel that is solid, or None if there are no obstacles."""
        if not self.store.solid:
            return None
        share = self._pixels(lambda rows, columns: self._read("solid", None, self._whole(rows, columns)))
        return share if share.any() else None

    def written(self, latest_first: bool = False) -> Iterator[int]:
        """Indices of the snapshots that can be drawn."""
        return self.store.written(self.sources, latest_first)

    def _pixels(self, compute: Callable[[Span, Span], np.ndarray]) -> np.ndarray:
        """Compute the plane by tiles and take the mean over each pixel."""
        stride = self.stride
        tile = ceil(TILE / stride) * stride
        tall, wide = (self.store.centres[axis].size for axis in self.shown)
        result = np.empty((ceil(tall / stride), ceil(wide / stride)))
        for top in range(0, tall, tile):
            for left in range(0, wide, tile):
                part = compute((top, min(top + tile, tall)), (left, min(left + tile, wide)))
                for axis in (0, 1):
                    starts = np.arange(0, part.shape[axis], stride)
                    counts = np.diff(np.append(starts, part.shape[axis]))
                    part = np.add.reduceat(part, starts, axis) / np.expand_dims(counts, 1 - axis)
                a, b = top // stride, left // stride
                result[a : a + part.shape[0], b : b + part.shape[1]] = part
        return result

    def _whole(self, rows: Span, columns: Span) -> dict[str, Span]:
        """The box of a tile, by axis."""
        box = dict(zip(self.shown, (rows, columns), strict=True))
        if self.normal is not None and self.index is not None:
            box[self.normal] = (self.index, self.index + 1)
        return box

    def _read(self, name: str, when: int | None, box: dict[str, Span], keep: bool = False) -> np.ndarray:
        """A box of an array as float64, without the normal axis unless `keep`."""
        spans = [box[axis] for axis in self.store.axes]
        if when is not None:
            spans = [(when, when + 1), *spans]
        try:
            data = open_regions(field_path(self.store.path, name)).read([a for a, _ in spans], [b for _, b in spans])
        except Exception as error:
            raise JobFailed(f"{self.store.path / name} cannot be read: {first_line(error)}") from error
        data = (data if when is None else data[0]).astype(np.float64)
        return data if keep or self.normal is None else data.take(0, self.store.axes.index(self.normal))

    def _tile(self, when: int, rows: Span, columns: Span) -> np.ndarray:
        box = self._whole(rows, columns)
        if len(self.sources) == 1:
            return self._read(self.sources[0], when, box)
        if self.field == "speed":
            return np.sqrt(sum(self._read(name, when, box) ** 2 for name in self.sources))
        # Derivatives: with the cells on either side, but inside the grid; at its edges, the three that a one-sided
        # difference takes.
        axes = self.store.axes
        along = axes if self.field == "q" else self.shown
        padded = dict(box)
        for axis in along:
            (a, b), n = box[axis], self.store.centres[axis].size
            padded[axis] = max(0, min(a - 1, n - 3)), min(n, max(b + 1, 3))
        inside = tuple(slice(box[axis][0] - padded[axis][0], box[axis][1] - padded[axis][0]) for axis in axes)
        velocity = {name: self._read(name, when, padded, keep=True) for name in self.sources}

        def slope(component: str, axis: str) -> np.ndarray:
            data = velocity[VELOCITY[component]]
            return np.gradient(data, self.store.spacing(axis), axis=axes.index(axis), edge_order=2)[inside]

        if self.field == "vorticity":
            # Along z: dv/dx - du/dy; x, y, z in turn.
            first = {"x": "y", "y": "z", "z": "x"}[self.normal or "z"]
            second = {"x": "z", "y": "x", "z": "y"}[self.normal or "z"]
            result = slope(second, first) - slope(first, second)
        else:
            # Q = (|W|^2 - |S|^2) / 2 with the parts of the velocity gradient (Hunt, Wray & Moin 1988) is this sum.
            result = -0.5 * sum(slope(i, j) * slope(j, i) for i in axes for j in axes)
        return result if self.normal is None else result.take(0, axes.index(self.normal))


def drawable(store: FlowStore) -> list[str]:
    """Names of the fields that can be drawn: those derived from the velocity if it is stored, then the stored ones."""
    derived = DERIVED if all(VELOCITY[axis] in store.fields for axis in store.axes) else ()
    names = {array: field for field, array in STORED_AS.items()}
    return list(dict.fromkeys([*derived, *(names.get(array, array) for array in store.fields)]))


def default_field(store: FlowStore) -> str:
    """The speed, or the first field of a simulation without a velocity."""
    return next(iter(drawable(store)), "speed")


def sources(store: FlowStore, name: str, normal: str | None) -> tuple[str, ...]:
    """The arrays that a field on a plane across `normal` is drawn from. Raises UsageError if the store lacks them."""
    own = f"vorticity_{normal}" if name == "vorticity" and normal else STORED_AS.get(name, name)
    if own in store.fields:
        return (own,)
    if name not in DERIVED:
        raise UsageError(f"field {name!r}: {store.path} has {', '.join(drawable(store)) or 'no fields'}")
    # The vorticity takes the components in the plane.
    along = [axis for axis in reversed(store.axes) if name != "vorticity" or axis != normal]
    needed = tuple(VELOCITY[axis] for axis in along)
    if lacking := [array for array in needed if array not in store.fields]:
        raise UsageError(
            f"{store.path} has no {', '.join(lacking)}, which {name} is derived from: "
            f"it has {', '.join(store.fields) or 'no fields'}"
        )
    return needed


def flow_view(store: FlowStore, name: str | None, axis: str | None, index: int | None, size: int) -> FlowView:
    """Settle the field and the plane (default: across z, in the middle). Raises UsageError if the store lacks them."""
    name = name or default_field(store)
    if size < 1:
        raise UsageError(f"size {size}: expected at least 1 pixel")
    if len(store.axes) == 2:
        if axis is not None or index is not None:
            raise UsageError(f"{store.path} has two dimensions: --axis and --index are for three dimensions")
        return FlowView(store, name, None, None, sources(store, name, None), size)
    axis = axis or "z"
    if axis not in store.axes:
        raise UsageError(f"{store.path} has no axis {axis!r}: its axes are {', '.join(store.axes)}")
    n = store.centres[axis].size
    if index is not None and not -n <= index < n:
        raise UsageError(f"{axis} = {index} is out of range: {store.path} has {n} along it")
    return FlowView(store, name, axis, n // 2 if index is None else index % n, sources(store, name, axis), size)


def snapshot(view: FlowView, time: float | None) -> int:
    """Index of the snapshot nearest to a time, or of the last that is written. Raises UsageError if there is none."""
    last = next(view.written(latest_first=True), None)
    if last is None:
        raise UsageError(f"{view.store.path} has no complete snapshot yet")
    if time is None:
        return last
    times = view.store.times
    slack = 1e-9 * max(abs(times[0]), abs(times[-1]))
    if not times[0] - slack <= time <= times[-1] + slack:
        raise UsageError(f"time {time:g}: {view.store.path} has snapshots from {times[0]:g} to {times[-1]:g}")
    nearest = int(np.argmin(abs(times - time)))
    if nearest not in view.written():
        raise UsageError(
            f"the snapshot at time {times[nearest]:g} is not written yet; the last one written is at {times[last]:g}"
        )
    return nearest
