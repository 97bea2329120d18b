"""A block of a flow: its part of the grid with halo and ghost cells, on one device, advanced step by step.

              low       start                  stop      high
               |  halo   |      the block       |  halo    |         a halo: on sides where more of the grid follows,
    -----------+---------+----------------------+----------+-----     `reach` + 1 cells before and one more after
    ghost      |    one cell where the grid ends: filled after every step (`loops.fill`)

A step uses up one cell of the halo, so `reach` steps may follow one exchange, and leave one cell around the block that
is right too. On a periodic axis that is not cut the ghost cells hold the other side.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from gridstride.workers.models.edac.flow import Flow, Index
from gridstride.workers.models.edac.kinds import CUT, SPARE

LEVELS = 3  # the next, now and before


@dataclass(frozen=True)
class Advance:
    """What came of some steps.

    steps: how many were made; fewer than asked for if a velocity came to be beyond the limit
    peaks: (steps,) the largest magnitude of a velocity's component after each
    taken: (planes, components) what solids took of the velocity in the last step, summed over each plane of the block
        along the slab axis
    """

    steps: int
    peaks: np.ndarray
    taken: np.ndarray


class FlowBlock:
    """The cells [start, stop) of a flow, with memory for `reach` steps between exchanges; at rest until loaded.

    backend: `workers.fluids.cpu` or `workers.fluids.gpu`
    keep: (components, z, y, x) over the block's whole array: what part of each velocity's cell is no solid; or None
    threads: that advance it together on the CPU
    step: of the whole run, that the block is at; broken: whether an error left it between two steps
    """

    def __init__(
        self, flow: Flow, start: Index, stop: Index, reach: int, backend: Any, step: int = 0, threads: int = 1
    ) -> None:
        self.flow, self.start, self.stop, self.reach, self.step = flow, start, stop, reach, step
        self.backend, self.slot, self.broken = backend, 0, False
        self.threads = threads
        low, high, kinds = [], [], []
        for axis, n in enumerate(flow.cells):
            if flow.planar and axis == 0:
                low, high, kinds = [0], [1], [(CUT, CUT)]
                continue
            whole = start[axis] == 0 and stop[axis] == n
            before, after = start[axis] - reach - SPARE, stop[axis] + reach + SPARE + 1
            ends = flow.kinds[axis]
            if flow.periodic(axis) and not whole:
                ends = (CUT, CUT)
            else:
                ends = (CUT if before >= 0 else ends[0], CUT if after <= n else ends[1])
                before, after = max(before, -1), min(after, n + 1)
            if whole:
                before, after, ends = -1, n + 1, flow.kinds[axis]
            low.append(before)
            high.append(after)
            kinds.append(ends)
        self.low: Index = tuple(low)  # type: ignore[assignment]
        self.high: Index = tuple(high)  # type: ignore[assignment]
        self.kinds = tuple(kinds)
        self.shape = tuple(b - a for a, b in zip(low, high, strict=True))
        self.state = backend.xp.zeros((LEVELS, flow.fields, *self.shape), flow.dtype)
        self.keep: Any = None
        # The block and the grid's ends, in positions of the block's arrays, and what is given there.
        self.box = tuple((a - lo, b - lo) for a, b, lo in zip(start, stop, low, strict=True))
        self.edges_of_grid = tuple((-lo, n - lo) for lo, n in zip(low, flow.cells, strict=True))
        self.faces = tuple(
            tuple(backend.xp.asarray(self._here(face, axis)) for face in pair) for axis, pair in enumerate(flow.faces)
        )
        rates = any(r.size for r in flow.sponge)
        self.sponge = tuple(
            backend.xp.asarray(
                flow.damping(axis)[self._indices(axis)].astype(flow.dtype) if rates else np.zeros(0, flow.dtype)
            )
            for axis in range(3)
        )

    def _indices(self, axis: int) -> np.ndarray:
        """The grid's index at each position of the block's arrays; past the grid its other side's, or its last."""
        index, n = np.arange(self.low[axis], self.high[axis]), self.flow.cells[axis]
        return index % n if self.flow.periodic(axis) else index.clip(0, n - 1)

    def _here(self, face: np.ndarray, axis: int) -> np.ndarray:
        """A face's given velocities in the block's positions."""
        for position, other in enumerate((a for a in range(3) if a != axis), start=1):
            if face.shape[position] > 1:
                face = face.take(self._indices(other), position)
        return np.ascontiguousarray(face, self.flow.dtype)

    @staticmethod
    def bytes(flow: Flow, extent: Index, reach: int) -> int:
        """Memory of a block with halos on both sides of its slab axis."""
        sides = [n + 2 for n in extent]
        sides[flow.slab_axis] = extent[flow.slab_axis] + 2 * (reach + SPARE) + 1
        if flow.planar:
            sides[0] = 1
        return LEVELS * flow.fields * int(np.prod(sides, dtype=np.int64)) * flow.dtype.itemsize

    @property
    def deep(self) -> int:
        """Planes that go from block to block in an exchange."""
        return self.reach + SPARE + 1

    @property
    def now(self) -> Any:
        return self.state[self.slot]

    @property
    def before(self) -> Any:
        return self.state[(self.slot + 2) % LEVELS]

    def local(self, start: Index, stop: Index) -> tuple[slice, ...]:
        """Where a range of the grid lies in the block's arrays."""
        return tuple(slice(a - lo, b - lo) for a, b, lo in zip(start, stop, self.low, strict=True))

    @property
    def own(self) -> tuple[slice, ...]:
        return self.local(self.start, self.stop)

    # --- state in and out ---------------------------------------------------------------------------------------

    def held(self) -> tuple[Index, Index]:
        """The range of the grid's own cells that the block's arrays hold: block and halos, ghost cells left out.

        Beyond a periodic axis's ends its indices go on below 0 and past n.
        """
        first = tuple(a if k[0] == CUT else max(a, 0) for a, k in zip(self.low, self.kinds, strict=True))
        last = tuple(
            b if k[1] == CUT else min(b, n) for b, k, n in zip(self.high, self.kinds, self.flow.cells, strict=True)
        )
        return first, last  # type: ignore[return-value]

    def load(self, data: Any, start: Index) -> None:
        """Take in both levels, (2 fields, z, y, x): the fields now, then those before, of the cells from `start`."""
        n = self.flow.fields
        stop = tuple(a + b for a, b in zip(start, data.shape[1:], strict=True))
        where = (slice(None), *self.local(start, stop))
        self.now[where] = self.backend.xp.asarray(data[:n])
        self.before[where] = self.backend.xp.asarray(data[n:])

    def fill(self) -> None:
        """Fill the ghost cells of both levels from the cells inside."""
        for level, step in ((self.slot, self.step - 1), ((self.slot + 2) % LEVELS, self.step - 2)):
            self.backend.fill(self, level, self.flow.ramps(step, 1)[0])

    def saved(self) -> np.ndarray:
        """Both levels of the block's own cells, as `load` takes them, on the host."""
        where = (slice(None), *self.own)
        parts = [self.backend.to_host(level[where]) for level in (self.now, self.before)]
        return np.concatenate(parts)

    def edges(self) -> np.ndarray:
        """What neighbours along the slab axis need: both levels of the first and of the last `deep` planes, (2 fields,
        2 deep planes, ...), on the host."""
        axis, n, deep = self.flow.slab_axis, self.flow.fields, self.deep
        first, last = self.start[axis] - self.low[axis], self.stop[axis] - self.low[axis]
        sides = list(self.shape)
        sides[axis] = 2 * deep
        edges = np.empty((2 * n, *sides), self.flow.dtype)
        for level, part in ((self.now, slice(0, n)), (self.before, slice(n, None))):
            for at, place in ((first, 0), (last - deep, deep)):
                ends = self.backend.to_host(_planes(level, axis, at, at + deep))
                _planes(edges[part], axis, place, place + deep)[...] = ends
        return edges

    def join(self, below: np.ndarray | None, above: np.ndarray | None) -> None:
        """Take in the neighbours' planes, as `edges` gives them: the last ones of the block below, the first ones of
        the block above; None where the grid ends."""
        axis, n, deep = self.flow.slab_axis, self.flow.fields, self.deep
        first, last = self.start[axis] - self.low[axis], self.stop[axis] - self.low[axis]
        for level, part in ((self.now, slice(0, n)), (self.before, slice(n, None))):
            if below is not None:
                planes = _planes(below[part], axis, deep - first, deep) if first < deep else below[part]
                _planes(level, axis, 0, first)[...] = self.backend.xp.asarray(planes)
            if above is not None:
                held = min(deep, self.shape[axis] - last)
                planes = _planes(above[part], axis, 0, held)
                _planes(level, axis, last, last + held)[...] = self.backend.xp.asarray(planes)

    # --- time ---------------------------------------------------------------------------------------------------

    def advance(self, steps: int, limit: float = np.inf) -> Advance:
        """Make steps, as many as the halo allows, or up to the one in which a velocity is beyond `limit`."""
        if steps > self.reach and any(CUT in k for k in self.kinds[1 if self.flow.planar else 0 :]):
            raise ValueError(f"{steps} steps do not fit a halo for {self.reach}")
        self.broken = True
        done = self.backend.advance(self, steps, limit)
        self.broken = False
        self.slot = (self.slot + done.steps) % LEVELS
        self.step += done.steps
        return done

    def where_fastest(self) -> str:
        """The step, and the place and size of the largest velocity of the block, for people."""
        xp = self.backend.xp
        speeds = [xp.abs(self.now[(c, *self.own)]) for c in range(self.flow.components)]
        fastest = xp.stack([xp.where(xp.isfinite(s), s, xp.inf) for s in speeds])
        component, *place = np.unravel_index(int(fastest.argmax()), fastest.shape)
        index = [int(i) + a for i, a in zip(place, self.start, strict=True)]
        cell = ", ".join(f"{a} {i}" for a, i in zip("xyz"[: self.flow.components], reversed(index), strict=False))
        return f"step {self.step}: |{'uvw'[component]}| is {float(fastest.max()):.3g} at cell {cell}"


def _planes(array: Any, axis: int, first: int, last: int) -> Any:
    """Planes of a (fields, z, y, x) array."""
    return array[(slice(None),) * (1 + axis) + (slice(first, last),)]
