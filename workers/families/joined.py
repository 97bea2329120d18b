"""Formulas of several arrays: each element of the result follows from the same element of each array.

A formula is a row of FORMULAS in joined_cpu.py and a struct of the same name in cuda/elementwise.cu.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from math import prod
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from gridstride.workers.families.nodata import Of, chosen, on_cpu
from gridstride.workers.families.rows import in_order
from gridstride.workers.launches import INPUTS, Launches, Ref, ceil_div, type_name
from gridstride.workers.nodata import NoData
from gridstride.workers.operators.base import Grid, Meaning, Operator, Window
from gridstride.workers.region import Region

if TYPE_CHECKING:
    from gridstride.workers.gpu import Machine

THREADS = 256
MOST_ARRAYS = 6  # that a kernel takes
FLOATS = ("f32", "f64")
Formula = Literal[
    "difference", "euclidean", "weighted", "maximum", "product", "ratio", "quotient", "corrected", "estimate"
]
FLOATING: tuple[Formula, ...] = (
    "euclidean",
    "weighted",
    "maximum",
    "product",
    "ratio",
    "quotient",
    "corrected",
    "estimate",
)
OF_TWO = ("difference", "ratio", "quotient", "corrected", "estimate")


def instantiations() -> list[tuple[str, str]]:
    """Every (file, name expression) that can be asked for."""
    found = [("difference", t) for t in INPUTS]
    found += [(formula, t) for formula in FLOATING for t in FLOATS]
    return [("elementwise.cu", f"joined<{t}, {formula}>") for formula, t in found]


@dataclass(frozen=True)
class Join(Operator):
    """An operator of several arrays, each element of whose result follows from one element of each of them."""

    def without(self, nodata: NoData, grid: Grid) -> tuple[Operator, NoData | None]:
        return self.without_several((nodata,), grid)

    def without_several(self, nodata: Sequence[NoData | None], grid: Grid) -> tuple[Operator, NoData | None]:
        """No data wherever an array has none."""
        some = [one for one in nodata if one is not None]
        if not some:
            return self, None
        left = some[0].stored_as(self.out_grid(grid).dtype)
        return OfAll(self, tuple(nodata), left.value), left

    def same_dtype(self, grid: Grid, what: str) -> None:
        """Raises ValueError for arrays of several dtypes."""
        if len({grid.dtype, *grid.others}) > 1:
            names = ", ".join(dtype.name for dtype in (grid.dtype, *grid.others))
            raise ValueError(f"{what} of arrays of dtypes {names}: expected one dtype")

    def arguments(self, window: Window) -> list[Any]:
        """Of a kernel: the arrays, of which there are MOST_ARRAYS places, the result, and how many elements."""
        names = ["data", *(f"data{n}" for n in range(1, len(window.arrays)))]
        pointers = [Ref(names[min(n, len(names) - 1)]) for n in range(MOST_ARRAYS)]
        return [*pointers, Ref("out"), np.int64(prod(self.needed(window.want, window.grid).shape))]


@dataclass(frozen=True)
class Joined(Join):
    """A formula of arrays of one dtype, which the result has too. As a step of a graph it reads several.

    difference: the first less the second, any dtype; integers saturate
    euclidean:  the square root of the sum of squares, which are added in float64
    weighted:   the sum of each array times its one of `numbers`
    maximum:    the largest, or NaN where one is NaN
    product:    of all; ratio: the first divided by the second
    quotient:   the first divided by the second and 1e-12; 0 where this is below the second number, and 1 where the
                first is not finite
    corrected:  the product of both; 0 for what is within 1e-30 of it, which would soon be numbers of fewer digits
    estimate:   the second, kept within the second number and its negative; the first, where that is not finite

    All but differences are of float32 or float64.
    """

    formula: Formula
    numbers: tuple[float, ...] = field(default=())

    def out_grid(self, grid: Grid) -> Grid:
        self.check(grid)
        return grid.having()

    def check(self, grid: Grid) -> None:
        """Raises ValueError for arrays that the formula cannot be of."""
        self.same_dtype(grid, self.formula)
        count = 1 + len(grid.others)
        if self.formula != "difference" and (grid.dtype.kind != "f" or grid.dtype.itemsize < 4):
            raise ValueError(f"{self.formula} of arrays of dtype {grid.dtype}: expected float32 or float64")
        if self.formula in OF_TWO and count != 2:
            raise ValueError(f"{self.formula} of {count} arrays: expected 2")
        if count > MOST_ARRAYS:
            raise ValueError(f"{self.formula} of {count} arrays: expected {MOST_ARRAYS} at most")

    def describe(self) -> str:
        return f"{self.formula} {', '.join(f'{number:g}' for number in self.numbers)}".strip()

    def meaning(self) -> Meaning:
        return self.joins((Meaning(1.0, between=True, chosen=True),))

    def joins(self, meanings: Sequence[Meaning]) -> Meaning:
        gains = [meaning.gain for meaning in meanings]
        if self.formula in ("product", *OF_TWO[1:]):
            return Meaning()
        known = [gain for gain in gains if gain is not None]
        if len(known) < len(gains):
            return Meaning()
        if self.formula == "euclidean":  # of differences: no constant is left, but the scale is
            return Meaning(0.0) if not any(known) else Meaning()
        if self.formula == "maximum":
            return Meaning(known[0], all(m.between for m in meanings)) if len(set(known)) == 1 else Meaning()
        weights = (1.0, -1.0) if self.formula == "difference" else self.numbers
        gain = sum(weight * gain for weight, gain in zip(weights, known, strict=True))
        return Meaning.of_sum(gain, positive=False)

    def scratch(self, want: Region, grid: Grid, device: str) -> int:
        """Copies of arrays (and of the result) that do not lie in a row; three temporary arrays of a difference."""
        copies = 2 + len(grid.others)
        return (copies + 3) * want.size * max(4, grid.dtype.itemsize)

    def cpu(self, window: Window, out: np.ndarray) -> None:
        from gridstride.workers.families.joined_cpu import FORMULAS  # Numba takes time to import

        arrays = tuple(in_order(array).reshape(-1) for array in window.part(window.want).arrays)
        flat = out.reshape(-1) if out.flags.c_contiguous else np.empty(out.size, out.dtype)
        FORMULAS[self.formula](arrays, np.array(self.numbers, np.float64), flat)
        if not out.flags.c_contiguous:
            out[...] = flat.reshape(out.shape)

    def gpu(self, window: Window, launches: Launches) -> None:
        dtype = np.dtype(window.data.dtype)
        launches.out_dtype, count = dtype, prod(window.want.shape)
        if count == 0:
            return
        numbers = launches.constant(np.array(self.numbers or (0.0,), dtype))
        args = [*self.arguments(window), np.int32(len(window.arrays)), numbers]
        expression = f"joined<{type_name(dtype)}, {self.formula}>"
        launches.launch("elementwise.cu", expression, ceil_div(count, THREADS), (THREADS, 1), 0, args)


@dataclass(frozen=True)
class OfAll(Of):
    """A join of arrays some of which lack elements: missing wherever one of them lacks one.

    nodata: of each array; missing: what a missing element of the result holds
    """

    operator: Join
    nodata: tuple[NoData | None, ...]
    missing: float | int

    def describe(self) -> str:
        return self.operator.describe()

    def joins(self, meanings: Sequence[Meaning]) -> Meaning:
        return self.operator.joins(meanings)

    def scratch(self, want: Region, grid: Grid, device: str) -> int:
        """The result twice more, and which elements have a value."""
        return self.operator.scratch(want, grid, device) + want.size * (3 * max(4, grid.dtype.itemsize) + 3)

    def cpu(self, window: Window, out: np.ndarray) -> None:
        out[...] = self._made(window, np, on_cpu(self.operator, window))

    def on_gpu(self, window: Window, machine: Machine) -> Any:
        from gridstride.workers.gpu import compute

        return self._made(window, machine.xp, compute(self.operator, window, machine))

    def _made(self, window: Window, xp: Any, result: Any) -> Any:
        """The result where all arrays have a value. It may have a further leading axis."""
        arrays = window.part(self.needed(window.want, window.grid)).arrays
        valid = xp.ones(arrays[0].shape, bool)
        for array, nodata in zip(arrays, self.nodata, strict=True):
            if nodata is not None:
                valid &= nodata.valid(array, xp)
        return chosen(valid, result, self.missing, xp)
