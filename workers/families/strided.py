"""Convolutions over channels with strides, dilation and padding, as the layers of neural networks have them.

All are sums of stride 1 (`Stencil`). For a stride of 2, the elements 0, 2, 4, ... and 1, 3, 5, ... are two channels, of
which each tap belongs to one; weights between the taps of a dilated kernel are 0, and those are left out.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
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


def converted(grid: Grid, dtype: np.dtype) -> tuple[str, ...]:
    """The remark on integers that become floating-point numbers."""
    if grid.dtype.kind not in "iu":
        return ()
    bits = {4: 24, 8: 53}[dtype.itemsize]
    rounded = f", which rounds those beyond 2^{bits}" if 8 * grid.dtype.itemsize > bits else ""
    return (f"integers are converted to {dtype}{rounded}",)


@dataclass(frozen=True)
class Strided(Local):
    """out_o[i] = bias_o + sum over channels c, taps t of weights[o, c, t] * in_c[stride * i + dilation * t - before].

    steps:  of each axis, the channels' alike
    phases: how many each axis has: those that taps belong to
    sums:   what is summed, of stride 1, over the phases of each channel
    """

    steps: tuple[Steps, ...]
    phases: tuple[int, ...]
    sums: Stencil

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
        reach = [step.dilation * (step.taps - 1) for step in spatial]
        lengths = [n // step.stride + 1 for n, step in zip(reach, spatial, strict=True)]
        phases = [
            1 + max(step.dilation * t % step.stride for t in range(min(step.taps, step.stride))) for step in spatial
        ]
        count = prod(weights.shape[:2]) * prod(phases) * prod(lengths)
        if max(reach, default=0) >= MOST_TAPS or count > MOST_WEIGHTS:
            raise ValueError(
                f"the kernel has {count} weights, those between dilated taps counted, and reaches {max(reach) + 1} "
                f"elements: expected {MOST_WEIGHTS} and {MOST_TAPS} at most"
            )
        spread = np.zeros((*weights.shape[:2], *phases, *lengths))
        for taps in np.ndindex(weights.shape[2:]):
            at = [divmod(step.dilation * t, step.stride) for step, t in zip(spatial, taps, strict=True)]
            place = (*(phase for _, phase in at), *(tap for tap, _ in at))
            spread[(slice(None), slice(None), *place)] = weights[(slice(None), slice(None), *taps)]
        for several in (phases, lengths):
            several.insert(channel, 1)
        strided = any(step.stride > 1 for step in spatial)
        before = tuple(0 if strided else step.before for step in steps)
        modes = tuple("constant" if strided else step.mode for step in steps)
        whole = spread.reshape(len(weights), -1, *lengths)
        sums = Stencil(whole, before, modes, 0.0, out, precision, "round", "direct", channel, bias)
        return cls(tuple(steps), tuple(phases), sums)

    @property
    def channel(self) -> int:
        assert self.sums.channel_axis is not None
        return self.sums.channel_axis

    @property
    def channels(self) -> tuple[int, int]:
        """Numbers of output and input channels."""
        return self.sums.channels[0], self.sums.channels[1] // prod(self.phases)

    @property
    def strided(self) -> bool:
        return any(step.stride > 1 for step in self.steps)

    # --- geometry ---
    def reads(self, grid: Grid) -> tuple[Taps | None, ...]:
        return tuple(WHOLE if axis == self.channel else step.reads for axis, step in enumerate(self.steps))

    def out_grid(self, grid: Grid) -> Grid:
        pairs = list(zip(self.steps, grid.axes, strict=True))
        axes = tuple(axis if n == self.channel else step.axis(axis) for n, (step, axis) in enumerate(pairs))
        shape = [step.extent for step in self.steps]
        shape[self.channel] = self.channels[0]
        return Grid(tuple(shape), self.sums.out_dtype, axes)

    def uncut(self, grid: Grid) -> frozenset[int]:
        return frozenset([self.channel])

    def element_time(self, grid: Grid) -> float:
        return self.sums.element_time(grid)

    def describe(self) -> str:
        taps = " x ".join(str(step.taps) for n, step in enumerate(self.steps) if n != self.channel)
        outputs, inputs = self.channels
        return f"{inputs} to {outputs} channels by {taps} taps, sums in {self.sums.precision} precision"

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
        item, made = accumulator(self.sums.precision).itemsize, self.sums.out_dtype.itemsize
        spread = prod(self._lengths(want)) * item if self.strided else 0
        if device == "cpu":
            sums, window = self._first(Window(None, self.needed(want, grid), want, grid))
            moved = want.size * made if self.channel == grid.ndim - 1 else 0
            return spread + moved + sums.scratch(window.want, window.grid, device)
        if not self.strided:
            return self.sums.scratch(want, grid, device)
        inner = self._split(want)
        return 3 * spread + want.size * max(4, made) + self.sums.scratch(inner.want, inner.grid, device)

    # --- work ---
    def cpu(self, window: Window, out: np.ndarray) -> None:
        if out.size == 0:
            return
        sums, first = self._first(window)
        target = np.moveaxis(out, self.channel, 0).reshape(first.want.shape)
        if np.may_share_memory(target, out) and target.strides[-1] == out.itemsize:
            sums.cpu(first, target)
        else:  # the sums are of rows
            made = np.empty(first.want.shape, out.dtype)
            sums.cpu(first, made)
            np.moveaxis(out, self.channel, 0)[...] = made.reshape(np.moveaxis(out, self.channel, 0).shape)

    def on_gpu(self, window: Window, machine: Machine) -> Any:
        from gridstride.workers.gpu import compute

        if window.want.size == 0:
            return machine.xp.empty(window.want.shape, self.sums.out_dtype)
        if not self.strided:
            return self.sums.on_gpu(window, machine)
        spread, inner = self._spread(window, machine.xp), self._split(window.want)
        parts, each = machine.xp.empty(inner.grid.shape, spread.dtype), prod(self.phases)
        for number, phase in enumerate(np.ndindex(self.phases)):
            steps = zip(phase, self.steps, strict=True)
            place = [slice(None)] * parts.ndim
            place[self.channel] = slice(number, None, each)
            parts[tuple(place)] = spread[tuple(slice(begin, None, step.stride) for begin, step in steps)]
        return compute(self.sums, replace(inner, data=parts), machine)

    def _first(self, window: Window) -> tuple[Stencil, Window]:
        """The sums as the CPU makes them, and their window, without data if it has none: channels come first, and then
        an axis for the phases of each that has some, of which the data are a view."""
        order = [self.channel, *(axis for axis in range(len(self.steps)) if axis != self.channel)]
        split = [axis for axis in order if self.phases[axis] > 1]

        def ordered(values: Any, phases: Sequence[Any]) -> tuple:
            return (values[self.channel], *phases, *(values[axis] for axis in order[1:]))

        taps = ordered(self.sums.taps, [self.phases[axis] for axis in split])
        sums = self.sums.but(
            weights=self.sums.weights.reshape(self.channels[0], self.channels[1], *taps),
            before=ordered(self.sums.before, [0] * len(split)),
            modes=ordered(self.sums.modes, ["constant"] * len(split)),
            channel_axis=0,
        )
        want = Region(ordered(window.want.spans, [(0, 1)] * len(split)))
        if not self.strided:
            grid = Grid(ordered(window.grid.shape, ()), window.grid.dtype, ordered(window.grid.axes, ()))
            data = None if window.data is None else np.moveaxis(window.data, self.channel, 0)
            return sums, Window(data, Region(ordered(window.have.spans, ())), want, grid)
        shape = ordered(self._have(window.want, self.channels[1]), [self.phases[axis] for axis in split])
        grid, data = Grid(shape, accumulator(self.sums.precision), (Axis(""),) * len(shape)), None
        if window.data is not None:
            spread = self._spread(window, np)
            jumps = [stride * step.stride for stride, step in zip(spread.strides, self.steps, strict=True)]
            strides = ordered(jumps, [spread.strides[axis] for axis in split])
            data = np.lib.stride_tricks.as_strided(spread, shape, strides, writeable=False)
        return sums, Window(data, Region.whole(shape), Region.whole(want.shape), grid)

    def _split(self, want: Region) -> Window:
        """The window of the sums whose channels are the phases too, without data."""
        have = self._have(want, self.sums.channels[1])
        grid = Grid(have, accumulator(self.sums.precision), (Axis(""),) * len(have))
        return Window(None, Region.whole(have), Region.whole(want.shape), grid)

    def _have(self, want: Region, channels: int) -> tuple[int, ...]:
        """Elements of each phase that the sums need."""
        found = [n + taps - 1 for n, taps in zip(want.shape, self.sums.taps, strict=True)]
        found[self.channel] = channels
        return tuple(found)

    def _spread(self, window: Window, xp: Any) -> Any:
        """The window's data with their boundary, up to the last phase; what no tap needs may be anything."""
        spread = xp.empty(self._lengths(window.want), accumulator(self.sums.precision))
        part = spread[tuple(slice(0, n) for n in self.padded_shape(window.want, window.grid))]
        local_padded(self, window, 0, into=part)
        return spread

    def _lengths(self, want: Region) -> tuple[int, ...]:
        sizes = zip(self._have(want, self.channels[1]), self.steps, self.phases, strict=True)
        return tuple(max(0, n - 1) * step.stride + phases for n, step, phases in sizes)
