"""What is written of a flow and measured in it, from a block's staggered fields. Runs on NumPy and on CuPy alike.

Sums are kept plane by plane along the axis that blocks are cut along, so that adding them up in the planes' order gives
the same bits however the grid was cut.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import numpy as np

from gridstride.workers.models.domain import Sums
from gridstride.workers.models.edac.block import FlowBlock

NAMES = "uvw"
AXES = "xyz"
# compressibility: |p| / c^2, by which density would differ; max_acceleration: |du/dt|, from the last step
LARGEST = ("max_divergence", "max_speed", "cfl", "compressibility", "max_acceleration")
BATCH = 2_000_000  # cells worked on at a time: bounds the memory of intermediate arrays


def quantities(components: int) -> tuple[str, ...]:
    """Names of what `measure` sums up; all are means over the grid once divided by its number of cells."""
    return ("kinetic_energy", "enstrophy", "dissipation", *(f"momentum_{a}" for a in AXES[:components]))


class _Window:
    """The block's fields over some planes, and moved by whole cells along an axis (0 x, 1 y, 2 z)."""

    def __init__(self, block: FlowBlock, first: int, last: int, dtype: Any = np.float64) -> None:
        self.block, self.dtype = block, dtype
        start, stop = list(block.start), list(block.stop)
        axis = block.flow.slab_axis
        start[axis], stop[axis] = first, last
        self.first, self.last = tuple(start), tuple(stop)
        self.where = block.local(tuple(start), tuple(stop))  # type: ignore[arg-type]
        self.spacing = block.flow.spacing[::-1]

    def velocity(self, component: int, *moves: tuple[int, int]) -> Any:
        return self._moved(self.block.now[component], *moves)

    def before(self, component: int) -> Any:
        """Velocity a step before."""
        return self._moved(self.block.before[component])

    def pressure(self) -> Any:
        """At the time of the velocity: p is half a step ahead. With what holds the force between closed ends."""
        now, before = self._moved(self.block.now[-1]), self._moved(self.block.before[-1])
        return (now + before) * self.dtype(0.5) + held_pressure(self.block, self.first, self.last, self.dtype)

    def stored(self, age: str, field: int) -> Any:
        """A field of the state, now or before, where it is."""
        return self._moved(getattr(self.block, age)[field])

    def _moved(self, field: Any, *moves: tuple[int, int]) -> Any:
        where = list(self.where)
        for axis, by in moves:
            where[2 - axis] = slice(where[2 - axis].start + by, where[2 - axis].stop + by)
        return field[tuple(where)].astype(self.dtype)

    def centred(self, component: int, *moves: tuple[int, int]) -> Any:
        """Velocity at cell centres."""
        one = self.velocity(component, *moves)
        return (one + self.velocity(component, *moves, (component, 1))) * self.dtype(0.5)

    def slope(self, component: int, axis: int) -> Any:
        """d velocity / d axis at cell centres."""
        h = self.spacing[axis]
        if axis == component:
            return (self.velocity(component, (axis, 1)) - self.velocity(component)) * self.dtype(1 / h)
        return (self.centred(component, (axis, 1)) - self.centred(component, (axis, -1))) * self.dtype(0.5 / h)

    def edge_slope(self, component: int, axis: int) -> Any:
        """d velocity / d axis halfway between a face and the one before it along another axis: at the cell's edge."""
        return (self.velocity(component) - self.velocity(component, (axis, -1))) * self.dtype(1 / self.spacing[axis])


def held_pressure(block: FlowBlock, low: Sequence[int], high: Sequence[int], dtype: Any) -> Any:
    """f (x - middle) at the centres of the cells [low, high), f the force that `Flow.head` is; broadcasts to them."""
    flow, total = block.flow, np.zeros((1, 1, 1))
    for axis, slope in enumerate(flow.head[::-1]):
        place = (np.arange(low[axis], high[axis]) + 0.5 - flow.cells[axis] / 2) * flow.spacing[axis]
        if slope:
            total = total + slope * place.reshape([-1 if a == axis else 1 for a in range(3)])
    return block.backend.xp.asarray(total.astype(dtype))


def _batches(block: FlowBlock) -> Iterator[tuple[int, int]]:
    axis = block.flow.slab_axis
    extent = [b - a for a, b in zip(block.start, block.stop, strict=True)]
    planes = max(1, BATCH * extent[axis] // max(1, int(np.prod(extent))))
    for first in range(block.start[axis], block.stop[axis], planes):
        yield first, min(block.stop[axis], first + planes)


def measure(block: FlowBlock) -> Sums:
    """Energy, enstrophy, dissipation and momentum, summed plane by plane, and the largest values (`LARGEST`).

    |grad u|^2 is what the scheme's own viscous term takes out, where the grid is periodic.
    """
    flow, n = block.flow, block.flow.components
    backend_measure = getattr(block.backend, "measure", None)
    sums, largest = backend_measure(block) if backend_measure else measure_arrays(block)
    values = np.column_stack([0.5 * sums[:, 0], 0.5 * sums[:, 1], flow.viscosity * sums[:, 2], sums[:, 3 : 3 + n]])
    speeds, (pressure, change) = largest[2 : 2 + n], largest[2 + n :]
    courant = max(float(u) * flow.dt / h for u, h in zip(speeds, flow.spacing[::-1], strict=False))
    rate = float(change) / flow.dt if block.step else np.nan  # a run begins with two levels that are the same
    found = (float(largest[0]), float(largest[1]), courant, float(pressure) / flow.sound_speed**2, rate)
    return Sums(block.start[flow.slab_axis], values, dict(zip(LARGEST, found, strict=True)))


def measure_arrays(block: FlowBlock) -> tuple[np.ndarray, np.ndarray]:
    """What `measure_loops.measure` gives, by operations on whole arrays: for devices without such a loop."""
    flow, xp = block.flow, block.backend.xp
    components = range(flow.components)
    turns = [(1, 0)] if flow.planar else [(1, 0), (2, 1), (0, 2)]  # w_z = dv/dx - du/dy, and so on
    rows: list[np.ndarray] = []
    largest = np.zeros(4 + flow.components)
    for first, last in _batches(block):
        window = _Window(block, first, last)
        velocity = [window.velocity(c) for c in components]
        speed = sum(u * u for u in velocity)
        slopes = {(c, a): window.edge_slope(c, a) for c in components for a in components}
        curl = sum((slopes[a, b] - slopes[b, a]) ** 2 for a, b in turns)
        fields = [speed, curl, sum(s * s for s in slopes.values()), *velocity]
        sums = [f.sum(axis=2) for f in fields]
        sums = [s[0] if flow.planar else s.sum(axis=1) for s in sums]
        rows.append(block.backend.to_host(xp.stack(sums, axis=1)))
        divergence = sum(window.slope(c, c) for c in components)
        change = sum((u - window.before(c)) ** 2 for c, u in enumerate(velocity))
        peaks = [xp.abs(divergence).max(), xp.sqrt(speed.max()), *(xp.abs(u).max() for u in velocity)]
        peaks += [xp.abs(window.velocity(flow.components)).max(), xp.sqrt(change.max())]
        largest = np.maximum(largest, [float(p) for p in peaks])
    return np.concatenate(rows), largest


def state_arrays(components: int) -> dict[str, str]:
    """Names and long names of the arrays of a whole state, in the order of `Block.load`."""
    places = {name: f"velocity along {axis}, on the cell's low face" for name, axis in zip(NAMES, AXES, strict=True)}
    places = {name: places[name] for name in NAMES[:components]} | {"p": "pressure without what holds forces"}
    ages = {"now": "half a step later", "before": "half a step earlier"}
    return {
        f"{age}_{name}": f"{place}{', ' + ages[age] if name == 'p' else '' if age == 'now' else ', a step earlier'}"
        for age in ages
        for name, place in places.items()
    }


def arrays_of(fields: Iterable[str], components: int) -> tuple[str, ...]:
    """Names of the arrays that a case's output fields are written to."""
    found: list[str] = []
    for field in fields:
        if field == "velocity":
            found += NAMES[:components]
        elif field == "pressure":
            found.append("p")
        elif field == "vorticity":
            found += ["vorticity"] if components == 2 else [f"vorticity_{a}" for a in AXES]
        elif field == "q-criterion":
            found.append("q")
        elif field == "state":
            found += state_arrays(components)
        else:
            raise ValueError(f"unknown field {field!r}")
    return tuple(found)


def centred(block: FlowBlock, name: str) -> np.ndarray:
    """One array of the output over the block's own cells, at their centres, (z, y, x) or (y, x), on the host."""
    flow = block.flow
    parts = []
    for first, last in _batches(block):
        window = _Window(block, first, last, flow.dtype.type)
        parts.append(block.backend.to_host(_field(window, name, flow.components)))
    whole = np.concatenate(parts, axis=flow.slab_axis)
    return whole[0] if flow.planar else whole


def _field(window: _Window, name: str, components: int) -> Any:
    if name == "p":
        return window.pressure()
    age, _, field = name.partition("_")
    if age in ("now", "before"):
        return window.stored(age, components if field == "p" else NAMES.index(field))
    if name in NAMES:
        return window.centred(NAMES.index(name))
    if name == "q":  # Q = -1/2 du_i/dx_j du_j/dx_i, where the flow turns rather than strains
        total = 0
        for i in range(components):
            for j in range(components):
                total = total + window.slope(i, j) * window.slope(j, i)
        return total * window.dtype(-0.5)
    axis = AXES.index(name[-1]) if name != "vorticity" else 2
    a, b = (axis + 1) % 3, (axis + 2) % 3
    return window.slope(b, a) - window.slope(a, b)
