"""A block of a simulation: its part of the grid with halo and ghost cells, on one device, advanced step by step.

              low       start                  stop      high
               |  halo   |      the block       |  halo    |         a halo: on sides where more of the grid follows,
    -----------+---------+----------------------+----------+-----     as `Domain.halo` says
    ghost      |    one cell where the grid ends: filled after every step

A step uses up one cell of the halo, so `reach` steps may follow one exchange. What `Domain.extra` says is left around
the block is right too after the last. On a periodic axis that is not cut the ghost cells hold the other side.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from gridstride.workers.models.domain import CUT, Advance, Domain, Index


class Block:
    """The cells [start, stop) of a domain, with memory for `reach` steps between exchanges; 0 until loaded.

    backend: the model's module for the CPU or the GPU: name, xp (NumPy or CuPy), to_host, fill, advance
    threads: that advance it together on the CPU
    state: (levels + 1, fields, z, y, x), a ring of time levels; slot: which of them is now
    step: of the whole run, that the block is at; broken: whether an error left it between two steps
    """

    def __init__(
        self, domain: Domain, start: Index, stop: Index, reach: int, backend: Any, step: int = 0, threads: int = 1
    ) -> None:
        self.domain, self.start, self.stop, self.reach, self.step = domain, start, stop, reach, step
        self.backend, self.slot, self.broken = backend, 0, False
        self.threads = threads
        before, after = domain.halo(reach)
        low, high, kinds = [], [], []
        for axis, n in enumerate(domain.cells):
            if domain.planar and axis == 0:
                low, high, kinds = [0], [1], [(CUT, CUT)]
                continue
            whole = start[axis] == 0 and stop[axis] == n
            first, last = start[axis] - before, stop[axis] + after
            ends = domain.kinds[axis]
            if whole:
                first, last = -1, n + 1
            elif domain.periodic(axis):
                ends = (CUT, CUT)
            else:
                ends = (CUT if first >= 0 else ends[0], CUT if last <= n else ends[1])
                first, last = max(first, -1), min(last, n + 1)
            low.append(first)
            high.append(last)
            kinds.append(ends)
        self.low: Index = tuple(low)  # type: ignore[assignment]
        self.high: Index = tuple(high)  # type: ignore[assignment]
        self.kinds = tuple(kinds)
        self.shape = tuple(b - a for a, b in zip(low, high, strict=True))
        self.state = backend.xp.zeros((domain.levels + 1, domain.fields, *self.shape), domain.dtype)
        # The block and the grid's ends, in positions of the block's arrays.
        self.box = tuple((a - lo, b - lo) for a, b, lo in zip(start, stop, low, strict=True))
        self.edges_of_grid = tuple((-lo, n - lo) for lo, n in zip(low, domain.cells, strict=True))

    @staticmethod
    def bytes(domain: Domain, extent: Index, reach: int) -> int:
        """Memory of a block with halos on both sides of its slab axis."""
        sides = [n + 2 for n in extent]
        sides[domain.slab_axis] = extent[domain.slab_axis] + sum(domain.halo(reach))
        if domain.planar:
            sides[0] = 1
        return (domain.levels + 1) * domain.fields * int(np.prod(sides, dtype=np.int64)) * domain.dtype.itemsize

    @property
    def deep(self) -> int:
        """Planes that go from block to block in an exchange."""
        return max(self.domain.halo(self.reach))

    @property
    def cut(self) -> bool:
        """Whether more of the grid follows anywhere."""
        return any(CUT in kinds for kinds in self.kinds[1 if self.domain.planar else 0 :])

    @property
    def now(self) -> Any:
        return self.state[self.slot]

    @property
    def past(self) -> list[tuple[int, Any]]:
        """The time levels that the next step is made from, the latest first, with their slots."""
        slots = [(self.slot - age) % len(self.state) for age in range(self.domain.levels)]
        return [(slot, self.state[slot]) for slot in slots]

    def local(self, start: Index, stop: Index) -> tuple[slice, ...]:
        """Where a range of the grid lies in the block's arrays."""
        return tuple(slice(a - lo, b - lo) for a, b, lo in zip(start, stop, self.low, strict=True))

    @property
    def own(self) -> tuple[slice, ...]:
        return self.local(self.start, self.stop)

    def computed(self, left: int) -> tuple[tuple[int, int], ...]:
        """(first, last) of each axis, in positions of the block's arrays, that a step computes after which `left` more
        steps may follow."""
        before, after = self.domain.halo(left)
        ranges = []
        for axis, ((first, last), kinds, edges) in enumerate(
            zip(self.box, self.kinds, self.edges_of_grid, strict=True)
        ):
            if not (self.domain.planar and axis == 0):
                first = max(first - before, edges[0]) if kinds[0] != CUT else first - before
                last = min(last + after, edges[1]) if kinds[1] != CUT else last + after
            ranges.append((first, last))
        return tuple(ranges)

    # --- state in and out ---------------------------------------------------------------------------------------

    def held(self) -> tuple[Index, Index]:
        """The range of the grid's own cells that the block's arrays hold: block and halos, ghost cells left out.

        Beyond a periodic axis's ends its indices go on below 0 and past n.
        """
        first = tuple(a if k[0] == CUT else max(a, 0) for a, k in zip(self.low, self.kinds, strict=True))
        last = tuple(
            b if k[1] == CUT else min(b, n) for b, k, n in zip(self.high, self.kinds, self.domain.cells, strict=True)
        )
        return first, last  # type: ignore[return-value]

    def load(self, data: Any, start: Index) -> None:
        """Take in all levels, (levels x fields, z, y, x), the latest first, of the cells from `start`."""
        n = self.domain.fields
        stop = tuple(a + b for a, b in zip(start, data.shape[1:], strict=True))
        where = (slice(None), *self.local(start, stop))
        for age, (_, level) in enumerate(self.past):
            level[where] = self.backend.xp.asarray(data[age * n : (age + 1) * n])

    def fill(self) -> None:
        """Fill the ghost cells of all levels from the cells inside."""
        for age, (slot, _) in enumerate(self.past):
            self.backend.fill(self, slot, self.step - age)

    def saved(self) -> np.ndarray:
        """All levels of the block's own cells, as `load` takes them, on the host."""
        where = (slice(None), *self.own)
        return np.concatenate([self.backend.to_host(level[where]) for _, level in self.past])

    def edges(self) -> np.ndarray:
        """What neighbours along the slab axis need: all levels of the first and of the last `deep` planes,
        (levels x fields, 2 deep planes, ...), on the host."""
        axis, n, deep = self.domain.slab_axis, self.domain.fields, self.deep
        first, last = self.box[axis]
        sides = list(self.shape)
        sides[axis] = 2 * deep
        edges = np.empty((self.domain.arrays, *sides), self.domain.dtype)
        for age, (_, level) in enumerate(self.past):
            part = edges[age * n : (age + 1) * n]
            for at, place in ((first, 0), (last - deep, deep)):
                ends = self.backend.to_host(_planes(level, axis, at, at + deep))
                _planes(part, axis, place, place + deep)[...] = ends
        return edges

    def join(self, below: np.ndarray | None, above: np.ndarray | None) -> None:
        """Take in the neighbours' planes, as `edges` gives them: the last ones of the block below, the first ones of
        the block above; None where the grid ends."""
        axis, n, deep = self.domain.slab_axis, self.domain.fields, self.deep
        first, last = self.box[axis]
        for age, (_, level) in enumerate(self.past):
            part = slice(age * n, (age + 1) * n)
            if below is not None:
                held = min(deep, first)
                planes = _planes(below[part], axis, deep - held, deep)
                _planes(level, axis, first - held, first)[...] = self.backend.xp.asarray(planes)
            if above is not None:
                held = min(deep, self.shape[axis] - last)
                planes = _planes(above[part], axis, 0, held)
                _planes(level, axis, last, last + held)[...] = self.backend.xp.asarray(planes)

    # --- time ---------------------------------------------------------------------------------------------------

    def advance(self, steps: int, limit: float = np.inf) -> Advance:
        """Make steps, as many as the halo allows, or up to the one in which a watched field goes beyond `limit`."""
        if steps > self.reach and self.cut:
            raise ValueError(f"{steps} steps do not fit a halo for {self.reach}")
        self.broken = True
        done = self.backend.advance(self, steps, limit)
        self.broken = False
        self.slot = (self.slot + done.steps) % len(self.state)
        self.step += done.steps
        return done

    def where_largest(self) -> str:
        """The step, and the place and size of the largest watched value of the block, for people."""
        xp, domain = self.backend.xp, self.domain
        sizes = [xp.abs(self.now[(field, *self.own)]) for field in range(domain.watched)]
        largest = xp.stack([xp.where(xp.isfinite(s), s, xp.inf) for s in sizes])
        field, *place = np.unravel_index(int(largest.argmax()), largest.shape)
        index = [int(i) + a for i, a in zip(place, self.start, strict=True)]
        axes = "xy" if domain.planar else "xyz"
        cell = ", ".join(f"{a} {i}" for a, i in zip(axes, reversed(index), strict=False))
        return f"step {self.step}: |{domain.names[field]}| is {float(largest.max()):.3g} at cell {cell}"


def _planes(array: Any, axis: int, first: int, last: int) -> Any:
    """Planes of a (fields, z, y, x) array."""
    return array[(slice(None),) * (1 + axis) + (slice(first, last),)]
