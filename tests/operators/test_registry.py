"""Every operator of the registry, by its mirror (tests/cases.py): the contracts of workers/operators/base.py."""

from __future__ import annotations

import pickle
from pathlib import Path

import numpy as np
import pytest

from gridstride.workers import saving
from gridstride.workers.operators import registry
from gridstride.workers.operators.base import Axis, Grid, Operator, Region
from gridstride.workers.operators.graph import Graph, chain
from tests import blockwise
from tests.blockwise import apply, grid_of, on_cpu, peak, window_of
from tests.cases import NAMES, case, examples, mirror, random_cuts, resolved


@pytest.mark.parametrize("name", NAMES)
def test_every_operator_has_a_mirror(name: str) -> None:
    of = mirror(name)
    assert len(of.EXAMPLES) >= 3
    assert len({dtype for _, _, dtype in of.EXAMPLES}) >= 2
    assert any(n % 2 for _, shape, _ in of.EXAMPLES for n in shape)
    assert of.PLANTED or case(name, 0).operator.cpu_only
    assert callable(of.reference)


@pytest.mark.parametrize(("name", "number"), examples())
def test_equal_to_the_reference(name: str, number: int) -> None:
    found = case(name, number)
    found.same(found.whole, found.reference())


@pytest.mark.parametrize(("name", "number"), examples(quick=2))
def test_same_bits_at_any_cut_from_what_is_needed_alone(name: str, number: int) -> None:
    found, rng = case(name, number), np.random.default_rng(number)
    whole, (operator, array) = found.whole, resolved(found, rng)
    outer = Region.whole(whole.shape)
    for _ in range(3 if found.grid.ndim < 3 else 1):
        for want in random_cuts(operator, grid_of(array), rng):
            result = np.empty((*want.shape, 2), whole.dtype)[..., 0]  # any strides
            operator.cpu(window_of(operator, array, want), result)
            wanted = whole[want.within(outer)]
            if operator.exact:
                assert result.tobytes() == wanted.tobytes()
            else:
                largest = np.abs(whole).max()
                np.testing.assert_allclose(result, wanted, rtol=0, atol=found.tolerance * largest)


@pytest.mark.parametrize(("name", "number"), examples(quick=2))
def test_it_says_which_axes_of_the_input_its_result_has(name: str, number: int) -> None:
    found = case(name, number)
    axes = tuple(Axis(f"axis of {n}", origin=float(n)) for n in range(found.grid.ndim))
    grid = Grid(found.grid.shape, found.grid.dtype, axes)
    operator = found.recipe.bind(grid)
    out, came = operator.out_grid(grid), operator.axes_from(grid)
    assert len(came) == len(out.axes) == out.ndim
    names = [axis.name for axis in out.axes]
    assert [name for name, n in zip(names, came, strict=True) if n is not None] == [
        f"axis of {n}" for n in came if n is not None
    ]


def inside(inner: tuple[int, int], outer: tuple[int, int], n: int) -> bool:
    """Whether a span's indices, modulo n, are among another's."""
    return {i % n for i in range(*inner)} <= {i % n for i in range(*outer)}


@pytest.mark.parametrize(("name", "number"), examples(quick=2))
def test_a_smaller_want_needs_no_more(name: str, number: int) -> None:
    found, rng = case(name, number), np.random.default_rng(number)
    sweeps: list[Operator] = [found.operator]
    if (first := found.operator.first_sweep()) is not None:
        sweeps.append(first)
    for operator in sweeps:
        shape = operator.out_grid(found.grid).shape
        for _ in range(40):
            a, b = np.sort([[rng.integers(0, n + 1) for n in shape] for _ in range(2)], axis=0)
            outer = Region.of(a.tolist(), b.tolist())
            if outer.size == 0:
                continue
            spans = [sorted(rng.integers(lo, hi + 1, 2)) for lo, hi in outer.spans]
            inner = Region(tuple((int(lo), int(hi)) for lo, hi in spans))
            if inner.size == 0:
                continue
            large, small = (operator.needed(region, found.grid) for region in (outer, inner))
            for x, y, n in zip(small.spans, large.spans, found.grid.shape, strict=True):
                assert inside(x, y, n)
                assert x[1] - x[0] <= y[1] - y[0]


@pytest.mark.parametrize(("name", "number"), examples(quick=2))
def test_saved_loaded_and_pickled_it_is_the_same(name: str, number: int, tmp_path: Path) -> None:
    found, operator = case(name, number), case(name, number).operator
    saving.save(operator, tmp_path, "operator")
    loaded = saving.load(tmp_path, "operator")
    assert type(loaded) is type(operator)
    assert saving.digest(loaded) == saving.digest(operator) == saving.digest(pickle.loads(pickle.dumps(operator)))
    np.testing.assert_array_equal(apply(loaded, found.array), found.whole)


@pytest.mark.parametrize(("name", "number"), examples(quick=2))
def test_scratch_is_at_least_what_was_measured(name: str, number: int) -> None:
    """For a block some times as large as the example. (Numba's own arrays are small, and not measured.)"""
    small = case(name, number)
    spread = small.operator.uncut(small.grid)
    repeats = [1 if axis in spread else 4 if n < 20 else 2 for axis, n in enumerate(small.array.shape)]
    array, fields = np.tile(small.array, repeats), small.fields
    if (fitting := getattr(mirror(name), "fitting", None)) is not None:
        fields = fitting(fields, repeats)
    grid = grid_of(array)
    operator = registry.find(name)(**fields).bind(grid)
    while True:
        sweep, grid = operator.first_sweep() or operator, grid_of(array)
        want = Region.whole(sweep.out_grid(grid).shape)
        assert peak(sweep, window_of(sweep, array, want, grid)) <= sweep.scratch(want, grid, "cpu") + 100_000
        if sweep is operator:
            break
        made, reports = blockwise.sweep(sweep, array, [want], on_cpu)
        operator, array = operator.resolve(reports, grid), made if sweep.writes() else array


@pytest.mark.parametrize(("name", "number"), examples(quick=2))
def test_chained_it_gives_what_one_after_another_gives(name: str, number: int) -> None:
    found = case(name, number)
    if not found.operator.exact:
        pytest.skip("the FFT's last bits depend on the cut")
    after = registry.find("maximum")(size=3, mode="wrap")
    both: Graph | Operator = chain([found.recipe, after], found.grid)
    wanted = apply(after.bind(found.operator.out_grid(found.grid)), found.whole)
    for block in (None, [max(1, n // 2) for n in wanted.shape]):
        np.testing.assert_array_equal(apply(both, found.array, block), wanted, strict=True)
