"""Sums of 64-bit integers by whole weights, exact: those of the high and the low 32 bits apart, then joined."""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import gcd, isfinite, prod
from typing import TYPE_CHECKING, Any

import numpy as np

from gridstride.workers.families.nodata import Touched
from gridstride.workers.families.separable import Separable
from gridstride.workers.families.stencil import Stencil
from gridstride.workers.families.weights import rank_one
from gridstride.workers.nodata import NoData
from gridstride.workers.operators.base import Grid, Meaning, Operator, Window, signs
from gridstride.workers.region import Region

if TYPE_CHECKING:
    from gridstride.workers.gpu import Machine

# The sum of the weights' sizes, for which no sum of 32 bits and a sign leaves 64.
MOST = 2**29
LOW = 0xFFFFFFFF


@dataclass(frozen=True)
class Exact(Operator):
    """An operator of whole weights whose sums are made of integers: what is exact is rounded once, to the result.

    sums: the same operator, with sums in float64
    """

    sums: Separable | Stencil

    def out_grid(self, grid: Grid) -> Grid:
        return self.sums.out_grid(grid)

    def needed(self, want: Region, grid: Grid) -> Region:
        return self.sums.needed(want, grid)

    def uncut(self, grid: Grid) -> frozenset[int]:
        return self.sums.uncut(grid)

    def describe(self) -> str:
        return f"{self.sums.describe().partition(',')[0]}, exact sums of whole numbers"

    def meaning(self) -> Meaning:
        return self.sums.meaning()

    def remarks(self, grid: Grid) -> tuple[str, ...]:
        return signs(self.sums.out_dtype, self.sums.cast) if self.meaning().gain == 0 else ()

    def without(self, nodata: NoData, grid: Grid) -> tuple[Operator, NoData | None]:
        """As sums in float64, which means of the elements that have a value are made of."""
        operator, left = self.sums.without(nodata, grid)
        return (replace(operator, operator=self) if isinstance(operator, Touched) else operator), left

    def scratch(self, want: Region, grid: Grid, device: str) -> int:
        """One half of the data, sums of both, and what joining them works in."""
        data = self.needed(want, grid).size + 64 * grid.ndim
        return 8 * (2 * data + 8 * want.size) + self._half(True).scratch(want, grid, device)

    def cpu(self, window: Window, out: np.ndarray) -> None:
        high, low = np.empty(out.shape, np.int64), np.empty(out.shape, np.int64)
        self._half(True).cpu(_halved(window, True), high)
        self._half(False).cpu(_halved(window, False), low)
        out[...] = _joined(high, low, self.divisor, out.dtype, np)

    def on_gpu(self, window: Window, machine: Machine) -> Any:
        from gridstride.workers.gpu import compute

        high, low = (compute(self._half(part), _halved(window, part), machine) for part in (True, False))
        return _joined(high, low, self.divisor, self.sums.out_dtype, machine.xp)

    @property
    def divisor(self) -> int:
        """Of the sums: all passes' divisors, which sums of integers leave to the end."""
        return prod(int(p.divisor) for p in self.sums.passes) if isinstance(self.sums, Separable) else 1

    def _half(self, high: bool) -> Separable | Stencil:
        """The operator for one half of the bits: its weights, and that half of the value outside."""

        def half(value: float | int) -> int:
            return int(value) >> 32 if high else int(value) & LOW

        changes: dict[str, Any] = {"precision": "whole", "out_dtype": np.dtype(np.int64)}
        if isinstance(self.sums, Stencil):
            return self.sums.but(**changes, cval=half(self.sums.cval))
        passes, divided = [], 1
        for step in self.sums.passes:
            passes.append(replace(step, cval=half(int(step.cval) * divided), divisor=1.0))
            divided *= int(step.divisor)
        return self.sums.but(**changes, passes=tuple(passes))


def exactly(operator: Separable | Stencil, grid: Grid, precision: str) -> Operator:
    """The operator with exact sums, where its weights and the array's integers allow it; else as it is.

    precision: that was asked for
    """
    return Exact(operator) if is_exact(grid, precision, operator.cast) and _fits(operator) else operator


def is_exact(grid: Grid, precision: str, cast: str) -> bool:
    """Whether sums are to be exact: of 64-bit integers, unless floating-point sums, or scipy's, are asked for."""
    return grid.dtype.kind in "iu" and grid.dtype.itemsize == 8 and (precision, cast) == ("auto", "round")


def whole_factors(kernel: np.ndarray) -> list[np.ndarray] | None:
    """The factors of a kernel of rank one, one for each axis: whole ones of a whole kernel. None if there are none."""
    factors = rank_one(kernel)
    if factors is None or not _whole(kernel) or np.abs(kernel).max() > MOST:
        return factors
    peak = tuple(int(i) for i in np.unravel_index(int(np.argmax(np.abs(kernel))), kernel.shape))
    found, rest = [], int(kernel[peak])
    for axis in range(kernel.ndim):
        where: tuple[slice | int, ...] = (*peak[:axis], slice(None), *peak[axis + 1 :])
        fibre = kernel[where].astype(np.int64)
        found.append(fibre // gcd(*fibre.tolist()))
        rest //= int(found[-1][peak[axis]])
    found[0] *= rest
    rebuilt = np.ones((), np.int64)
    for factor in found:
        rebuilt = rebuilt[..., None] * factor
    return [factor.astype(np.float64) for factor in found] if (rebuilt == kernel).all() else None


def _fits(operator: Separable | Stencil) -> bool:
    """Whether sums and the value outside are whole, and no sum is too large for 64 bits."""
    if isinstance(operator, Stencil):
        if operator.algorithm != "direct" or operator.bias is not None:
            return False
        held = "constant" not in operator.modes or _held(operator.cval, 1)
        size = max(np.abs(w).sum() for w in operator.weights)
        return _whole(operator.weights) and size < MOST and held
    size = 1.0
    for step in operator.passes:
        whole = _whole(step.weights) and step.divisor == int(step.divisor)
        if not whole or (step.mode == "constant" and not _held(step.cval, size)):
            return False
        size *= float(np.abs(step.weights).sum())
    return size < MOST


def _whole(values: np.ndarray) -> bool:
    return bool((values == np.rint(values)).all())


def _held(value: float | int, size: float) -> bool:
    """Whether a value is a whole number of 64 bits, or what weights of a size make of one."""
    return isfinite(value) and value == int(value) and -(2**63) * size <= value < 2**64 * size


def _halved(window: Window, high: bool) -> Window:
    """The window with the high or the low 32 bits of its data: data = high * 2^32 + low."""
    data = window.data >> 32 if high else window.data & LOW
    return replace(window, data=data.astype(np.int64, copy=False), grid=window.grid.having(np.int64))


def _joined(high: Any, low: Any, divisor: int, dtype: np.dtype, xp: Any) -> Any:
    """(high * 2^32 + low) / divisor as a dtype: integers half to even, and saturated.

    Divisions are towards -infinity; |high| and |low| are below 2^61, divisor below 2^29.
    """
    if dtype.kind == "f":
        high, low = high + (low >> 32), low & LOW
        near = xp.abs(high) < 2**31
        value = xp.where(near, (high << 32) + low, 0).astype(np.float64)
        value = xp.where(near, value, high * 2.0**32 + low) / divisor
        with np.errstate(over="ignore"):
            return value.astype(dtype)
    if divisor != 1:
        high, rest = high // divisor, high % divisor
        low = low + (rest << 32)
        low, rest = low // divisor, low % divisor
        low = low + ((2 * rest > divisor) | ((2 * rest == divisor) & ((low & 1) == 1)))
    high, low = high + (low >> 32), low & LOW
    if dtype == np.uint64:
        value = (high.astype(np.uint64) << 32) | low.astype(np.uint64)
        return xp.where(high < 0, np.uint64(0), xp.where(high > LOW, np.uint64(2**64 - 1), value))
    limits = np.iinfo(np.int64)
    value = xp.where(high < -(2**31), limits.min, xp.where(high >= 2**31, limits.max, (high << 32) + low))
    if dtype.kind == "b":
        return value > 0
    return value.clip(np.iinfo(dtype).min, min(np.iinfo(dtype).max, limits.max)).astype(dtype)
