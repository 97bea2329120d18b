"""one-hot: a class for each label, on a new axis, as torch.nn.functional.one_hot."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from math import prod
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import numpy as np
from pydantic import Field

from gridstride.workers.families.histogram import Extremes, extremes
from gridstride.workers.families.nodata import OfValid
from gridstride.workers.families.rows import in_order
from gridstride.workers.launches import Launches, Ref, ceil_div
from gridstride.workers.nodata import NoData
from gridstride.workers.operators.base import Axis, Grid, Meaning, Operator, Report, Window
from gridstride.workers.operators.fields import DType
from gridstride.workers.operators.kinds import Size, Whole
from gridstride.workers.operators.recipe import Recipe
from gridstride.workers.region import Region

if TYPE_CHECKING:
    from gridstride.workers.gpu import Machine

THREADS = 256


def instantiations() -> list[tuple[str, str]]:
    """Every (file, name expression) that can be asked for."""
    return [("onehot.cu", f"one_hot<u{bits}>") for bits in (8, 16, 32, 64)]


class OneHot(Recipe):
    """Labels as classes: a new axis on which the element of the label's number is 1 and all others are 0.

    Equal to torch.nn.functional.one_hot and numpy.eye(classes)[labels]; --axis 0 puts the new axis first, as
    convolutions take it. Labels are whole numbers from 0 to classes - 1; others are refused, which an array of a dtype
    that can hold them is read once more for, or with --outside zeros belong to no class.
    Example: gridstride filter one-hot mask.zarr classes.zarr --classes 2 --axis 0
    """

    formula: ClassVar[str] = "out[i, k] = 1 if in[i] = k, else 0"
    source: ClassVar[str] = "torch.nn.functional.one_hot"

    classes: Size = Field(description="How many there are: labels are 0 to one less.")
    axis: Whole = Field(-1, description="Where the new axis is in the result: 0 is the first, -1 the last.")
    dtype: DType = Field(None, description="Of the result (default: uint8).")
    outside: Literal["error", "zeros"] = Field("error", description="What other labels are: refused, or of no class.")

    def bind(self, grid: Grid) -> Operator:
        if grid.dtype.kind not in "bui":
            raise ValueError(f"the array has dtype {grid.dtype}: expected labels, which are integers; cast it first")
        if not -grid.ndim - 1 <= self.axis <= grid.ndim:
            most = f"{-grid.ndim - 1} to {grid.ndim}"
            raise ValueError(f"axis is {self.axis}: expected {most}, for {grid.ndim + 1} axes of the result")
        low, high = (0, 1) if grid.dtype.kind == "b" else (int(np.iinfo(grid.dtype).min), int(np.iinfo(grid.dtype).max))
        unsure = self.outside == "error" and (low < 0 or high >= self.classes)
        return Classes(self.classes, self.axis % (grid.ndim + 1), np.dtype(self.dtype or "uint8"), unsure)


@dataclass(frozen=True)
class Classes(Operator):
    """1 where a label is the index on a new axis, else 0.

    unsure: whether the labels must be found to be classes first; nodata: labels that belong to no class
    """

    classes: int
    axis: int
    dtype: np.dtype
    unsure: bool = False
    nodata: NoData | None = None

    def out_grid(self, grid: Grid) -> Grid:
        """The new axis is one of channels, c where no axis has this name."""
        name = "class" if any(axis.name == "c" for axis in grid.axes) else "c"
        named = Axis(name if any(axis.name for axis in grid.axes) else "", "channel")
        axes, shape = list(grid.axes), list(grid.shape)
        axes.insert(self.axis, named)
        shape.insert(self.axis, self.classes)
        return Grid(tuple(shape), self.dtype, tuple(axes))

    def axes_from(self, grid: Grid) -> tuple[int | None, ...]:
        return (*range(self.axis), None, *range(self.axis, grid.ndim))

    def needed(self, want: Region, grid: Grid) -> Region:
        return Region((*want.spans[: self.axis], *want.spans[self.axis + 1 :]))

    def describe(self) -> str:
        return f"{self.classes} classes of labels"

    def meaning(self) -> Meaning:
        return Meaning(truths=True)

    def element_time(self, grid: Grid) -> float:
        return 0.5

    def without(self, nodata: NoData, grid: Grid) -> tuple[Operator, None]:
        """Elements without data are of no class."""
        return replace(self, nodata=nodata), None

    def first_sweep(self) -> Operator | None:
        if not self.unsure:
            return None
        return Extremes() if self.nodata is None else OfValid(Extremes(), self.nodata)

    def resolve(self, reports: Iterable[Report], grid: Grid) -> Operator:
        found = extremes(reports)
        if found is not None and not 0 <= found[0] <= found[1] < self.classes:
            raise ValueError(
                f"the array has labels from {found[0]} to {found[1]}: expected 0 to {self.classes - 1}, for classes "
                f"{self.classes}; give more classes, or outside zeros for labels that belong to no class"
            )
        return replace(self, unsure=False)

    def scratch(self, want: Region, grid: Grid, device: str) -> int:
        """A copy of labels, and of a result that does not lie in a row; on a GPU bytes that are stored as the dtype."""
        need = self.needed(want, grid).size
        return need * grid.dtype.itemsize + want.size * (self.dtype.itemsize + (device == "gpu"))

    def cpu(self, window: Window, out: np.ndarray) -> None:
        from gridstride.workers.families.onehot_cpu import classify  # Numba takes time to import

        data = in_order(as_unsigned(window.part(self.needed(window.want, window.grid)).data, np))
        result = out if out.flags.c_contiguous else np.empty(out.shape, out.dtype)
        bits = np.dtype(f"u{out.itemsize}")
        one = np.ones(1, out.dtype).view(bits)[0]
        after, (first, last) = prod(data.shape[self.axis :]), window.want.spans[self.axis]
        if result.size:
            target = result.view(bits).reshape(-1, last - first, after)
            classify(data.reshape(-1, after), first, largest(window.grid), one, target)
        self._clear(result, window.want)
        if result is not out:
            out[...] = result

    def _clear(self, result: Any, want: Region) -> None:
        """Make the classes of labels that stand for no data 0."""
        first, last = want.spans[self.axis]
        for label in () if self.nodata is None else self.nodata.values:
            if first <= label < last:
                result[(slice(None),) * self.axis + (int(label) - first,)] = 0

    def on_gpu(self, window: Window, machine: Machine) -> Any:
        labels = as_unsigned(window.data, machine.xp)
        launches = Launches(window.want.shape, np.dtype(np.uint8))
        self.gpu(replace(window, data=labels), launches)
        result = machine.run(launches, labels, {}).astype(self.dtype)
        self._clear(result, window.want)
        return result

    def gpu(self, window: Window, launches: Launches) -> None:
        if (count := prod(window.want.shape)) == 0:
            return
        after = prod(window.want.shape[self.axis + 1 :])
        first, last = window.want.spans[self.axis]
        numbers = np.array([count, last - first, after, first, largest(window.grid)], np.int64)
        args = Ref("data"), Ref("out"), *numbers
        expression = f"one_hot<u{8 * window.data.dtype.itemsize}>"
        launches.launch("onehot.cu", expression, ceil_div(count, THREADS), (THREADS, 1), 0, args)


def largest(grid: Grid) -> int:
    """The largest label that the array's dtype has, below 2^62."""
    return 1 if grid.dtype.kind == "b" else min(int(np.iinfo(grid.dtype).max), 2**62)


def as_unsigned(labels: Any, xp: Any) -> Any:
    """Labels as unsigned integers: those below 0 are above `largest`."""
    return xp.ascontiguousarray(labels).view(f"u{labels.dtype.itemsize}")
