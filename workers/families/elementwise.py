"""Elementwise formulas: each element of the result follows from the same element of the array, and some numbers.

A formula is a row of FORMULAS (NumPy's twin) and a struct of the same name in cuda/elementwise.cu.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from math import floor, isnan, prod

import numpy as np

from gridstride.workers.families.casting import store
from gridstride.workers.families.nodata import Touched
from gridstride.workers.launches import INPUTS, Launches, Ref, ceil_div, type_name
from gridstride.workers.nodata import NoData
from gridstride.workers.operators.base import Grid, Meaning, Operator, Window
from gridstride.workers.operators.graph import Graph, Step
from gridstride.workers.region import Region

THREADS = 256
Formula = Callable[[np.ndarray, tuple[float | int, ...], np.ndarray], None]


def cast(data: np.ndarray, numbers: tuple[float | int, ...], out: np.ndarray) -> None:
    """The same numbers as another dtype: integers saturate, floating-point numbers are rounded half to even."""
    if data.dtype.kind == "f":
        store(data.astype(comparable(data.dtype), copy=False), out, "round")
    elif out.dtype.kind == "b":
        np.greater(data, 0, out=out)
    elif out.dtype.kind == "f" or data.dtype.kind == "b":
        with np.errstate(over="ignore"):
            out[...] = data
    else:
        have, limits = np.iinfo(data.dtype), np.iinfo(out.dtype)
        out[...] = data.clip(max(have.min, limits.min), min(have.max, limits.max))


def greater(data: np.ndarray, numbers: tuple[float | int, ...], out: np.ndarray) -> None:
    """Whether an element is greater than a number that the array's dtype has (float32 for float16)."""
    np.greater(data, comparable(data.dtype).type(numbers[0]), out=out)


def nonzero(data: np.ndarray, numbers: tuple[float | int, ...], out: np.ndarray) -> None:
    """Whether an element is not 0; NaN is not."""
    np.not_equal(data, 0, out=out)


def always(data: np.ndarray, numbers: tuple[float | int, ...], out: np.ndarray) -> None:
    """A number, whatever the array holds."""
    out[...] = numbers[0]


def scaled(data: np.ndarray, numbers: tuple[float | int, ...], out: np.ndarray) -> None:
    """Integers as parts of a number, the largest of their dtype, and not below -1: scikit-image's img_as_float."""
    np.multiply(data, out.dtype.type(1) / out.dtype.type(numbers[0]), out=out, dtype=out.dtype, casting="unsafe")
    np.maximum(out, -1, out=out)


FORMULAS: dict[str, Formula] = {
    "cast": cast,
    "greater": greater,
    "nonzero": nonzero,
    "always": always,
    "scaled": scaled,
}
TRUTHS = ("greater", "nonzero", "always")


def instantiations() -> list[tuple[str, str]]:
    """Every (file, name expression) that can be asked for. Formulas give truth values, but for casts and scales."""
    same = ("u8", "f32")  # bool is read as u8, float16 as f32
    casts = [(i, o) for i in INPUTS for o in (*INPUTS, "bool") if i != o or i in same]
    found = [f"elementwise<{i}, {o}, cast>" for i, o in casts]
    found += [f"elementwise<{i}, bool, {name}>" for i in INPUTS for name in TRUTHS]
    found += [f"elementwise<{i}, {o}, scaled>" for i in INPUTS[:8] for o in ("f32", "f64")]
    return [("elementwise.cu", expression) for expression in found]


@dataclass(frozen=True)
class Elementwise(Operator):
    """A formula of each element and of `numbers`, which are of the array's dtype."""

    formula: str
    out_dtype: np.dtype
    numbers: tuple[float | int, ...] = field(default=())

    def out_grid(self, grid: Grid) -> Grid:
        return grid.having(self.out_dtype)

    def describe(self) -> str:
        return f"{self.formula} {', '.join(map(str, self.numbers))}".strip()

    def meaning(self) -> Meaning:
        if self.formula == "scaled":
            return Meaning(1 / self.numbers[0])
        return Meaning(1.0, between=True, chosen=True) if self.formula == "cast" else Meaning()

    def without(self, nodata: NoData, grid: Grid) -> tuple[Operator, NoData | None]:
        """A cast leaves no data no data; where there are none, nothing is true."""
        left = nodata.stored_as(self.out_dtype) if self.formula in ("cast", "scaled") else None
        return Touched(self, nodata, 0 if left is None else left.value), left

    def scratch(self, want: Region, grid: Grid, device: str) -> int:
        # NumPy converts in pieces of its own; a copy of what rounding or clipping gives, or of float16, is larger
        return 16 * want.size

    def cpu(self, window: Window, out: np.ndarray) -> None:
        FORMULAS[self.formula](window.part(window.want).data, self.numbers, out)

    def gpu(self, window: Window, launches: Launches) -> None:
        dtype = np.dtype(window.data.dtype)
        launches.out_dtype = out = np.dtype(np.float32) if self.out_dtype == np.float16 else self.out_dtype
        count = prod(window.want.shape)
        if count == 0:
            return
        number = dtype.type(self.numbers[0] if self.numbers else 0)
        expression = f"elementwise<{type_name(dtype)}, {type_name(out)}, {self.formula}>"
        args = Ref("data"), Ref("out"), np.int64(count), number
        launches.launch("elementwise.cu", expression, ceil_div(count, THREADS), (THREADS, 1), 0, args)


def comparable(dtype: np.dtype) -> np.dtype:
    """What elements of a dtype are compared as: the kernels do not read float16."""
    return np.dtype(np.float32) if dtype == np.float16 else dtype


def above(dtype: np.dtype, value: float | int) -> Elementwise:
    """Whether elements of a dtype are greater than a value: as NumPy compares floating-point numbers, in the array's
    own precision (float16 in float32); integers are compared with any value exactly."""
    truth = np.dtype(bool)
    if dtype.kind == "f":
        with np.errstate(over="ignore"):
            return Elementwise("greater", truth, (float(comparable(dtype).type(value)),))
    if isnan(value):
        return Elementwise("always", truth, (0,))
    low, high = (0, 1) if dtype.kind == "b" else (int(np.iinfo(dtype).min), int(np.iinfo(dtype).max))
    if not low <= value < high:
        return Elementwise("always", truth, (int(value < low),))
    return Elementwise("greater", truth, (floor(value),))


def stored_as(operator: Operator, grid: Grid, dtype: np.dtype) -> Operator:
    """An operator whose result, of the input's dtype, is stored as another."""
    if dtype == operator.out_grid(grid).dtype:
        return operator
    return Graph((Step("exact", operator), Step("stored", Elementwise("cast", dtype), ("exact",))))
