"""What the operators of morphology share: erosion and dilation, of numbers and of truth values, as steps of a graph."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any

import numpy as np
from pydantic import BeforeValidator, Field

from gridstride.workers.families.elementwise import Elementwise, stored_as
from gridstride.workers.families.joined import Joined
from gridstride.workers.families.minmax import MinMax, extreme
from gridstride.workers.families.weights import MOST_TAPS
from gridstride.workers.operators.base import Grid, Operator
from gridstride.workers.operators.fields import ArrayOrFile, Box, Boxed, Filter, load_array, per_axis
from gridstride.workers.operators.graph import INPUT, Graph, Step
from gridstride.workers.operators.kinds import Offsets, Size, Sizes, whole, within

MOST_STEPS = 1000  # of iterations that are made one by one
TOGETHER = 4  # iterations that one step makes: more cost more than another step

Steps = tuple[Step, ...]


class Flat(Boxed):
    """A filter of minima and maxima over a box or a flat footprint."""

    size: Sizes | None = Field(3, description="Of the box in elements, one or one per filtered axis.")

    def erosion(self, grid: Grid) -> MinMax:
        return extreme(self.checked(grid), False, grid, self.outside(grid))

    def dilation(self, grid: Grid) -> MinMax:
        """Over the box turned round its output, as scipy.ndimage.grey_dilation takes it."""
        return extreme(self.checked(grid).reflected(), True, grid, self.outside(grid))

    def checked(self, grid: Grid) -> Box:
        box = self.box(grid)
        if max(box.size) > MOST_TAPS:
            raise ValueError(f"the box has {max(box.size)} elements along an axis: expected {MOST_TAPS} at most")
        return box

    def stored(self, grid: Grid, *operators: Operator) -> Operator:
        """Operators one after another, and the last one's result in the dtype asked for."""
        return stored_as(in_turn(*operators), grid, self.out_dtype(grid))

    def difference(self, grid: Grid, steps: Steps, first: str, second: str) -> Graph:
        return difference(grid, self.out_dtype(grid), steps, first, second)


def difference(grid: Grid, dtype: np.dtype, steps: Steps, first: str, second: str) -> Graph:
    """The first less the second, of what steps give or INPUT, in the dtype asked for. In that it is taken where it
    holds all values of the array, else in the array's."""
    have = grid.dtype
    rounded = have.kind in "iu" and have.itemsize == 8 and dtype.kind == "f"
    if dtype != have and np.can_cast(have, dtype, "safe") and not rounded:
        cast = Elementwise("cast", dtype)
        steps = (*steps, Step("first", cast, (first,)), Step("second", cast, (second,)))
        first, second, have = "first", "second", dtype
    steps = (*steps, Step("difference", Joined("difference"), (first, second)))
    if dtype != have:
        steps = (*steps, Step("stored", Elementwise("cast", dtype), ("difference",)))
    return Graph(steps, own=True)


def repeats(given: Any) -> int:
    """How often. Until nothing changes, which is scipy's 0, has no bound on how far a result reaches."""
    if (found := whole(given)) < 1:
        raise ValueError("expected 1 or more: how often it takes until nothing changes, no block can know")
    return within(1, 2**31 - 1)(found)


class Binary(Filter):
    """A filter of truth values, which elements that are not 0 are, with a structure around each element."""

    iterations: Annotated[int, BeforeValidator(repeats)] = Field(
        1, description="How often it is repeated, 1 or more: not until nothing changes, which is scipy's 0."
    )
    connectivity: Size | None = Field(
        None,
        description="Of the structure, an element and those around it: 1 those with a face in common (default), 2 with "
        "an edge too, up to the number of filtered axes: all.",
    )
    structure: ArrayOrFile | None = Field(
        None, description="Elements that count, those that are not 0: a file, a dimension per filtered axis."
    )
    footprint: ArrayOrFile | None = Field(None, description="Another name of structure.")
    origin: Offsets = Field(0, description="Shift of the structure, one or one per filtered axis.")
    border_value: Annotated[int, BeforeValidator(within(0, 1))] = Field(0, description="Outside of the array: 0 or 1.")

    def out_dtype(self, grid: Grid) -> np.dtype:
        return np.dtype(bool) if self.dtype is None else np.dtype(self.dtype)

    def stored(self, grid: Grid, *operators: Operator) -> Operator:
        """Operators on truth values one after another, and the result in the dtype asked for."""
        first = () if grid.dtype.kind == "b" else (Elementwise("nonzero", np.dtype(bool)),)
        return stored_as(in_turn(*first, *operators), grid, self.out_dtype(grid))

    def erosion(self, grid: Grid) -> list[MinMax]:
        return [extreme(box, False, truth(grid), self.border_value) for box in self.boxes(grid)]

    def dilation(self, grid: Grid) -> list[MinMax]:
        return [extreme(box.reflected(), True, truth(grid), self.border_value) for box in self.boxes(grid)]

    def boxes(self, grid: Grid) -> list[Box]:
        """The structure of each step. Some iterations make one step with a larger structure where that gives the same:
        where whatever is reached within them is reached by a way that never leaves the array and comes back."""
        axes, times = self.filtered(grid), self.iterations
        given = self._given(axes)
        if given is None:
            connectivity = 1 if self.connectivity is None else self.connectivity
            if connectivity > len(axes):
                expected = f"1 to {len(axes)}, the number of filtered axes"
                raise ValueError(f"connectivity is {connectivity}: expected {expected}")
            given = ball(len(axes), connectivity, 1)
            if not given.all() and self.origin == 0:
                most = TOGETHER if min(axes) >= grid.ndim - 3 else 1
                self._check_steps(-(-times // most))
                counts = [most] * (times // most) + [times % most] * (times % most > 0)
                return [self._box(grid, axes, ball(len(axes), connectivity, count)) for count in counts]
        box = self._box(grid, axes, given)
        if box.footprint is not None:
            self._check_steps(times)
            return [box] * times
        size, before = tuple(times * (n - 1) + 1 for n in box.size), tuple(times * n for n in box.before)
        if max(size) > MOST_TAPS:
            raise ValueError(f"iterations is {times}: expected fewer, which reach {MOST_TAPS} elements at most")
        return [Box(size, before, box.modes)]

    def _check_steps(self, count: int) -> None:
        if count > MOST_STEPS:
            raise ValueError(f"iterations is {self.iterations}: that is {count} steps, expected {MOST_STEPS} at most")

    def _given(self, axes: Sequence[int]) -> np.ndarray | None:
        """The structure as truth values, its dimensions in the order of `axes`."""
        name = "structure" if self.structure is not None else "footprint"
        value = self.structure if self.structure is not None else self.footprint
        if value is None:
            return None
        if self.structure is not None and self.footprint is not None:
            raise ValueError("give structure or footprint, not both: they are the same")
        if self.connectivity is not None:
            raise ValueError(f"give connectivity or {name}, not both")
        found = load_array(value, name) != 0
        if found.ndim != len(axes):
            raise ValueError(
                f"the {name} has {found.ndim} dimensions for {len(axes)} filtered axes: name as many with axes"
            )
        if not found.any():
            raise ValueError(f"the {name} is empty: expected at least one element that is not 0")
        return found

    def _box(self, grid: Grid, axes: Sequence[int], structure: np.ndarray) -> Box:
        size, before, modes = [1] * grid.ndim, [0] * grid.ndim, ["nearest"] * grid.ndim
        for axis, n, origin in zip(axes, structure.shape, per_axis(self.origin, axes, "origin"), strict=True):
            size[axis], before[axis], modes[axis] = n, n // 2 + origin, "constant"
            if not 0 <= before[axis] < n:
                low, high = -(n // 2), (n - 1) // 2
                raise ValueError(f"origin is {origin}: expected {low} to {high}, for a structure of {n} elements")
        footprint = None if structure.all() else structure.transpose(np.argsort(axes)).reshape(size)
        return Box(tuple(size), tuple(before), tuple(modes), footprint)


def ball(ndim: int, connectivity: int, times: int) -> np.ndarray:
    """What so many dilations make of one element with scipy.ndimage.generate_binary_structure(ndim, connectivity)."""
    away = np.abs(np.indices((2 * times + 1,) * ndim) - times)
    return away.sum(0) <= times * connectivity


def truth(grid: Grid) -> Grid:
    return grid.having(bool)


def in_turn(*operators: Operator) -> Operator:
    """Operators one after another."""
    if len(operators) == 1:
        return operators[0]
    names = [INPUT, *(f"step{n}" for n in range(len(operators)))]
    return Graph(tuple(Step(names[n + 1], operator, (names[n],)) for n, operator in enumerate(operators)), own=True)
