"""Steps of a pipeline that join several arrays of one shape to one, element by element.

Arrays of several dtypes are joined in the smallest one that holds all their numbers and the result's (float64, if there
is none), and the result is stored as `dtype`: integers saturate, and are rounded half to even.
"""

from __future__ import annotations

from typing import ClassVar

import numpy as np
from pydantic import Field

from gridstride.workers.families.elementwise import Elementwise
from gridstride.workers.families.joined import FLOATING, Formula, Joined
from gridstride.workers.operators.base import Grid, Operator
from gridstride.workers.operators.fields import DType
from gridstride.workers.operators.graph import INPUT, Graph, Step
from gridstride.workers.operators.kinds import Numbers
from gridstride.workers.operators.recipe import Recipe


class Join(Recipe):
    """A formula of the elements of several arrays."""

    FORMULA: ClassVar[Formula]

    dtype: DType = Field(None, description="Of the result (default: one that holds the numbers of all arrays).")

    def numbers(self, count: int) -> tuple[float, ...]:
        """What the formula multiplies each of so many arrays with."""
        return ()

    def bind(self, grid: Grid) -> Operator:
        given, name = (grid.dtype, *grid.others), type(self).__name__.lower()
        if len(given) < 2:
            raise ValueError(f"{name} joins several arrays: name them, such as inputs: [{INPUT}, blurred]")
        dtypes, held = " and ".join(dict.fromkeys(map(str, given))), np.result_type(*given)
        out = held if self.dtype is None else np.dtype(self.dtype)
        if self.FORMULA in FLOATING or "f" in held.kind + out.kind:
            if any(dtype.kind in "iu" and dtype.itemsize == 8 for dtype in given):
                raise ValueError(
                    f"{name} is computed in float64, which does not hold all integers of {dtypes}: cast them to "
                    "float64 in a step before, if they may be rounded"
                )
            held = np.result_type(held, out, np.float64 if held.kind in "iu" else np.float32)
        else:
            held = np.result_type(held, out)
            if held.kind == "f":
                raise ValueError(f"no dtype of integers holds those of {dtypes}: cast one of them in a step before")
        return self.graph(given, held, out)

    def graph(self, given: tuple[np.dtype, ...], held: np.dtype, out: np.dtype) -> Graph:
        """The arrays stored as `held`, joined, and stored as `out`."""
        names = tuple(f"array{n}" for n in range(len(given)))
        cast = [dtype != held for dtype in given]
        steps = [
            Step(f"cast{n}", Elementwise("cast", held), (name,))
            for n, (name, needed) in enumerate(zip(names, cast, strict=True))
            if needed
        ]
        reads = tuple(f"cast{n}" if needed else names[n] for n, needed in enumerate(cast))
        steps += self.joined(reads)
        if held != out:
            steps.append(Step("stored", Elementwise("cast", out), (steps[-1].name,)))
        return Graph(tuple(steps), names, own=True)

    def joined(self, reads: tuple[str, ...]) -> list[Step]:
        return [Step("joined", Joined(self.FORMULA, self.numbers(len(reads))), reads)]


class Difference(Join):
    """The first array less the second."""

    FORMULA = "difference"


class Sum(Join):
    """The sum of the arrays, each times its weight."""

    FORMULA = "weighted"

    weights: Numbers = Field(1.0, description="Of the arrays, one or one per array.")

    def numbers(self, count: int) -> tuple[float, ...]:
        weights = self.weights if isinstance(self.weights, tuple) else (self.weights,) * count
        if len(weights) != count:
            raise ValueError(f"weights has {len(weights)} values for {count} arrays: give one, or one per array")
        return weights


class Product(Join):
    """The product of the arrays; with a mask, what lies in it, and 0 elsewhere."""

    FORMULA = "product"


class Ratio(Join):
    """The first array divided by the second, as floating-point numbers unless dtype says otherwise."""

    FORMULA = "ratio"

    def bind(self, grid: Grid) -> Operator:
        if self.dtype is not None or np.result_type(grid.dtype, *grid.others).kind == "f":
            return super().bind(grid)
        return self.model_copy(update={"dtype": "float32"}).bind(grid)


class Magnitude(Join):
    """The square root of the sum of the squares of the arrays: the length of a gradient."""

    FORMULA = "euclidean"


class Largest(Join):
    """The largest of the arrays' elements, NaN where one is NaN."""

    FORMULA = "maximum"


class Smallest(Join):
    """The smallest of the arrays' elements, NaN where one is NaN."""

    FORMULA = "maximum"

    def joined(self, reads: tuple[str, ...]) -> list[Step]:
        less = Joined("weighted", (-1.0,))
        negative = [Step(f"less{n}", less, (name,)) for n, name in enumerate(reads)]
        return [
            *negative,
            Step("joined", Joined("maximum"), tuple(s.name for s in negative)),
            Step("back", less, ("joined",)),
        ]


JOINS: dict[str, type[Join]] = {
    kind.__name__.lower(): kind for kind in (Difference, Sum, Product, Ratio, Magnitude, Largest, Smallest)
}
