"""Which elements exceed a threshold of their own, that is made from the mean and the spread of what is around them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import prod
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from gridstride.workers.families.joined import THREADS, Join, OfAll
from gridstride.workers.families.rows import in_order
from gridstride.workers.launches import Launches, Ref, ceil_div, type_name
from gridstride.workers.nodata import NoData
from gridstride.workers.operators.base import Grid, Meaning, Operator, Window
from gridstride.workers.region import Region

if TYPE_CHECKING:
    from gridstride.workers.gpu import Machine

Formula = Literal["level", "niblack", "sauvola"]


def instantiations() -> list[tuple[str, str]]:
    """Every (file, name expression) that can be asked for."""
    found = [("f32", "level"), ("f64", "level"), ("f64", "niblack"), ("f64", "sauvola")]
    return [("exceeds.cu", f"exceeds<{t}, {formula}>") for t, formula in found]


@dataclass(frozen=True)
class Exceeds(Join):
    """Whether elements are greater than a threshold less `offset`; NaN never is, nor is anything greater than NaN.

    level:   of (elements, thresholds), which are float32 or float64
    niblack: of (elements, means, means of squares), which are float64: mean - k * deviation
    sauvola: of the same: mean * (1 + k * (deviation / r - 1))

    Elements may be of any dtype, and are compared as the others'.
    """

    formula: Formula
    offset: float
    k: float = 0.0
    r: float = 1.0

    def out_grid(self, grid: Grid) -> Grid:
        if len(set(grid.others)) != 1 or grid.others[0].kind != "f":
            raise ValueError(f"{self.formula} of thresholds of dtypes {[dtype.name for dtype in grid.others]}")
        return grid.having(bool)

    def without_several(self, nodata: Sequence[NoData | None], grid: Grid) -> tuple[Operator, NoData | None]:
        """Where an array has no value nothing exceeds."""
        return (OfAll(self, tuple(nodata), 0) if any(nodata) else self), None

    def describe(self) -> str:
        return "elements above a threshold of their own"

    def meaning(self) -> Meaning:
        return Meaning(truths=True)

    def joins(self, meanings: Sequence[Meaning]) -> Meaning:
        return self.meaning()

    def scratch(self, want: Region, grid: Grid, device: str) -> int:
        """Copies of arrays, and of a result, that do not lie in a row."""
        return want.size * (8 + sum(dtype.itemsize for dtype in grid.others) + 1)

    def cpu(self, window: Window, out: np.ndarray) -> None:
        from gridstride.workers.families import exceeds_cpu  # Numba takes time to import

        first, *others = window.part(window.want).arrays
        first = first.astype(np.float32) if first.dtype == np.float16 else first
        first = first.view(np.uint8) if first.dtype.kind == "b" else first
        arrays = [in_order(array).reshape(-1) for array in (first, *others)]
        result = out if out.flags.c_contiguous else np.empty(out.shape, bool)
        flat = result.reshape(-1).view(np.uint8)
        if self.formula == "level":
            exceeds_cpu.level(*arrays, others[0].dtype.type(self.offset), flat)
        else:
            exceeds_cpu.spread(*arrays, self.offset, self.k, self.r, self.formula == "sauvola", flat)
        if result is not out:
            out[...] = result

    def on_gpu(self, window: Window, machine: Machine) -> Any:
        return super().on_gpu(replace(window, data=window.data.astype(window.others[0].dtype)), machine)

    def gpu(self, window: Window, launches: Launches) -> None:
        launches.out_dtype, count = np.dtype(bool), prod(window.want.shape)
        if count == 0:
            return
        dtype, names = np.dtype(window.data.dtype), ["data", "data1", "data2"][: len(window.arrays)]
        pointers = [Ref(name) for name in (*names, names[-1])[:3]]
        numbers = [dtype.type(number) for number in (self.offset, self.k, self.r)]
        expression = f"exceeds<{type_name(dtype)}, {self.formula}>"
        args = *pointers, Ref("out"), np.int64(count), *numbers
        launches.launch("exceeds.cu", expression, ceil_div(count, THREADS), (THREADS, 1), 0, args)
