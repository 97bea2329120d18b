"""What an operator is: its halo, its output, its scratch memory, and the block that it computes.

An operator sees a block of a larger grid and its halo:

            lo      start                 stop     hi
             |  before |     the block      | after |
    ---------+---------+--------------------+-------+--------> one axis, global index
             |<-------------- data --------------->|

`data` holds what exists of the halo. Where the halo reaches past the edge of the grid, the operator finds the value by
mapping the *global* index (`boundary_table`), so that no result depends on how the grid was cut into blocks. On a
periodic axis (`wrap`) that is cut, `data` holds the values from the other side, at indices below 0 or past the end.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, Protocol

import numpy as np

Cast = Literal["round", "scipy"]
Halo = tuple[tuple[int, int], ...]

# scipy.ndimage gives the filters' modes a second name each.
MODES = {
    "reflect": "reflect",
    "grid-mirror": "reflect",
    "mirror": "mirror",
    "nearest": "nearest",
    "wrap": "wrap",
    "grid-wrap": "wrap",
    "constant": "constant",
    "grid-constant": "constant",
}


@dataclass(frozen=True)
class Block:
    """One block and its halo.

    data:  array (NumPy or CuPy) of the global indices lo .. lo + data.shape
    lo:    global index of data's first element, an axis each
    start, stop: the global range the operator computes, an axis each
    shape: the whole grid's shape
    """

    data: Any
    lo: tuple[int, ...]
    start: tuple[int, ...]
    stop: tuple[int, ...]
    shape: tuple[int, ...]

    @property
    def extent(self) -> tuple[int, ...]:
        return tuple(b - a for a, b in zip(self.start, self.stop, strict=True))


class Operator(Protocol):
    """Work with a halo. Implementations are frozen dataclasses that `save` and `load` carry to the workers."""

    kind: str

    @property
    def halo(self) -> Halo:
        """Elements needed before and after a block, an axis each."""
        ...

    @property
    def modes(self) -> tuple[str, ...]:
        """Boundary mode of each axis."""
        ...

    @property
    def exact(self) -> bool:
        """Whether results are the same bits however the grid is cut."""
        ...

    @property
    def out_dtype(self) -> np.dtype: ...

    def out_shape(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        """Shape of the result for an input of this shape (they differ along a channel axis only)."""
        ...

    def scratch_bytes(self, extent: tuple[int, ...], device: str) -> int:
        """Working memory in bytes on the device ("cpu" or "gpu") for a block of this extent, beyond the block with
        its halo and the result."""
        ...

    def compute(self, block: Block, device: Any) -> Any:
        """The result for `block.start` to `block.stop`, on the device (`workers.cpu` or `workers.gpu`)."""
        ...


def boundary_table(
    size: int, start: int, stop: int, before: int, after: int, lo: int, available: int, mode: str
) -> np.ndarray:
    """Where to find each element of one padded axis.

    Entry p is the index into `data` (whose first element has global index `lo`, with `available` elements) of the
    global index `start - before + p`, for p in 0 .. stop - start + before + after; -1 means "the constant value".
    Outside the grid of `size` elements the index is mapped as scipy.ndimage maps it:

        reflect   d c b a | a b c d | d c b a      mirror   d c b | a b c d | c b a
        nearest   a a a a | a b c d | d d d d      wrap   a b c d | a b c d | a b c d
    """
    index = np.arange(start - before, stop + after, dtype=np.int64)
    local = index - lo
    present = (local >= 0) & (local < available)
    if present.all():
        return local
    outside = index[~present]
    if mode == "constant":
        mapped = np.full_like(outside, -1)
        inside = (outside >= 0) & (outside < size)
        if inside.any():
            raise IndexError(f"block data lacks index {outside[inside][0]} of an axis of {size}")
        local[~present] = mapped
        return local
    if mode == "nearest":
        mapped = outside.clip(0, size - 1)
    elif mode == "wrap":
        mapped = outside % size
    elif mode == "reflect":
        mapped = outside % (2 * size)
        mapped = np.minimum(mapped, 2 * size - 1 - mapped)
    elif mode == "mirror":
        period = max(2 * size - 2, 1)
        mapped = outside % period
        mapped = np.minimum(mapped, period - mapped) if size > 1 else np.zeros_like(mapped)
    else:
        raise ValueError(f"unknown mode {mode!r}")
    mapped = mapped - lo
    if ((mapped < 0) | (mapped >= available)).any():
        raise IndexError(f"block data of indices {lo}..{lo + available} is too small for its halo")
    local[~present] = mapped
    return local


def block_tables(block: Block, halo: Halo, modes: tuple[str, ...]) -> list[np.ndarray]:
    """`boundary_table` of every axis of a block."""
    return [
        boundary_table(size, start, stop, before, after, lo, available, mode)
        for size, start, stop, (before, after), lo, available, mode in zip(
            block.shape, block.start, block.stop, halo, block.lo, block.data.shape, modes, strict=True
        )
    ]


def accumulator(precision: str) -> np.dtype:
    """The floating-point type sums are made in."""
    return np.dtype({"single": np.float32, "double": np.float64}[precision])
