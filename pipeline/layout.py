"""Layout: how a result is stored: chunks, shards and codec."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from gridstride.pipeline.errors import UsageError
from gridstride.pipeline.storage.create import compressor
from gridstride.pipeline.storage.describe import ArrayInfo
from gridstride.pipeline.validation import judged
from gridstride.workers.operators.base import Grid
from gridstride.workers.operators.kinds import shape, word


@dataclass(frozen=True)
class Layout:
    """Shapes have an entry for each axis of the result."""

    chunks: tuple[int, ...]
    shards: tuple[int, ...] | None
    codec: str

    @property
    def write_unit(self) -> tuple[int, ...]:
        return self.shards or self.chunks


def carried(unit: Sequence[int], axes: Sequence[int | None], shape: Sequence[int]) -> tuple[int, ...]:
    """The chunk (or shard) of a result that has these of the input's axes, and None for new ones: they are cut
    element by element."""
    return tuple(1 if axis is None else min(unit[axis], max(n, 1)) for axis, n in zip(axes, shape, strict=True))


def make_layout(
    info: ArrayInfo,
    out: Grid,
    axes: Sequence[int | None],
    chunks: Sequence[int] | None = None,
    shards: Sequence[int] | None = None,
    codec: str | None = None,
) -> Layout:
    """The input's chunks and shards unless given; a chunk is no longer than its axis. Raises UsageError.

    axes: of the input, that those of the result are (`Operator.axes_from`)
    """
    codec = "lz4" if codec is None else judged("codec", codec, word)
    compressor(codec, out.dtype)

    def check(name: str, given: Sequence[int]) -> tuple[int, ...]:
        found = judged(name, given, shape)
        if len(found) != out.ndim:
            raise UsageError(f"{name} is {','.join(map(str, found))}: expected {out.ndim} numbers, one for each axis")
        return found

    inherited = tuple(1 if axis is None else info.chunks[axis] for axis in axes)
    wide = check("chunks", chunks) if chunks is not None else inherited
    new_chunks = tuple(min(c, max(n, 1)) for c, n in zip(wide, out.shape, strict=True))
    if shards is not None:
        whole = check("shards", shards)
        if any(s % c for s, c in zip(whole, wide, strict=True)):
            raise UsageError(f"--shards {','.join(map(str, whole))} are not whole chunks of {','.join(map(str, wide))}")
    elif chunks is None and info.shards is not None:
        whole = tuple(1 if axis is None else info.shards[axis] for axis in axes)
    else:
        return Layout(new_chunks, None, codec)
    # A chunk that was cut down to its axis is alone in its shard there.
    new_shards = (c if c < w else max(1, s // c) * c for s, c, w in zip(whole, new_chunks, wide, strict=True))
    return Layout(new_chunks, tuple(new_shards), codec)
