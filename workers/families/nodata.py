"""Operators for arrays with elements that are missing, made of the operators that know nothing of it.

    Normalised   a weighted mean:  sum of w x / sum of w, both over the elements that have a value
    LeftOut      an operator of floating-point numbers that leaves out NaN
    Touched      any other sum, or a formula: no data where a missing element has a weight
    Unified      several values that stand for no data become one
    OfValid      a report of the elements that have a value
    Awaiting     an operator that needs such a report first

What they do with arrays is written once for NumPy and CuPy; all sums are the operators' own.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from math import nan
from typing import TYPE_CHECKING, Any

import numpy as np

from gridstride.workers.nodata import NoData
from gridstride.workers.operators.base import Axis, Grid, Meaning, Operator, Report, Window, crop
from gridstride.workers.region import Region

if TYPE_CHECKING:
    from gridstride.workers.gpu import Machine

Run = Callable[[Operator, Window], Any]


def on_cpu(operator: Operator, window: Window) -> np.ndarray:
    """The operator's result for a window, as a new array."""
    out = np.empty(window.want.shape, operator.out_grid(window.grid).dtype)
    operator.cpu(window, out)
    return out


@dataclass(frozen=True)
class Of(Operator):
    """An operator with the geometry of another."""

    operator: Operator

    @property
    def exact(self) -> bool:  # type: ignore[override]
        return self.operator.exact

    @property
    def even(self) -> bool:  # type: ignore[override]
        return self.operator.even

    @property
    def cpu_only(self) -> bool:  # type: ignore[override]
        return self.operator.cpu_only

    def out_grid(self, grid: Grid) -> Grid:
        return self.operator.out_grid(grid)

    def axes_from(self, grid: Grid) -> tuple[int | None, ...]:
        return self.operator.axes_from(grid)

    def needed(self, want: Region, grid: Grid) -> Region:
        return self.operator.needed(want, grid)

    def uncut(self, grid: Grid) -> frozenset[int]:
        return self.operator.uncut(grid)

    def meaning(self) -> Meaning:
        return self.operator.meaning()

    def remarks(self, grid: Grid) -> tuple[str, ...]:
        return self.operator.remarks(grid)


@dataclass(frozen=True)
class Masked(Of):
    """An operator with the geometry of `operator`, for arrays in which some values are missing.

    nodata: the values that are; missing: what a missing element of the result holds
    """

    nodata: NoData
    missing: float | int

    def describe(self) -> str:
        return f"{self.operator.describe()}, of elements that have a value"

    def helpers(self, grid: Grid) -> list[tuple[Operator, Grid]]:
        """The operators that work one after another on the window, and the grids that each reads."""
        return [(self.operator, grid)]

    def element_time(self, grid: Grid) -> float:
        return 2 * sum(operator.element_time(read) for operator, read in self.helpers(grid))

    def scratch(self, want: Region, grid: Grid, device: str) -> int:
        """Filled data and a mask; the mask's reach, results in float64 and their quotient; and what helpers need."""
        need, out = self.needed(want, grid).size, self.out_grid(grid).dtype.itemsize
        own = max(operator.scratch(want, read, device) for operator, read in self.helpers(grid))
        return need * (max(4, grid.dtype.itemsize) + 4) + want.size * (6 * 8 + 3 * out) + own

    def made(self, window: Window, valid: Any, xp: Any, run: Run) -> Any:
        """The result for a window that has just what it needs; valid: which of its elements have a value."""
        raise NotImplementedError

    def cpu(self, window: Window, out: np.ndarray) -> None:
        window = window.part(self.needed(window.want, window.grid))
        out[...] = self.made(window, self.nodata.valid(window.data, np), np, on_cpu)

    def on_gpu(self, window: Window, machine: Machine) -> Any:
        from gridstride.workers.gpu import compute

        valid = self.nodata.valid(window.data, machine.xp)
        return self.made(window, valid, machine.xp, lambda operator, part: compute(operator, part, machine))


def filled(window: Window, valid: Any, xp: Any, value: float | int = 0) -> Window:
    """The window with a value in place of missing elements."""
    return replace(window, data=xp.where(valid, window.data, window.data.dtype.type(value)))


def as_bytes(window: Window, mask: Any) -> Window:
    """The window of a mask of its elements, as 0 and 1."""
    return replace(window, data=mask.view(np.uint8), grid=window.grid.having(np.uint8))


def chosen(where: Any, values: Any, otherwise: float | int, xp: Any) -> Any:
    return xp.where(where, values, values.dtype.type(otherwise))


@dataclass(frozen=True)
class Normalised(Masked):
    """gain * sum of w x / sum of w, over the elements that have a value; missing where there is none.

    H. Knutsson, C.-F. Westin, "Normalized and differential convolution", 1993, eq. 4.
    operator, weights: the sums, in float64, of elements and of 1 for each; stored: writes float64 as the result
    gain: the sum of all weights, of which results are a multiple
    """

    weights: Operator
    stored: Operator
    gain: float

    def out_grid(self, grid: Grid) -> Grid:
        return self.stored.out_grid(self.operator.out_grid(grid))

    def describe(self) -> str:
        return f"{self.operator.describe()}, divided by the weights of elements that have a value"

    def meaning(self) -> Meaning:
        return Meaning.of_sum(self.gain, positive=True)

    def helpers(self, grid: Grid) -> list[tuple[Operator, Grid]]:
        sums = self.operator.out_grid(grid)
        return [(self.operator, grid), (self.weights, grid.having(np.uint8)), (self.stored, sums)]

    def made(self, window: Window, valid: Any, xp: Any, run: Run) -> Any:
        sums = run(self.operator, filled(window, valid, xp))
        weights = run(self.weights, as_bytes(window, valid))
        some = weights > 0
        means = sums / chosen(some, weights, 1, xp)
        if self.gain != 1:
            means = means * self.gain
        want, grid = window.want, self.operator.out_grid(window.grid)
        result = run(self.stored, Window(chosen(some, means, 0, xp), want, want, grid))
        return chosen(some, result, self.missing, xp)


@dataclass(frozen=True)
class LeftOut(Masked):
    """The operator's result; it leaves out NaN, or another `filler`, which missing elements are to it, and gives as
    many elements as it has. What was missing is still missing."""

    filler: float | int = nan

    def made(self, window: Window, valid: Any, xp: Any, run: Run) -> Any:
        result = run(self.operator, filled(window, valid, xp, self.filler))
        return chosen(crop(valid, window.have, window.want, window.grid.shape), result, self.missing, xp)


@dataclass(frozen=True)
class Touched(Masked):
    """The operator's result, missing wherever it is made from a missing element.

    reach: counts the missing elements that have a weight; None: the result is made from the one element alone
    """

    reach: Operator | None = None

    def describe(self) -> str:
        return self.operator.describe() + ("" if self.reach is None else ", no data wherever the kernel meets no data")

    def helpers(self, grid: Grid) -> list[tuple[Operator, Grid]]:
        reach = [] if self.reach is None else [(self.reach, grid.having(np.uint8))]
        return [(self.operator, grid), *reach]

    def made(self, window: Window, valid: Any, xp: Any, run: Run) -> Any:
        result = run(self.operator, filled(window, valid, xp))
        # Counts are whole numbers, which an FFT gives up to rounding.
        kept = valid if self.reach is None else run(self.reach, as_bytes(window, ~valid)) < 0.5
        return chosen(kept, result, self.missing, xp)


@dataclass(frozen=True)
class Unified(Masked):
    """The same elements, the missing ones all with one value, which of zeros has no sign. operator: the identity"""

    def describe(self) -> str:
        return "one value for no data"

    def made(self, window: Window, valid: Any, xp: Any, run: Run) -> Any:
        return chosen(valid, window.data, self.missing, xp)


@dataclass(frozen=True)
class OfValid(Operator):
    """What a sweep that only reports says of the elements that have a value."""

    operator: Operator
    nodata: NoData

    @property
    def cpu_only(self) -> bool:  # type: ignore[override]
        return self.operator.cpu_only

    def writes(self) -> bool:
        return False

    def scratch(self, want: Region, grid: Grid, device: str) -> int:
        return self.operator.scratch(want, grid, device) + want.size * (grid.dtype.itemsize + 4)

    def valid_part(self, window: Window, xp: Any) -> Window:
        """The elements that have a value, one after another."""
        data = window.part(window.want).data
        data = data[self.nodata.valid(data, xp)]
        row = Region.whole(data.shape)
        return Window(data, row, row, Grid(data.shape, window.grid.dtype, (Axis(""),)))

    def cpu(self, window: Window, out: np.ndarray) -> Report | None:
        return self.operator.cpu(self.valid_part(window, np), out)

    def on_gpu(self, window: Window, machine: Machine) -> Any:
        from gridstride.workers.gpu import compute

        return compute(self.operator, self.valid_part(window, machine.xp), machine)


@dataclass(frozen=True)
class Awaiting(Masked):
    """An operator that needs a sweep of reports before it can be, and then leaves missing elements out."""

    def first_sweep(self) -> Operator | None:
        first = self.operator.first_sweep()
        assert first is not None
        return OfValid(first, self.nodata)

    def sweeps(self) -> int:
        return self.operator.sweeps()

    def resolve(self, reports: Iterable[Report], grid: Grid) -> Operator:
        return self.operator.resolve(reports, grid).without(self.nodata, grid)[0]
