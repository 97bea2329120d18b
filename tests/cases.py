"""The examples of every operator's mirror (tests/operators/NAME.py), bound to their arrays.

A mirror has EXAMPLES: (fields, shape, dtype); `reference(array, **fields)`, on the whole array; PLANTED: (file of
cuda/, text, what a bug makes of it), all of which the CUDA harness must notice; and a TOLERANCE, a part of the
largest value, where sums are made in float32. It may have `array(rng, shape, dtype)`, which makes the arrays.
"""

from __future__ import annotations

from functools import cache, cached_property
from importlib import import_module
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from gridstride.workers.operators import registry
from gridstride.workers.operators.base import Grid, Operator
from tests import blockwise
from tests.blockwise import apply, grid_of, on_cpu, regions
from tests.cuda_host import table

NAMES = registry.names()
MIRRORS = {name: f"tests.operators.{name.replace('-', '_')}" for name in NAMES}
HERE = Path(__file__).parent / "operators"


DOUBLE = 1e-12  # the tolerance of sums in float64


@cache
def mirror(name: str) -> Any:
    return import_module(MIRRORS[name])


def examples(quick: int | None = None) -> list[Any]:
    """(name, number) of every example of every mirror that there is; those after each one's first `quick` are slow."""
    found = [name for name in NAMES if (HERE / f"{name.replace('-', '_')}.py").exists()]
    return [
        pytest.param(name, n, id=f"{name}{n}", marks=pytest.mark.slow if quick is not None and n >= quick else ())
        for name in found
        for n in range(len(mirror(name).EXAMPLES))
    ]


class Case(SimpleNamespace):
    """An example: its recipe, array, operator, and tolerance."""

    recipe: Any
    array: np.ndarray
    operator: Operator
    grid: Grid
    fields: dict[str, Any]
    tolerance: float  # a part of the largest value

    @cached_property
    def whole(self) -> np.ndarray:
        """The result in one block."""
        before = self.array.copy()
        result = apply(self.operator, self.array)
        np.testing.assert_array_equal(self.array, before)  # nothing is written into the input
        return result

    def reference(self) -> np.ndarray:
        return mirror(self.name).reference(self.array.copy(), **self.fields)

    def same(self, result: np.ndarray, wanted: np.ndarray) -> None:
        assert result.dtype == wanted.dtype
        if wanted.dtype.kind == "f" and self.tolerance:
            largest = np.abs(wanted[np.isfinite(wanted)]).max(initial=0.0)
            np.testing.assert_allclose(result, wanted, rtol=0, atol=self.tolerance * largest)
        else:
            np.testing.assert_array_equal(result, wanted, strict=True)


@cache
def case(name: str, number: int, seed: int = 0) -> Case:
    of = mirror(name)
    fields, shape, dtype = of.EXAMPLES[number]
    make = getattr(of, "array", table.numbers)
    array = make(np.random.default_rng(seed), shape, dtype)
    recipe = registry.find(name)(**fields)
    operator = recipe.bind(grid_of(array))
    grid = grid_of(array)
    tolerance = getattr(of, "TOLERANCE", 0.0)
    if tolerance and np.float32 not in (array.dtype, operator.out_grid(grid).dtype):
        tolerance = DOUBLE
    if fields.get("precision") == "double":
        tolerance = 0.0 if fields.get("cast") == "scipy" else DOUBLE
    return Case(name=name, recipe=recipe, array=array, operator=operator, grid=grid, fields=fields, tolerance=tolerance)


def resolved(found: Case, rng: np.random.Generator, compute: Any = on_cpu) -> tuple[Operator, np.ndarray]:
    """The operator after the sweeps that must come first, each made at cuts of its own, and the array it reads."""

    def order(reports: list[Any]) -> list[Any]:
        return [reports[i] for i in rng.permutation(len(reports))]

    cut = lambda first, grid: random_cuts(first, grid, rng)  # noqa: E731
    return blockwise.resolved(found.operator, found.array, cut, compute, order)


def random_cuts(operator: Operator, grid: Grid, rng: np.random.Generator) -> Any:
    """Regions that together are the result's grid, cut at random places of every axis that may be cut."""
    edges = []
    for axis, n in enumerate(operator.out_grid(grid).shape):
        inner = [] if axis in operator.uncut(grid) or n < 2 else rng.integers(1, n, 2)
        edges.append(sorted({0, n, *map(int, inner)}))
    yield from regions(edges)
