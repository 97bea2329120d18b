"""Background: the smallest sum of an element and what a ball adds to it, over the elements that a ball covers.

height   .  .                      adds(k) = r - sqrt(r^2 - |k|^2): 0 at the centre, r at the rim
       .      .     <- the ball    The background at i is min over |k| <= r of in[i + k] + adds(k), so that
       \\  i   /                    the ball with its apex there touches the values from below.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import product
from math import ceil, prod
from typing import TYPE_CHECKING, Any

import numpy as np

from gridstride.workers.families.local import Local
from gridstride.workers.launches import AXES, Launches, Ref, ceil_div, six, strides, type_name
from gridstride.workers.nodata import NoData
from gridstride.workers.operators.base import Grid, Meaning, Operator, Window
from gridstride.workers.operators.boundary import Taps
from gridstride.workers.region import Region

if TYPE_CHECKING:
    from gridstride.workers.gpu import Machine

THREADS = 256
SPARE = 512  # elements that the CPU's vectors may pass the end of the padded window by
WINDOWS = np.dtype([(key, np.int64, AXES) for key in ("size", "stride")])


def instantiations() -> list[tuple[str, str]]:
    """Every (file, name expression) that can be asked for."""
    return [("ball.cu", f"lowest_sum<{t}>") for t in ("u8", "u16", "u32", "u64", "f32", "f64")]


@dataclass(frozen=True)
class Ball:
    """The elements under a ball, by their distances along the axes, none below 0: `corner` is one of its 2^n parts.

    axes:   of the array, ascending
    corner: (elements, axes) int64, in C order
    adds:   what each adds, of the dtype that sums are made in; of integers without its fraction
    rounded_up: the same with it, of signed integers whose sums below 0 are cut towards 0
    """

    axes: tuple[int, ...]
    corner: np.ndarray
    adds: np.ndarray
    rounded_up: np.ndarray | None = None

    @classmethod
    def of(cls, axes: tuple[int, ...], radius: float, dtype: np.dtype) -> Ball:
        """In the steps of skimage.restoration.rolling_ball, for its bits: heights in float64, or float32 for such
        arrays."""
        along = np.meshgrid(*[np.arange(ceil(radius) + 1)] * len(axes), indexing="ij")
        squares = np.add.reduce([part.astype(np.float64) ** 2 for part in along])
        inside = np.sqrt(squares) <= radius
        heights = np.sqrt((radius**2 - squares[inside]).clip(0))
        corner = np.stack([part[inside] for part in along], axis=-1).astype(np.int64)
        if dtype.kind == "f":
            heights = heights.astype(np.float32 if dtype.itemsize < 8 else np.float64)
            return cls(axes, corner, heights[0] - heights)
        adds, key = heights[0] - heights, np.dtype(f"u{dtype.itemsize}")
        most = float(np.iinfo(key).max) if key.itemsize < 8 else 2.0**62
        up = np.ceil(adds).clip(0, most).astype(key) if dtype.kind == "i" else None
        return cls(axes, corner, np.floor(adds).clip(0, most).astype(key), up)

    @property
    def reach(self) -> int:
        return int(self.corner.max(initial=0))


@dataclass(frozen=True)
class Background(Local):
    """The background of an array, in its dtype. Elements outside of the array and NaN are not under the ball.

    nodata: what else is not
    """

    ball: Ball
    nodata: NoData | None = None

    def reads(self, grid: Grid) -> tuple[Taps, ...]:
        reach = self.ball.reach
        ours = Taps(2 * reach + 1, -reach, mode="constant")
        return tuple(ours if axis in self.ball.axes else Taps() for axis in range(grid.ndim))

    def describe(self) -> str:
        return f"background under a ball of {2 * self.ball.reach + 1} elements across"

    def meaning(self) -> Meaning:
        return Meaning(1.0)

    def without(self, nodata: NoData, grid: Grid) -> tuple[Operator, None]:
        return replace(self, nodata=nodata), None

    def element_time(self, grid: Grid) -> float:
        return 1.0 + 0.01 * len(self.ball.corner) * grid.dtype.itemsize

    def scratch(self, want: Region, grid: Grid, device: str) -> int:
        """The padded copy, in which NaN is found; results before they are stored; numbers of rows."""
        item, rows = max(4, grid.dtype.itemsize), want.size // max(1, want.shape[self.ball.axes[-1]])
        tables = self.ball.corner.nbytes * 2 ** (len(self.ball.axes) + 1)
        return prod(self._padded(want, grid)) * (2 * item + 4) + 3 * want.size * item + 16 * rows + tables + 2**16

    def _padded(self, want: Region, grid: Grid) -> tuple[int, ...]:
        """The shape of the window with what it lacks outside of the array."""
        pads = (2 * self.ball.reach * (axis in self.ball.axes) for axis in range(grid.ndim))
        return tuple(n + pad for n, pad in zip(want.shape, pads, strict=True))

    def _filled(self, window: Window, xp: Any, order: tuple[int, ...]) -> Any:
        """The window's values as unsigned integers in their order or floating-point numbers, on axes in an order, all
        that is missing or outside as the largest."""
        window = window.part(self.needed(window.want, window.grid))
        data, dtype = window.data, self.ball.adds.dtype
        valid = None if self.nodata is None else self.nodata.valid(data, xp)
        if dtype.kind == "f":
            data = data.astype(dtype)
            known = data == data
            valid = known if valid is None else valid & known
        else:
            data = xp.ascontiguousarray(data).view(dtype)
            if window.grid.dtype.kind == "i":
                data = data ^ dtype.type(1 << (8 * dtype.itemsize - 1))
        top = np.inf if dtype.kind == "f" else np.iinfo(dtype).max
        data = data if valid is None else xp.where(valid, data, dtype.type(top))
        shape = [self._padded(window.want, window.grid)[axis] for axis in order]
        filled = xp.full(prod(shape) + SPARE, dtype.type(top), dtype)[: prod(shape)].reshape(shape)
        reach = [self.ball.reach * (axis in self.ball.axes) for axis in range(window.grid.ndim)]
        first = [
            have[0] - want[0] + r for have, want, r in zip(window.have.spans, window.want.spans, reach, strict=True)
        ]
        filled[tuple(slice(first[axis], first[axis] + data.shape[axis]) for axis in order)] = data.transpose(order)
        return filled

    def _stored(self, found: Any, rounded_up: Any, dtype: np.dtype, xp: Any) -> Any:
        """The results of `adds`, and of `rounded_up`, as elements of the array's dtype."""
        if dtype.kind != "i":
            return found.astype(dtype) if found.dtype != dtype else found
        top = found.dtype.type(1 << (8 * dtype.itemsize - 1))
        down, up = (found ^ top).view(dtype), (rounded_up ^ top).view(dtype)
        return xp.where(down >= 0, down, up)

    def cpu(self, window: Window, out: np.ndarray) -> None:
        from gridstride.workers.families import ball_cpu  # Numba takes time to import

        if window.want.size == 0:
            return
        last = self.ball.axes[-1]
        order = (*(axis for axis in range(window.grid.ndim) if axis != last), last)
        filled = self._filled(window, np, order)
        shape = tuple(window.want.shape[axis] for axis in order)
        steps = strides(filled.shape)
        firsts = sum(
            np.arange(n).reshape((-1,) + (1,) * (len(shape) - 2 - number)) * step
            for number, (n, step) in enumerate(zip(shape[:-1], steps[:-1], strict=True))
        )
        firsts = np.broadcast_to(np.asarray(firsts, np.int64), shape[:-1]).reshape(-1)
        leading = [steps[order.index(axis)] for axis in self.ball.axes[:-1]]
        rows = self._rows(leading)
        found = []
        for adds in (self.ball.adds, self.ball.rounded_up):
            if adds is not None:
                result = np.empty((len(firsts), shape[-1]), filled.dtype)
                ball_cpu.lowest(filled.reshape(-1), np.ascontiguousarray(firsts), *rows, adds, self.ball.reach, result)
                found.append(result.reshape(shape))
        made = self._stored(found[0], found[-1], window.grid.dtype, np)
        np.copyto(out, made.transpose(np.argsort(order)))

    def _rows(self, steps: list[int]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """The ball row by row of its corner: the distances in memory of the rows that are alike, int64 (all of them);
        where each kind begins there, and its place in `adds`, int64 (kinds + 1,) each.

        steps: from row to row along each axis but the last
        """
        corner, reach = self.ball.corner, self.ball.reach
        begin = np.flatnonzero(corner[:, -1] == 0)
        offsets, kinds = [], [0]
        for at in begin:
            sides = product(*((n, -n) if n else (0,) for n in corner[at, :-1].tolist()))
            offsets += [sum(s * (n + reach) for s, n in zip(steps, side, strict=True)) for side in sides]
            kinds.append(len(offsets))
        return np.array(offsets, np.int64), np.array(kinds, np.int64), np.append(begin, len(corner)).astype(np.int64)

    def on_gpu(self, window: Window, machine: Machine) -> Any:
        xp, order = machine.xp, tuple(range(window.grid.ndim))
        filled, found = self._filled(window, xp, order), []
        for adds in (self.ball.adds, self.ball.rounded_up):
            if adds is not None:
                launches = Launches(window.want.shape, adds.dtype)
                self._launch(launches, filled.shape, adds)
                found.append(machine.run(launches, filled, {}))
        return self._stored(found[0], found[-1], window.grid.dtype, xp)

    def _launch(self, launches: Launches, padded: tuple[int, ...], adds: np.ndarray) -> None:
        """The sums of all elements under the ball, an element of the result for each thread."""
        if (count := prod(launches.out_shape)) == 0:
            return
        windows, steps = np.zeros((), WINDOWS), strides(padded)
        windows["size"], windows["stride"] = six(launches.out_shape, 1), six(steps, 0)
        along, reach = [steps[axis] for axis in self.ball.axes], self.ball.reach
        signs = np.array(list(product((1, -1), repeat=len(along))))
        places = self.ball.corner[:, None] * signs + reach
        offsets, first = np.unique((places * along).sum(-1), return_index=True)
        taps = launches.constant(offsets.astype(np.int64)), launches.constant(adds[first // len(signs)])
        args = Ref("data"), Ref("out"), launches.constant(windows), *taps, np.int32(len(offsets)), np.int64(count)
        expression = f"lowest_sum<{type_name(adds.dtype)}>"
        launches.launch("ball.cu", expression, ceil_div(count, THREADS), (THREADS, 1), 0, args)
