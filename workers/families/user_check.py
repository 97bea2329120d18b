"""Checks of a user's kernel on a part of an array: that results depend on what lies within the halo, and on no more.

Each check gives a complaint, or None. Bits are compared, so that NaN equals itself.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from gridstride.workers.code import CodeError
from gridstride.workers.families.local import padded
from gridstride.workers.families.user_cuda import CudaKernel
from gridstride.workers.families.user_kernel import PythonKernel, UserKernel
from gridstride.workers.families.user_sanitised import sanitised
from gridstride.workers.operators.base import Window
from gridstride.workers.region import Region

GUARD = 4096  # bytes on either side of a block


@dataclass(frozen=True)
class Part:
    """A part of the array, with all that its result is made from."""

    kernel: UserKernel
    window: Window

    @property
    def text(self) -> str:
        return " x ".join(f"{a}:{b}" for a, b in self.window.want.spans)

    def result(self, want: Region | None = None) -> np.ndarray:
        """Of the part, or of a smaller want, as one block."""
        want = want or self.window.want
        window = self.window.part(self.kernel.needed(want, self.window.grid), want)
        out = np.empty(want.shape, self.kernel.dtype)
        with np.errstate(all="ignore"), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            self.kernel.cpu(window, out)
        return out

    @cached_property
    def whole(self) -> np.ndarray:
        return self.result()


def differing(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Indices of the elements whose bits differ, (count, axes)."""
    bits = [np.ascontiguousarray(x).view(f"u{x.dtype.itemsize}") for x in (a, b)]
    return np.argwhere(bits[0] != bits[1])


def place(part: Part, index: np.ndarray, a: np.ndarray, b: np.ndarray) -> str:
    """An element where two results differ, and both its values."""
    at = ", ".join(str(start + int(i)) for start, i in zip(part.window.want.start, index, strict=True))
    return f"at ({at}), which is {a[tuple(index)]} and {b[tuple(index)]}"


# --- the checks, in the order in which they are made ---
def runs(part: Part) -> str | None:
    """Run it: on the CPU a CUDA kernel first under sanitizers."""
    try:
        if isinstance(part.kernel, CudaKernel):
            sanitised(part.kernel, part.window)
        _ = part.whole
    except CodeError as error:
        return str(error)
    return None


def deterministic(part: Part) -> str | None:
    again = part.result()
    found = differing(part.whole, again)
    if not len(found):
        return None
    return (
        f"{part.kernel.code.name} gives other numbers when it is called again, "
        f"{place(part, found[0], part.whole, again)}: if it draws random numbers, it must draw those of an element by "
        "its global place (origin)"
    )


def leaves_its_block(part: Part) -> str | None:
    """A Python function's block is closed to writing, to find the line."""
    kernel = part.kernel
    if not isinstance(kernel, PythonKernel):
        return None
    block, told = _first_slice(kernel, part.window)
    before = block.copy()
    block.flags.writeable = False
    try:
        kernel.call(block, told, np, part.text)
    except CodeError as error:
        if "read-only" in str(error) or "readonly" in str(error):
            return f"{error}: it writes into its block; it must copy it first (block = block.copy())"
        return None  # it only takes no block that is closed
    block.flags.writeable = True
    return None if before.tobytes() == block.tobytes() else f"{kernel.code.name} writes into its block"


def stays_inside(part: Part) -> str | None:
    """Memory around a Python function's block must neither be read nor written: Numba can."""
    kernel = part.kernel
    if not isinstance(kernel, PythonKernel):
        return None
    block, told = _first_slice(kernel, part.window)
    results = []
    for filler in (0, 255, 255):
        memory = np.full(block.nbytes + 2 * GUARD, filler, np.uint8)
        inner = memory[GUARD : GUARD + block.nbytes].view(block.dtype).reshape(block.shape)
        inner[...] = block
        try:
            results.append(kernel.call(inner, told, np, part.text).copy())
        except CodeError as error:
            return str(error)
        if (memory[:GUARD] != filler).any() or (memory[-GUARD:] != filler).any():
            return f"{kernel.code.name} writes outside of its block"
    if len(differing(*results[:2])) and not len(differing(*results[1:])):
        return f"{kernel.code.name} reads outside of its block: its result changes with the memory around it"
    return None


def fills_its_result(part: Part) -> str | None:
    """What a CUDA kernel leaves of its result as it was."""
    if not isinstance(part.kernel, CudaKernel):
        return None
    made = []
    for filler in (0, 255):
        made.append(Part(part.kernel.but(filler=filler), part.window).result())
    found = differing(*made)
    if not len(found):
        return None
    at = ", ".join(str(start + int(i)) for start, i in zip(part.window.want.start, found[0], strict=True))
    return f"{part.kernel.code.name} never writes the result at ({at})"


def same_at_cuts(part: Part) -> str | None:
    """The same bits in two blocks, along each axis, and in slabs of one element."""
    want = part.window.want
    for axis, middle in [(a, m) for a in part.kernel.axes for m in _places(*want.spans[a])]:
        start, stop = want.spans[axis]
        try:
            pieces = [part.result(want.having(axis, span)) for span in ((start, middle), (middle, stop))]
        except CodeError as error:
            return str(error)
        result = np.concatenate(pieces, axis)
        found = differing(part.whole, result)
        if len(found):
            return _complaint(part, axis, middle - start, found, result)
    return None


def _places(start: int, stop: int) -> Iterator[int]:
    """Where to cut: in the middle, off it, and beside an end."""
    n = stop - start
    yield from (start + i for i in dict.fromkeys((n // 2, n // 3, 1, n - 1)) if 0 < i < n)


def _complaint(part: Part, axis: int, at: int, found: np.ndarray, result: np.ndarray) -> str:
    """Whether the elements that differ lie beside the cut, or anywhere."""
    name, n = part.kernel.code.name, result.shape[axis]
    far = np.where(found[:, axis] < at, at - found[:, axis], found[:, axis] - at + 1)
    axis_name = part.window.grid.axes[axis].name or str(axis)
    cut = f"in blocks cut at {part.window.want.start[axis] + at} of axis {axis_name}"
    where = place(part, found[0], part.whole, result)
    halo = part.kernel.halo[part.kernel.axes.index(axis)]
    if far.max() < max(at, n - at):
        return (
            f"{name} looks farther than its halo of {halo}: {len(found)} elements up to {far.max()} from the edge of a "
            f"block differ {cut}, such as {where}; give --halo {halo + int(far.max())} or more"
        )
    return (
        f"{name} depends on its block's place or size: {len(found)} elements differ {cut}, such as {where}; use "
        "origin, shape and whole for what depends on the place, and nothing that is of the whole block"
    )


def _first_slice(kernel: PythonKernel, window: Window) -> tuple[np.ndarray, dict]:
    block = padded(kernel, window, kernel.cval)
    at, told = next(kernel.calls(window))
    return np.ascontiguousarray(block[at]).copy(), told


# What each check is called for people, in their order.
CHECKS: dict[str, Callable[[Part], str | None]] = {
    "it runs, and gives an array of the right shape and dtype": runs,
    "nothing is read or written outside of its block": stays_inside,
    "every element of its result is written": fills_its_result,
    "the same numbers when it is called again": deterministic,
    "its block is left as it is": leaves_its_block,
    "the same bits in blocks cut anywhere": same_at_cuts,
}


def applies(name: str, kernel: UserKernel) -> bool:
    """Whether a check is for Python functions, or for CUDA kernels, or for both."""
    only: dict[Any, type] = {leaves_its_block: PythonKernel, stays_inside: PythonKernel, fills_its_result: CudaKernel}
    return isinstance(kernel, only.get(CHECKS[name], UserKernel))
