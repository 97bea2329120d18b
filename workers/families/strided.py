"""Convolutions over channels with strides, dilation and padding, as the layers of neural networks have them.

All are sums of stride 1 (`Stencil`). For a stride of 2, the elements 0, 2, 4, ... and 1, 3, 5, ... are two channels, of
which each tap belongs to one; weights between the taps of a dilated kernel are 0, and those are left out.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import product
from math import prod
from typing import TYPE_CHECKING, Any

import numpy as np

from gridstride.workers.families.local import WHOLE, Local
from gridstride.workers.families.local import padded as local_padded
from gridstride.workers.families.nodata import Touched
from gridstride.workers.families.stencil import Stencil
from gridstride.workers.families.weights import MOST_TAPS, MOST_WEIGHTS
from gridstride.workers.nodata import NoData
from gridstride.workers.operators.base import Axis, Grid, Meaning, Operator, Window, accumulator
from gridstride.workers.operators.boundary import Taps
from gridstride.workers.region import Region

if TYPE_CHECKING:
    from gridstride.workers.gpu import Machine


@dataclass(frozen=True)
class Steps:
    """Of a layer along one axis.

    taps: of its kernel; before: elements of padding before the first; extent: how many results there are
    """

    taps: int
    extent: int
    stride: int = 1
    dilation: int = 1
    before: int = 0
    mode: str = "constant"

    @classmethod
    def of(
        cls, n: int, taps: int, stride: int, dilation: int, padding: tuple[int, int], mode: str = "constant"
    ) -> Steps:
        """On an axis of n elements with padding before and after. Of a kernel that reaches further the extent is below
        1."""
        reach = dilation * (taps - 1) + 1
        return cls(taps, (n + sum(padding) - reach) // stride + 1, stride, dilation, padding[0], mode)

    @property
    def reads(self) -> Taps:
        return Taps(self.taps, -self.before, self.stride, self.dilation, self.mode)

    def axis(self, axis: Axis) -> Axis:
        """The axis of results: each is where the middle of its kernel is."""
        middle = self.dilation * (self.taps - 1) / 2 - self.before
        return replace(axis.moved(middle), spacing=axis.spacing * self.stride)


@dataclass(frozen=True)
class Strided(Local):
    """out_o[i] = bias_o + sum over channels c, taps t of weights[o, c, t] * in_c[stride * i + dilation * t - before].

    steps: of each axis, the channels' alike; sums: what is summed, of stride 1, over channels and phases
    phases: where each begins on each axis, modulo the strides; none where all strides are 1
    integers: whether the array's become floating-point numbers
    """

    steps: tuple[Steps, ...]
    sums: Stencil
    phases: tuple[tuple[int, ...], ...]

    @classmethod
    def of(
        cls,
        weights: np.ndarray,
        bias: np.ndarray | None,
        steps: Sequence[Steps],
        channel: int,
        out: np.dtype,
        precision: str,
    ) -> Strided:
        """weights: (outputs, channels, *taps of every axis but the channels'). Raises ValueError for too many."""
        spatial = [step for axis, step in enumerate(steps) if axis != channel]
        strides = [step.stride for step in spatial]
        reach = [step.dilation * (step.taps - 1) for step in spatial]
        lengths = [n // stride + 1 for n, stride in zip(reach, strides, strict=True)]
        begins = [sorted({step.dilation * t % step.stride for t in range(step.taps)}) for step in spatial]
        phases = list(product(*begins))
        count = prod(weights.shape[:2]) * len(phases) * prod(lengths)
        if max(reach, default=0) >= MOST_TAPS or count > MOST_WEIGHTS:
            raise ValueError(
                f"the kernel has {count} weights, those between dilated taps counted, and reaches {max(reach) + 1} "
                f"elements: expected {MOST_WEIGHTS} and {MOST_TAPS} at most"
            )
        spread = np.zeros((weights.shape[0], len(phases), weights.shape[1], *lengths))
        for taps in np.ndindex(weights.shape[2:]):
            at = [step.dilation * t for step, t in zip(spatial, taps, strict=True)]
            phase = phases.index(tuple(a % s for a, s in zip(at, strides, strict=True)))
            place = tuple(a // s for a, s in zip(at, strides, strict=True))
            spread[(slice(None), phase, slice(None), *place)] = weights[(slice(None), slice(None), *taps)]
        lengths.insert(channel, 1)
        whole = spread.reshape(weights.shape[0], -1, *lengths)
        strided = max(strides, default=1) > 1
        before = tuple(0 if strided else step.before for step in steps)
        modes = tuple("constant" if strided else step.mode for step in steps)
        sums = Stencil(whole, before, modes, 0.0, out, precision, "round", "direct", channel, bias)
        full = tuple((*phase[:channel], 0, *phase[channel:]) for phase in phases)
        return cls(tuple(steps), sums, full if strided else ())

    @property
    def channel(self) -> int:
        assert self.sums.channel_axis is not None
        return self.sums.channel_axis

    # --- geometry ---
    def reads(self, grid: Grid) -> tuple[Taps | None, ...]:
        return tuple(WHOLE if axis == self.channel else step.reads for axis, step in enumerate(self.steps))

    def out_grid(self, grid: Grid) -> Grid:
        pairs = list(zip(self.steps, grid.axes, strict=True))
        axes = tuple(axis if n == self.channel else step.axis(axis) for n, (step, axis) in enumerate(pairs))
        return Grid(self._shape([step.extent for step in self.steps], self.sums.channels[0]), self.sums.out_dtype, axes)

    def uncut(self, grid: Grid) -> frozenset[int]:
        return frozenset([self.channel])

    def element_time(self, grid: Grid) -> float:
        return self.sums.element_time(grid)

    def describe(self) -> str:
        inputs = self.sums.channels[1] // max(1, len(self.phases))
        taps = " x ".join(str(step.taps) for n, step in enumerate(self.steps) if n != self.channel)
        return f"{inputs} to {self.sums.channels[0]} channels by {taps} taps, sums in {self.sums.precision} precision"

    def remarks(self, grid: Grid) -> tuple[str, ...]:
        return converted(grid, accumulator(self.sums.precision))

    def meaning(self) -> Meaning:
        return Meaning()

    def without(self, nodata: NoData, grid: Grid) -> tuple[Operator, NoData]:
        """No data wherever a missing element has a weight; what is outside is no missing element."""
        left = nodata.stored_as(self.sums.out_dtype)
        used = (self.sums.weights != 0).astype(float)
        reach = self.but(
            sums=self.sums.but(weights=used, out_dtype=np.dtype(np.float32), precision="single", bias=None)
        )
        return Touched(self, nodata, left.value, reach), left

    def scratch(self, want: Region, grid: Grid, device: str) -> int:
        if not self.phases:
            return self.sums.scratch(want, grid, device)
        inner = self._inner(want)
        item = accumulator(self.sums.precision).itemsize
        padded = prod(self.padded_shape(want, grid)) * item
        parts = prod(self._have(want)) * item
        result = want.size * max(4, self.sums.out_dtype.itemsize) if device == "gpu" else 0
        return padded + 2 * parts + result + self.sums.scratch(inner.want, inner.grid, device)

    # --- work ---
    def cpu(self, window: Window, out: np.ndarray) -> None:
        if out.size:
            self.sums.cpu(self._of_stride_1(window, np), out)

    def on_gpu(self, window: Window, machine: Machine) -> Any:
        from gridstride.workers.gpu import compute

        if window.want.size == 0:
            return machine.xp.empty(window.want.shape, self.sums.out_dtype)
        if self.phases:
            return compute(self.sums, self._of_stride_1(window, machine.xp), machine)
        return self.sums.on_gpu(window, machine)

    def _of_stride_1(self, window: Window, xp: Any) -> Window:
        """The window that the sums are made from."""
        if not self.phases:
            return window
        inner, dtype = self._inner(window.want), accumulator(self.sums.precision)
        padded = xp.empty(self.padded_shape(window.want, window.grid), dtype)
        local_padded(self, window, 0, into=padded)
        parts = xp.zeros(inner.grid.shape, dtype)
        n, strides = padded.shape[self.channel], [step.stride for step in self.steps]
        for number, phase in enumerate(self.phases):
            part = padded[tuple(slice(first, None, stride) for first, stride in zip(phase, strides, strict=True))]
            shape = [min(a, b) for a, b in zip(part.shape, inner.grid.shape, strict=True)]
            place = [slice(0, m) for m in shape]
            taken = tuple(place)
            place[self.channel] = slice(number * n, (number + 1) * n)
            parts[tuple(place)] = part[taken]
        return replace(inner, data=parts)

    def _have(self, want: Region) -> tuple[int, ...]:
        """Elements of the sums' window along each axis."""
        taps = self.sums.taps
        return self._shape([n + k - 1 for n, k in zip(want.shape, taps, strict=True)], self.sums.channels[1])

    def _inner(self, want: Region) -> Window:
        """The sums' window without data."""
        have = self._have(want)
        grid = Grid(have, accumulator(self.sums.precision), (Axis(""),) * len(have))
        return Window(None, Region.whole(have), Region.whole(want.shape), grid)

    def _shape(self, lengths: Sequence[int], channels: int) -> tuple[int, ...]:
        return (*lengths[: self.channel], channels, *lengths[self.channel + 1 :])


def converted(grid: Grid, dtype: np.dtype) -> tuple[str, ...]:
    """The remark on integers that become floating-point numbers."""
    if grid.dtype.kind not in "iu":
        return ()
    bits = {4: 24, 8: 53}[dtype.itemsize]
    rounded = f", which rounds those beyond 2^{bits}" if 8 * grid.dtype.itemsize > bits else ""
    return (f"integers are converted to {dtype}{rounded}",)


@dataclass(frozen=True)
class Lifted(Operator):
    """An operator over channels, of an array without an axis of them, which is one channel.

    axis: where it would be; single: whether the result, of one element along it, has none either
    """

    operator: Strided | Touched
    axis: int
    single: bool

    def lifted(self, grid: Grid) -> Grid:
        """The input's grid with an axis of one channel."""
        axes = (*grid.axes[: self.axis], Axis("c", "channel"), *grid.axes[self.axis :])
        return Grid((*grid.shape[: self.axis], 1, *grid.shape[self.axis :]), grid.dtype, axes)

    def out_grid(self, grid: Grid) -> Grid:
        out = self.operator.out_grid(self.lifted(grid))
        return Grid(self._less(out.shape), out.dtype, self._less(out.axes)) if self.single else out

    def axes_from(self, grid: Grid) -> tuple[int | None, ...]:
        found = tuple(range(grid.ndim))
        return found if self.single else (*found[: self.axis], None, *found[self.axis :])

    def needed(self, want: Region, grid: Grid) -> Region:
        return Region(self._less(self.operator.needed(self._more(want), self.lifted(grid)).spans))

    def uncut(self, grid: Grid) -> frozenset[int]:
        inner = self.operator.uncut(self.lifted(grid))
        return frozenset(n - (n > self.axis) for n in inner - {self.axis}) if self.single else inner

    def scratch(self, want: Region, grid: Grid, device: str) -> int:
        return self.operator.scratch(self._more(want), self.lifted(grid), device)

    def element_time(self, grid: Grid) -> float:
        return self.operator.element_time(self.lifted(grid))

    def describe(self) -> str:
        return self.operator.describe()

    def remarks(self, grid: Grid) -> tuple[str, ...]:
        return self.operator.remarks(self.lifted(grid))

    def meaning(self) -> Meaning:
        return self.operator.meaning()

    def without(self, nodata: NoData, grid: Grid) -> tuple[Operator, NoData | None]:
        operator, left = self.operator.without(nodata, self.lifted(grid))
        return self.but(operator=operator), left

    def cpu(self, window: Window, out: np.ndarray) -> None:
        self.operator.cpu(self._inner(window), np.expand_dims(out, self.axis) if self.single else out)

    def on_gpu(self, window: Window, machine: Machine) -> Any:
        from gridstride.workers.gpu import compute

        made = compute(self.operator, self._inner(window), machine)
        return made.reshape(self._less(made.shape)) if self.single else made

    def _inner(self, window: Window) -> Window:
        have = Region((*window.have.spans[: self.axis], (0, 1), *window.have.spans[self.axis :]))
        data = window.data.reshape((*window.data.shape[: self.axis], 1, *window.data.shape[self.axis :]))
        return Window(data, have, self._more(window.want), self.lifted(window.grid))

    def _more(self, want: Region) -> Region:
        """A region of the result as the operator has it."""
        spans = want.spans
        return Region((*spans[: self.axis], (0, 1), *spans[self.axis :])) if self.single else want

    def _less(self, values: Any) -> Any:
        return (*values[: self.axis], *values[self.axis + 1 :])
