"""Richardson-Lucy deconvolution: steps of a graph, as many iterations as pay in a sweep, and tiles where the last bits
of the steps depend on the block."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import product
from math import prod
from typing import TYPE_CHECKING, Any

import numpy as np

from gridstride.workers.buffers import Borrowed
from gridstride.workers.families.joined import Join, Joined
from gridstride.workers.families.relay import leaving_out
from gridstride.workers.nodata import NoData
from gridstride.workers.operators.base import Axis, Grid, Meaning, Operator, Window
from gridstride.workers.operators.graph import INPUT, Graph, Step
from gridstride.workers.region import Region, Span

if TYPE_CHECKING:
    from gridstride.workers.gpu import Machine

BEGIN = 0.5  # the first estimate, everywhere


@dataclass(frozen=True)
class Constant(Operator):
    """One value on the input's grid, of which nothing is read but where it is."""

    value: float

    def cpu(self, window: Window, out: np.ndarray) -> None:
        out[...] = self.value

    def on_gpu(self, window: Window, machine: Machine) -> Any:
        return machine.xp.full(window.want.shape, self.value, window.grid.dtype)


@dataclass(frozen=True)
class Component(Operator):
    """One array of those that are stacked along the first axis."""

    number: int

    def out_grid(self, grid: Grid) -> Grid:
        return Grid(grid.shape[1:], grid.dtype, grid.axes[1:])

    def axes_from(self, grid: Grid) -> tuple[int | None, ...]:
        return tuple(range(1, grid.ndim))

    def needed(self, want: Region, grid: Grid) -> Region:
        return Region(((self.number, self.number + 1), *want.spans))

    def cpu(self, window: Window, out: np.ndarray) -> None:
        out[...] = window.part(self.needed(window.want, window.grid)).data[0]

    def on_gpu(self, window: Window, machine: Machine) -> Any:
        return window.data[0]


@dataclass(frozen=True)
class Stacked(Join):
    """Several arrays of one grid and dtype, stacked along a new first axis."""

    def out_grid(self, grid: Grid) -> Grid:
        self.same_dtype(grid, "a stack")
        return Grid((1 + len(grid.others), *grid.shape), grid.dtype, (Axis("", "unknown"), *grid.axes))

    def axes_from(self, grid: Grid) -> tuple[int | None, ...]:
        return (None, *range(grid.ndim))

    def needed(self, want: Region, grid: Grid) -> Region:
        return Region(want.spans[1:])

    def uncut(self, grid: Grid) -> frozenset[int]:
        return frozenset([0])

    def cpu(self, window: Window, out: np.ndarray) -> None:
        for target, array in zip(out, window.part(self.needed(window.want, window.grid)).arrays, strict=True):
            target[...] = array

    def on_gpu(self, window: Window, machine: Machine) -> Any:
        return machine.xp.stack(window.arrays)


@dataclass(frozen=True)
class Deconvolution(Operator):
    """Iterations of Richardson and Lucy, of arrays of float32 or float64:

        estimate *= back(image / (blur(estimate) + 1e-12))

    in scikit-image's form. An element of the image that is not finite counts as what is predicted there (its quotient
    is 1), and is the result's. The state is the image and the estimate, on a new first axis.

    blur, back: convolution with the point spread function, and with the reversed one
    count: of iterations; takes, gives: whether what is read, and what is made, is the state
    least: of a prediction, below which the quotient is 0; largest: of the result, and -1 times it the smallest
    tile: on each axis of the image, counted from its first element, what is computed together, because the last bits of
          an FFT depend on where it ends; 0 for axes on which nothing does, and () if none
    """

    blur: Operator
    back: Operator
    count: int
    takes: bool = field(default=False)
    gives: bool = field(default=False)
    least: float = field(default=0.0)
    largest: float = field(default=np.inf)
    tile: tuple[int, ...] = field(default=())

    @cached_property
    def graph(self) -> Graph:
        image, estimate = INPUT, "estimate0"
        steps = [Step(estimate, Constant(BEGIN))]
        if self.takes:
            image, steps = "image", [Step("image", Component(0)), Step(estimate, Component(1))]
        for n in range(self.count):
            steps += [
                Step(f"predicted{n}", self.blur, (estimate,)),
                Step(f"quotient{n}", Joined("quotient", (0.0, self.least)), (image, f"predicted{n}")),
                Step(f"back{n}", self.back, (f"quotient{n}",)),
                Step(f"estimate{n + 1}", Joined("corrected"), (estimate, f"back{n}")),
            ]
            estimate = f"estimate{n + 1}"
        last = Stacked() if self.gives else Joined("estimate", (0.0, self.largest))
        return Graph((*steps, Step("result", last, (image, estimate))))

    # --- geometry ---
    def out_grid(self, grid: Grid) -> Grid:
        return self.graph.out_grid(grid)

    def axes_from(self, grid: Grid) -> tuple[int | None, ...]:
        return self.graph.axes_from(grid)

    def tiles(self, grid: Grid) -> list[tuple[int, int]]:
        """On each axis of the result, the tile and the length."""
        shape = self.out_grid(grid).shape
        return list(zip([0] * (len(shape) - len(self.tile)) + list(self.tile), shape, strict=True))

    def uncut(self, grid: Grid) -> frozenset[int]:
        return self.graph.uncut(grid)

    def needed(self, want: Region, grid: Grid) -> Region:
        axes = zip(want.spans, self.tiles(grid), strict=True)
        return self.graph.needed(Region(tuple(_rounded(span, tile, n) for span, (tile, n) in axes)), grid)

    def scratch(self, want: Region, grid: Grid, device: str) -> int:
        largest = max(self.parts(want, grid), key=lambda part: part.size, default=want)
        own = self.graph.needed(largest, grid).size + largest.size if any(self.tile) else 0
        return self.graph.scratch(largest, grid, device) + own * grid.dtype.itemsize

    def element_time(self, grid: Grid) -> float:
        return self.graph.element_time(grid)

    # --- what it is ---
    def describe(self) -> str:
        tile = f", tiles of {' x '.join(map(str, self.tile))}" if any(self.tile) else ""
        return f"{self.count} iterations of Richardson and Lucy, {self.blur.describe()}{tile}"

    def meaning(self) -> Meaning:
        return Meaning(1.0)

    def without(self, nodata: NoData, grid: Grid) -> tuple[Operator, NoData | None]:
        return leaving_out((self,), nodata, grid)

    # --- work ---
    def parts(self, want: Region, grid: Grid) -> Iterator[Region]:
        """What is computed together: the tiles that have an element of a want, or the want itself."""
        axes = zip(want.spans, self.tiles(grid), strict=True)
        columns = [_tiles(span, tile, n) for span, (tile, n) in axes]
        yield from map(Region, product(*columns)) if want.size else ()

    def cpu(self, window: Window, out: np.ndarray) -> None:
        for part in self.parts(window.want, window.grid):
            piece = window.part(self.graph.needed(part, window.grid), part)
            target, source = _common(part, window.want)
            if part == window.want:
                self.graph.cpu(piece, out)
                continue
            with Borrowed() as memory:
                result = memory.array(part.shape, out.dtype)
                self.graph.cpu(piece, result)
                out[target] = result[source]

    def on_gpu(self, window: Window, machine: Machine) -> Any:
        from gridstride.workers.gpu import compute

        out = machine.xp.empty(window.want.shape, self.out_grid(window.grid).dtype)
        for part in self.parts(window.want, window.grid):
            target, source = _common(part, window.want)
            piece = window.part(self.graph.needed(part, window.grid), part)
            out[target] = compute(self.graph, piece, machine)[source]
        return out


def _rounded(span: Span, tile: int, n: int) -> Span:
    """The tiles that a span meets; of one that passes the ends of the axis, all of it."""
    start, stop = span
    if tile == 0 or start >= stop:
        return span
    return (start // tile * tile, min(-(-stop // tile) * tile, n)) if start >= 0 and stop <= n else (0, n)


def _tiles(span: Span, tile: int, n: int) -> Sequence[Span]:
    if tile == 0:
        return [span]
    start, stop = _rounded(span, tile, n)
    return [(a, min(a + tile, n)) for a in range(start, stop, tile)]


def _common(part: Region, want: Region) -> tuple[tuple[slice, ...], tuple[slice, ...]]:
    """Where the elements that two regions have in common lie in the second, and in the first."""
    spans = [(max(a, c), min(b, d)) for (a, b), (c, d) in zip(part.spans, want.spans, strict=True)]
    common = Region(tuple(spans))
    return common.within(want), common.within(part)


def tile_of(shape: Sequence[int], taps: Sequence[int], most: int) -> tuple[int, ...]:
    """Tiles of an array, of 1 on axes that are not filtered (of 1 tap): up to eight times as long as the kernel, the
    edges of which are then a small part, but of no more elements with them than `most`."""
    for times in range(8, 0, -1):
        tile = tuple(1 if k == 1 else min(n, times * k) for n, k in zip(shape, taps, strict=True))
        if prod(n + 2 * (k - 1) for n, k in zip(tile, taps, strict=True)) <= most:
            break
    return tile
