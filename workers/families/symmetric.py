"""Formulas of symmetric matrices, one at each element: their eigenvalues, and measures of ridges made of them.

The arrays are the upper triangle of the matrices, row by row: a00 a01 a02 a11 a12 a22. All is computed in float64, by
additions, multiplications, divisions and square roots alone, in one order: the CPU's bits are the GPU's. (But for the
exponentials of `frangi`.)
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

import numpy as np

from gridstride.workers.families.joined import MOST_ARRAYS, THREADS, Join
from gridstride.workers.families.rows import in_order
from gridstride.workers.launches import Launches, ceil_div, type_name
from gridstride.workers.operators.base import Axis, Grid, Meaning, Window
from gridstride.workers.region import Region

Formula = Literal["eigenvalues", "frobenius", "sato", "frangi"]
SIZES = {1: 1, 3: 2, 6: 3}  # of a matrix, by the number of elements of its upper triangle


def instantiations() -> list[tuple[str, str]]:
    """Every (file, name expression) that can be asked for."""
    found = [("eigenvalues", n) for n in (1, 2, 3)]
    found += [(formula, n) for formula in ("frobenius", "sato", "frangi") for n in (2, 3)]
    return [("symmetric.cu", f"symmetric<{t}, {n}, {formula}>") for formula, n in found for t in ("f32", "f64")]


@dataclass(frozen=True)
class Symmetric(Join):
    """A formula of a symmetric matrix at each element, of size 1, 2 or 3; arrays and result are float32 or float64.

    eigenvalues: on a new first axis, the largest first
    frobenius:   the square root of the sum of their squares
    sato:        numbers = (sign, sigma): sigma^2 times the geometric mean of all eigenvalues but the smallest, those
                 below 0 taken as 0; of the matrix times sign
    frangi:      numbers = (sign, alpha, beta, gamma): vesselness
    """

    formula: Formula
    numbers: tuple[float, ...] = field(default=())

    def out_grid(self, grid: Grid) -> Grid:
        self.same_dtype(grid, self.formula)
        if grid.dtype not in (np.float32, np.float64) or 1 + len(grid.others) not in SIZES:
            raise ValueError(f"{self.formula} of {1 + len(grid.others)} arrays of dtype {grid.dtype}")
        if self.formula != "eigenvalues":
            return grid.having()
        axes = (Axis("eigenvalue", "unknown"), *grid.axes)
        return Grid((self.size(grid), *grid.shape), grid.dtype, axes)

    @staticmethod
    def size(grid: Grid) -> int:
        return SIZES[1 + len(grid.others)]

    def axes_from(self, grid: Grid) -> tuple[int | None, ...]:
        own: tuple[int | None, ...] = tuple(range(grid.ndim))
        return (None, *own) if self.formula == "eigenvalues" else own

    def needed(self, want: Region, grid: Grid) -> Region:
        return Region(want.spans[1:]) if self.formula == "eigenvalues" else want

    def uncut(self, grid: Grid) -> frozenset[int]:
        return frozenset([0]) if self.formula == "eigenvalues" else frozenset()

    def describe(self) -> str:
        return {"frobenius": "norm of matrices"}.get(self.formula, self.formula)

    def meaning(self) -> Meaning:
        return Meaning()

    def scratch(self, want: Region, grid: Grid, device: str) -> int:
        """Copies of arrays and of the result that do not lie in a row."""
        return (1 + len(grid.others) + self.size(grid)) * want.size * grid.dtype.itemsize

    def cpu(self, window: Window, out: np.ndarray) -> None:
        from gridstride.workers.families import symmetric_cpu  # Numba takes time to import

        part = window.part(self.needed(window.want, window.grid))
        arrays = tuple(in_order(array).reshape(-1) for array in part.arrays)
        result = out if out.flags.c_contiguous else np.empty(out.shape, out.dtype)
        rows = self.size(window.grid) if self.formula == "eigenvalues" else 1
        compute = symmetric_cpu.FORMULAS[self.formula, self.size(window.grid)]
        compute(arrays, np.array(self.numbers, np.float64), result.reshape(rows, -1))
        if result is not out:
            out[...] = result

    def gpu(self, window: Window, launches: Launches) -> None:
        launches.out_dtype = dtype = np.dtype(window.data.dtype)
        arguments = self.arguments(window)
        if (count := int(arguments[MOST_ARRAYS + 1])) == 0:
            return
        numbers = launches.constant(np.array(self.numbers or (0.0,), np.float64))
        expression = f"symmetric<{type_name(dtype)}, {SIZES[len(window.arrays)]}, {self.formula}>"
        launches.launch("symmetric.cu", expression, ceil_div(count, THREADS), (THREADS, 1), 0, [*arguments, numbers])
