"""How a stencil on the CPU goes through a block, and the memory that it works in. `stencil_loops` has the picture."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from math import prod
from typing import TYPE_CHECKING

import numpy as np

from gridstride.workers.operators.base import accumulator
from gridstride.workers.region import Region

if TYPE_CHECKING:
    from gridstride.workers.families.stencil import Stencil

# Results that are made at a time (`stencil_loops` names each), and bytes of a tile's row at most.
ROWS, TILE_BYTES = 6, 256
# Bytes that the ring should have, a quarter of a second-level cache of 1 MB; results that are buffered at a time.
RING_BYTES, BUFFERED = 2**18, 2**18
# From so many output channels on, the results made at a time are channels and not rows.
MANY_OUTPUTS = 4


@dataclass(frozen=True)
class Ring:
    """Sizes for a block.

    extent, taps: along z, y and x; volumes: that each of the result needs
    strip:    rows of the result that are made through all planes; pitch: elements from a row of the ring to the next
    buffered: whether sums go to the result's type by `casting.store`, from so many `planes` of a strip at a time
    """

    extent: tuple[int, int, int]
    taps: tuple[int, int, int]
    outputs: int
    volumes: int
    strip: int
    pitch: int
    buffered: bool
    planes: int
    item: int

    @classmethod
    def of(cls, op: Stencil, want: Region) -> Ring:
        extent, taps = (_last_three(op, values) for values in (want.shape, op.taps))
        item, outputs = accumulator(op.precision).itemsize, op.channels[0]
        volumes = op.weights.shape[1] * prod(op.taps) // prod(taps)
        vector = 64 // item
        # An odd number of vectors: rows 4096 bytes apart would share few places of the first-level cache.
        pitch = (-(-(max(extent[2], TILE_BYTES // item) + taps[2] - 1) // vector) | 1) * vector
        rows = RING_BYTES // (volumes * taps[0] * pitch * item) - (taps[1] - 1)
        strip = min(extent[1], max(rows // ROWS, 2) * ROWS)
        planes = min(extent[0], BUFFERED // max(1, outputs * strip * extent[2]) + taps[0])
        return cls(extent, taps, outputs, volumes, strip, pitch, _is_buffered(op), planes, item)

    @property
    def size(self) -> int:
        """Elements of the ring."""
        return self.volumes * self.taps[0] * (self.strip + self.taps[1] - 1) * self.pitch

    def parts(self, heights: Iterable[int]) -> Iterator[tuple[int, int, int, bool]]:
        """Results made at a time: (first output channel, results, rows that they are of, whether these are what is left
        of one of the heights when all other rows are made)."""
        if self.outputs >= MANY_OUTPUTS:
            for first in range(0, self.outputs, ROWS):
                yield first, min(ROWS, self.outputs - first), 1, False
            return
        for output in range(self.outputs):
            yield output, ROWS, ROWS, False
            for rows in sorted({height % ROWS for height in heights} - {0}):
                yield output, rows, rows, True

    @property
    def nbytes(self) -> int:
        """Of the ring, the program and its making, tables, and results on their way."""
        taps = self.volumes * self.taps[0] * self.taps[2]
        loads = [taps * (self.taps[1] + rows - 1) for _, _, rows, _ in self.parts(range(4))]
        program = sum(loads) * 2 * (ROWS * self.item + 17) + max(loads) * ROWS * (2 * self.item + 8)
        weights = 4 * self.item * self.outputs * taps * self.taps[1]
        strip = self.strip * self.extent[2]
        results = self.item * self.outputs * self.planes * strip + 24 * strip if self.buffered else 0
        return self.item * self.size + program + weights + results + 48 * sum(self.extent + self.taps)


def _is_buffered(op: Stencil) -> bool:
    """Whether the loops cannot write the result: they know neither scipy's casts nor bool and float16, nor rows whose
    elements lie apart."""
    kind = op.out_dtype.kind
    written = kind == "f" or op.out_dtype == accumulator(op.precision) or (kind in "iu" and op.cast == "round")
    return not written or op.out_dtype == np.float16 or op.channel_axis == len(op.taps) - 1


def _last_three(op: Stencil, values: tuple[int, ...]) -> tuple[int, int, int]:
    """Of the axes that are not channels; 1 for those that there are not."""
    z, y, x = (1, 1, *(n for axis, n in enumerate(values) if axis != op.channel_axis))[-3:]
    return z, y, x
