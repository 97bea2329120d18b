"""Record: what one task says of the blocks it finished. Summary: what all of them come to."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from math import prod

from gridstride.workers.stages import Span

Index = tuple[int, ...]
Box = tuple[Index, Index]  # of blocks: the first and the last, which is counted


@dataclass
class Record:
    """What a task says of a block, or a box of blocks, that it finished.

    skipped: it was done before: a rerun after its worker was lost. What it wrote is final
    voxels: elements of the result; bytes_in, bytes_out: taken in and written
    worker: address; stages: seconds by stage that the worker measured since it last reported; spans: when that was
    shortages: how often blocks were halved for lack of memory
    """

    box: Box
    skipped: bool = False
    voxels: int = 0
    bytes_in: int = 0
    bytes_out: int = 0
    worker: str = ""
    stages: dict[str, float] = field(default_factory=dict)
    spans: Sequence[Span] = ()
    shortages: int = 0

    @property
    def blocks(self) -> int:
        return blocks_in(self.box)


@dataclass
class Summary:
    """How a sweep went: counts of blocks, seconds by stage summed over threads, and the blocks that failed, by name,
    with the reasons."""

    computed: int = 0
    skipped: int = 0
    retried: int = 0
    voxels: int = 0
    bytes_in: int = 0
    bytes_out: int = 0
    seconds: float = 0.0
    stages: dict[str, float] = field(default_factory=dict)
    failed: dict[str, list[str]] = field(default_factory=dict)

    def take(self, record: Record) -> None:
        """Count what a task did."""
        if record.skipped:
            self.skipped += record.blocks
        else:
            self.computed += record.blocks
            self.voxels += record.voxels
            self.bytes_in += record.bytes_in
            self.bytes_out += record.bytes_out
        for name, seconds in record.stages.items():
            self.stages[name] = self.stages.get(name, 0.0) + seconds


def blocks_in(box: Box) -> int:
    first, last = box
    return prod(b - a + 1 for a, b in zip(first, last, strict=True))
