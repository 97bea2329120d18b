"""The part of an array that a picture shows: which axes, which elements, read within a budget of bytes.

Arrays may be larger than memory. A picture decodes at most `BUDGET` bytes of chunks, but at least one chunk. If that is
too little for the whole, a projection takes fewer layers of chunks, down to `FEWEST_LAYERS`; then the picture shows a
window round the middle of the plane. Its caption says so:

    |##|    |##|    |##|  layers       +-----------+     "maximum over 256 of 4096 z planes,
    z ->                               |   +---+   |      middle 640 x 768 of 20000 x 20000"
                                     y |   |   |   |
                                       |   +---+   |
                                       +-----------+
                                             x
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import ceil, prod
from typing import Any

import numpy as np

from gridstride.pipeline.errors import JobFailed, UsageError, first_line
from gridstride.pipeline.pictures.canvas import SIGNED
from gridstride.pipeline.storage.axes import in_one_unit
from gridstride.pipeline.storage.describe import ArrayInfo
from gridstride.pipeline.storage.regions import open_regions
from gridstride.pipeline.text import megabytes, shape_text
from gridstride.workers.clusters.local import free_memory

BUDGET = 256_000_000  # bytes
MOST_CHUNKS = 65_536  # very many small ones take long to open
FEWEST_LAYERS = 4
LETTERS = 40  # of an axis' name in a picture


@dataclass(frozen=True)
class View:
    """The use of each axis of an array.

    names:   of the axes; "axis 0" where the array has none
    shown:   axes of the picture (rows, columns), or the one axis of a line
    reduced: the axis projected, or None
    fixed:   {axis: index} for all others
    """

    info: ArrayInfo
    names: tuple[str, ...]
    shown: tuple[int, ...]
    reduced: int | None
    fixed: dict[int, int]

    @property
    def extents(self) -> tuple[int, ...]:
        """Lengths of the shown axes, and of the reduced axis (1 if there is none), in voxels."""
        depth = 1 if self.reduced is None else self.info.shape[self.reduced]
        return (*(self.info.shape[a] for a in self.shown), depth)

    @property
    def voxel(self) -> list[float]:
        """Voxel sizes along the shown axes, in any one unit."""
        return in_one_unit([self.info.naming.axes[a] for a in self.shown])


@dataclass(frozen=True)
class Cut:
    """The part of a view that is read: [start, stop) and stride of shown axes, [start, stop) of layers."""

    window: tuple[tuple[int, int], ...]
    strides: tuple[int, ...]
    layers: tuple[tuple[int, int], ...]


@dataclass(frozen=True)
class Picture:
    """`values` (rows, columns), or (samples,) for a line; the scale of `signed` values is centred on 0."""

    values: np.ndarray
    caption: str
    signed: bool
    view: View
    cut: Cut


def locate(info: ArrayInfo, like: ArrayInfo | None = None) -> ArrayInfo:
    """The array, with names and spacing of the axes of `like`, which has as many, where its own are not known."""
    mine = info.naming.axes
    if like is None or like.ndim != info.ndim:
        return info
    theirs = like.naming.axes
    named = mine if any(axis.name for axis in mine) else theirs
    spaced = mine if any(axis.spacing != 1 for axis in mine) else theirs
    axes = [replace(a, spacing=b.spacing, unit=b.unit) for a, b in zip(named, spaced, strict=True)]
    return replace(info, naming=replace(info.naming, axes=tuple(axes)))


def view(info: ArrayInfo, axis: str | int | None, index: int | None, select: Sequence[str]) -> View:
    """Settle the use of each axis. Raises UsageError for axes and indices that the array lacks.

    The last two axes are shown. `axis`, by default the last before them, is projected, or sliced at `index`. Other axes
    show their first element, or the one in `select` ("c=1"). Series (time, channels) are not shown if two other axes
    are left, and are projected only if `axis` names them.
    """
    if not info.ndim or not all(info.shape):
        raise UsageError(f"{info.path} has shape {info.shape}: there is nothing to draw")
    names = tuple(name or f"axis {i}" for i, name in enumerate(info.dimension_names))

    def find(name: str | int) -> int:
        try:
            return names.index(str(name)) if name in names else range(info.ndim)[int(name)]
        except (ValueError, IndexError):
            known = ", ".join(label or str(i) for i, label in enumerate(info.dimension_names))
            raise UsageError(f"{info.path} has no axis {name!r}: its axes are {known}") from None

    def element(where: int, number: int) -> int:
        n = info.shape[where]
        if not -n <= number < n:
            raise UsageError(f"{names[where]} = {number} is out of range: {info.path} has {n} along it")
        return number % n

    fixed: dict[int, int] = {}
    for text in select:
        name, _, number = text.partition("=")
        if not number.strip().removeprefix("-").isdecimal():
            raise UsageError(f"--select {text!r}: expected AXIS=INDEX, such as c=1")
        where = find(name.strip())
        fixed[where] = element(where, int(number))
    reduced = None if axis is None else find(axis)
    if reduced in fixed:
        raise UsageError(f"axis {axis!r} is given twice: as the axis to project or slice, and in --select")
    free = [a for a in range(info.ndim) if a not in fixed and a != reduced]
    space = [a for a in free if info.naming.axes[a].type == "space"]
    shown = (space if len(space) > 1 else free)[-2:]
    if not shown:
        raise UsageError(f"{info.path} has the axes {', '.join(names)}: none is left to show")
    rest = [a for a in space if a not in shown]
    if reduced is None and rest:
        reduced = rest[-1]
    if index is not None:
        if reduced is None:
            raise UsageError(f"index {index}: {info.path} has no axis to slice: say which with --axis")
        fixed[reduced] = element(reduced, index)
        reduced = None
    fixed |= dict.fromkeys((a for a in free if a not in (*shown, reduced, *fixed)), 0)
    return View(info, tuple(name[:LETTERS] for name in names), tuple(shown), reduced, fixed)


def touched(seen: View, window: Sequence[tuple[int, int]], layers: Sequence[tuple[int, int]]) -> int:
    """Number of chunks in a window of each layer."""
    chunks = seen.info.chunks

    def along(axis: int, span: tuple[int, int]) -> int:
        return (span[1] - 1) // chunks[axis] - span[0] // chunks[axis] + 1

    deep = 1 if seen.reduced is None else sum(along(seen.reduced, span) for span in layers)
    return deep * prod(along(a, span) for a, span in zip(seen.shown, window, strict=True))


def cost(seen: View, window: Sequence[tuple[int, int]], layers: Sequence[tuple[int, int]]) -> int:
    """Bytes of the chunks to decode for a window of each layer."""
    return touched(seen, window, layers) * prod(seen.info.chunks) * seen.info.dtype.itemsize


def cut(views: Sequence[View], size: int, budget: int = BUDGET) -> Cut:
    """The largest part of views of the same extents that costs at most `budget` bytes for all of them.

    Raises UsageError if a single chunk does not fit in the memory that is free.
    """
    seen = views[0]
    *extents, depth = seen.extents
    units = [seen.info.chunks[a] for a in seen.shown]
    unit = 1 if seen.reduced is None else seen.info.chunks[seen.reduced]
    counts = [ceil(n / u) for n, u in zip(extents, units, strict=True)]
    taken = available = ceil(depth / unit)
    while True:
        starts = [(ceil(n / u) - k) // 2 * u for n, u, k in zip(extents, units, counts, strict=True)]
        window = [(s, min(s + k * u, n)) for s, k, u, n in zip(starts, counts, units, extents, strict=True)]
        middles = [(2 * i + 1) * available // (2 * taken) for i in range(taken)]
        layers = [(m * unit, min((m + 1) * unit, depth)) for m in middles]
        within = sum(cost(v, window, layers) for v in views) <= budget
        if within and max(touched(v, window, layers) for v in views) <= MOST_CHUNKS:
            break
        widest = max(range(len(counts)), key=lambda i: (counts[i] > 1, window[i][1] - window[i][0]))
        if taken > FEWEST_LAYERS:
            taken = max(FEWEST_LAYERS, taken * 9 // 10)
        elif counts[widest] > 1:
            counts[widest] = counts[widest] * 9 // 10
        elif taken > 1:
            taken -= 1
        else:
            check_memory(seen.info)
            break
    return Cut(tuple(window), tuple(ceil((b - a) / size) for a, b in window), tuple(layers))


def check_memory(info: ArrayInfo) -> None:
    """Raises UsageError if one chunk is more than the memory that is free."""
    chunk, free = prod(info.chunks) * info.dtype.itemsize, free_memory()
    if chunk > free:
        raise UsageError(
            f"{info.path}: one chunk is {megabytes(chunk)} and {megabytes(free)} of memory are free: draw an array "
            "of smaller chunks"
        )


def take(seen: View, part: Cut) -> Picture:
    """Read a part of a view, layer by layer. A projection ignores NaN if there are other values."""
    info, axis = seen.info, seen.reduced
    start = [seen.fixed.get(a, 0) for a in range(info.ndim)]
    stop = [i + 1 for i in start]
    for a, span in zip(seen.shown, part.window, strict=True):
        start[a], stop[a] = span
    kept = [a for a in range(info.ndim) if a not in seen.fixed]
    every = (slice(None), *(slice(None, None, s) for s in part.strides))
    high: Any = None
    low: Any = None
    for layer in part.layers:
        if axis is not None:
            start[axis], stop[axis] = layer
        try:
            block = open_regions(info.path).read(start, stop)
        except Exception as error:
            raise JobFailed(f"{info.path} cannot be read: {first_line(error)}") from error
        block = block.reshape([block.shape[a] for a in kept])
        block = block[None] if axis is None else np.moveaxis(block, kept.index(axis), 0)
        block = block[every].view(np.uint8) if info.dtype == bool else block[every]
        top, bottom = np.fmax.reduce(block), np.fmin.reduce(block)
        high = top if high is None else np.fmax(high, top)
        low = bottom if low is None else np.fmin(low, bottom)
    signed = False
    if info.dtype.kind == "f":
        least = low.min(where=np.isfinite(low), initial=0)
        signed = bool(least < -SIGNED * max(high.max(where=np.isfinite(high), initial=0), -least))
    values = np.where(-low > high, low, high) if signed else high
    return Picture(values, caption(seen, part, signed), signed, seen, part)


def caption(seen: View, part: Cut, signed: bool) -> str:
    """The part of the array that is shown, in words."""
    words = []
    if seen.reduced is not None:
        name, depth = seen.names[seen.reduced], seen.extents[-1]
        planes = sum(b - a for a, b in part.layers)
        over = name if planes == depth else f"{planes} of {depth} {name} planes"
        words.append(f"{'largest magnitude' if signed else 'maximum'} over {over}")
    words += [f"{seen.names[a]} = {i}" for a, i in sorted(seen.fixed.items())]
    whole, window = seen.extents[:-1], tuple(b - a for a, b in part.window)
    if window != whole:
        words.append(f"middle {shape_text(window)} of {shape_text(whole)}")
    if max(part.strides) > 1:
        words.append(f"one {'value' if len(whole) == 1 else 'pixel'} in {shape_text(part.strides)}")
    return ", ".join(words)
