"""Every operator of the registry, by its mirror (tests/operators/NAME.py): the contracts of workers/operators/base.py.

A mirror has EXAMPLES: (fields, shape, dtype); `reference(array, **fields)`, on the whole array; PLANTED: (file of
cuda/, text, what a bug makes of it), all of which the CUDA harness must notice; and a TOLERANCE where sums are made in
float32. It may have `array(rng, shape, dtype)`, which makes the arrays.
"""

from __future__ import annotations

import pickle
import shutil
import tempfile
import tracemalloc
from functools import cache
from importlib import import_module
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import scipy.fft

from gridstride.workers import gpu, kernels, saving
from gridstride.workers.gpu import Machine
from gridstride.workers.launches import Launches
from gridstride.workers.operators import registry
from gridstride.workers.operators.base import Axis, Grid, Operator, Region, Window
from gridstride.workers.operators.graph import Graph, chain
from tests.blockwise import apply, grid_of, on_cpu, regions, swept, window_of
from tests.cuda_host import table
from tests.cuda_host.host import Host, HostError, build
from tests.marks import quick

NAMES = registry.names()
MIRRORS = {name: f"tests.operators.{name.replace('-', '_')}" for name in NAMES}
HERE = Path(__file__).parent
host_only = pytest.mark.skipif(shutil.which("g++") is None, reason="g++ builds the kernels for the CPU; it is missing")


@cache
def mirror(name: str) -> Any:
    return import_module(MIRRORS[name])


def examples() -> list[Any]:
    """(name, number) of every example of every mirror that there is."""
    found = [name for name in NAMES if (HERE / f"{name.replace('-', '_')}.py").exists()]
    return [pytest.param(name, n, id=f"{name}{n}") for name in found for n in range(len(mirror(name).EXAMPLES))]


class Case(SimpleNamespace):
    """An example: its recipe, array, operator, and tolerance."""

    recipe: Any
    array: np.ndarray
    operator: Operator
    grid: Grid
    fields: dict[str, Any]
    tolerance: float

    def reference(self) -> np.ndarray:
        return mirror(self.name).reference(self.array.copy(), **self.fields)

    def same(self, result: np.ndarray, wanted: np.ndarray) -> None:
        assert result.dtype == wanted.dtype
        if wanted.dtype.kind == "f" and self.tolerance:
            np.testing.assert_allclose(result, wanted, rtol=0, atol=self.tolerance)
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
    tolerance = getattr(of, "TOLERANCE", 0.0)
    if fields.get("precision") == "double":
        tolerance = 0.0 if fields.get("cast") == "scipy" else 1e-9
    return Case(
        name=name,
        recipe=recipe,
        array=array,
        operator=operator,
        grid=grid_of(array),
        fields=fields,
        tolerance=tolerance,
    )


def resolved(found: Case, rng: np.random.Generator, compute: Any = on_cpu) -> Operator:
    """The operator after the sweeps that must come first, each made at cuts of its own."""
    operator = found.operator
    while (first := operator.first_sweep()) is not None:
        assert not first.writes()
        wants = list(random_cuts(first, found.grid, rng))
        reports = [compute(first, window_of(first, found.array, want)) for want in wants]
        operator = operator.resolve([reports[i] for i in rng.permutation(len(reports))], found.grid)
    return operator


def random_cuts(operator: Operator, grid: Grid, rng: np.random.Generator) -> Any:
    """Regions that together are the result's grid, cut at random places of every axis that may be cut."""
    edges = []
    for axis, n in enumerate(operator.out_grid(grid).shape):
        inner = [] if axis in operator.uncut(grid) or n < 2 else rng.integers(1, n, 2)
        edges.append(sorted({0, n, *map(int, inner)}))
    yield from regions(edges)


@pytest.mark.parametrize("name", NAMES)
def test_every_operator_has_a_mirror(name: str) -> None:
    of = mirror(name)
    assert len(of.EXAMPLES) >= 3
    assert len({dtype for _, _, dtype in of.EXAMPLES}) >= 2
    assert any(n % 2 for _, shape, _ in of.EXAMPLES for n in shape)
    assert of.PLANTED
    assert callable(of.reference)


@pytest.mark.parametrize(("name", "number"), examples())
def test_equal_to_the_reference(name: str, number: int) -> None:
    found = case(name, number)
    before = found.array.copy()
    found.same(apply(found.operator, found.array), found.reference())
    np.testing.assert_array_equal(found.array, before)  # nothing is written into the input


@pytest.mark.parametrize(("name", "number"), examples())
def test_same_bits_at_any_cut_from_what_is_needed_alone(name: str, number: int) -> None:
    found, rng = case(name, number), np.random.default_rng(number)
    whole, operator = apply(found.operator, found.array), resolved(found, rng)
    outer = Region.whole(whole.shape)
    for _ in range(3):
        for want in random_cuts(operator, found.grid, rng):
            result = np.empty((*want.shape, 2), whole.dtype)[..., 0]  # any strides
            operator.cpu(window_of(operator, found.array, want), result)
            wanted = whole[want.within(outer)]
            if operator.exact:
                assert result.tobytes() == wanted.tobytes()
            else:
                np.testing.assert_allclose(result, wanted, rtol=0, atol=found.tolerance)


@pytest.mark.parametrize(("name", "number"), examples())
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


@pytest.mark.parametrize(("name", "number"), examples())
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


@pytest.mark.parametrize(("name", "number"), examples())
def test_saved_loaded_and_pickled_it_is_the_same(name: str, number: int, tmp_path: Path) -> None:
    operator = case(name, number).operator
    saving.save(operator, tmp_path, "operator")
    loaded = saving.load(tmp_path, "operator")
    assert type(loaded) is type(operator)
    assert saving.digest(loaded) == saving.digest(operator) == saving.digest(pickle.loads(pickle.dumps(operator)))
    array = case(name, number).array
    np.testing.assert_array_equal(apply(loaded, array), apply(operator, array))


@pytest.mark.parametrize(("name", "number"), examples())
def test_scratch_is_at_least_what_was_measured(name: str, number: int) -> None:
    """For a block some times as large as the example. (Numba's own arrays are small, and not measured.)"""
    small = case(name, number)
    spread = small.operator.uncut(small.grid)
    array = np.tile(
        small.array, [1 if axis in spread else 4 if n < 20 else 2 for axis, n in enumerate(small.array.shape)]
    )
    grid = grid_of(array)
    operator = small.recipe.bind(grid)
    sweeps = (
        [operator] if (first := operator.first_sweep()) is None else [first, resolved(small, np.random.default_rng(0))]
    )
    for sweep in sweeps:
        want = Region.whole(sweep.out_grid(grid).shape)
        window = window_of(sweep, array, want, grid)
        out = np.empty(want.shape if sweep.writes() else (0,), sweep.out_grid(grid).dtype)
        sweep.cpu(window, out)  # compiles, and imports
        tracemalloc.start()
        sweep.cpu(window, out)
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert peak <= sweep.scratch(want, grid, "cpu") + 100_000


@pytest.mark.parametrize(("name", "number"), examples())
def test_chained_it_gives_what_one_after_another_gives(name: str, number: int) -> None:
    found = case(name, number)
    if not found.operator.exact:
        pytest.skip("the FFT's last bits depend on the cut")
    after = registry.find("uniform")(size=3, mode="wrap", dtype="float32")
    both: Graph | Operator = chain([found.recipe, after], found.grid)
    middle = apply(found.operator, found.array)
    wanted = apply(after.bind(found.operator.out_grid(found.grid)), middle)
    for block in (None, [max(1, n // 2) for n in wanted.shape]):
        np.testing.assert_array_equal(apply(both, found.array, block), wanted, strict=True)


# --- the CUDA source ---
def asked(operator: Operator, window: Window) -> set[tuple[str, str]]:
    """The kernels that an operator asks for."""
    found: set[tuple[str, str]] = set()

    def run(plan: Launches, data: np.ndarray, more: Any = None) -> np.ndarray:
        found.update((launch.file, launch.expression) for launch in plan.launches)
        return np.zeros(plan.out_shape, plan.out_dtype)

    gpu.compute(operator, window, Machine(np, scipy.fft, run))
    return found


@cache
def asked_by(name: str, number: int) -> frozenset[tuple[str, str]]:
    """The kernels that an example and the sweeps before it ask for."""
    found, kernels_ = case(name, number), set()

    def compute(operator: Operator, window: Window) -> Any:
        kernels_.update(asked(operator, window))
        return on_cpu(operator, window)

    swept(resolved(found, np.random.default_rng(0), compute), found.array, None, compute)
    return frozenset(kernels_)


def kernels_of(name: str) -> list[tuple[str, str]]:
    return sorted(set().union(*(asked_by(name, number) for number in range(len(mirror(name).EXAMPLES)))))


@cache
def host() -> Host:
    """One program for all examples."""
    folder = Path(tempfile.mkdtemp(prefix="registry"))
    every = set().union(*(kernels_of(name) for name in NAMES))
    return Host(build(folder, every))


@pytest.fixture(scope="module", autouse=True)
def _close_the_host() -> Any:
    yield
    if host.cache_info().currsize:
        host().close()
        shutil.rmtree(host().program.parent)


def on_host(program: Host, found: Case) -> tuple[np.ndarray, np.ndarray]:
    """What the CUDA source makes of an example, in blocks and with few blocks of threads; and what the CPU makes."""

    def compute(operator: Operator, window: Window) -> Any:
        result = program.compute(operator, window, 3)
        if not operator.writes():  # what follows from reports may hide what is wrong with them
            report = on_cpu(operator, window)
            if report.shape == result.shape:
                np.testing.assert_array_equal(result, report)
        return result

    theirs = resolved(found, np.random.default_rng(0), compute)
    ours = resolved(found, np.random.default_rng(0))
    assert saving.digest(theirs) == saving.digest(ours)
    shape = ours.out_grid(found.grid).shape
    block = [n // 2 + 1 for n in shape]
    return swept(theirs, found.array, block, compute), swept(ours, found.array, block, on_cpu)


@pytest.mark.slow
@host_only
@pytest.mark.parametrize(("name", "number"), examples())
def test_the_cuda_source_gives_what_the_cpu_gives(name: str, number: int) -> None:
    found = case(name, number)
    theirs, ours = on_host(host(), found)
    found.same(theirs, ours)
    if theirs.dtype.kind == "f" and not found.tolerance:  # -0.0 too; NaN has many bits
        number_ = ~np.isnan(ours)
        np.testing.assert_array_equal(np.signbit(theirs[number_]), np.signbit(ours[number_]))


@pytest.mark.slow
def test_every_kernel_that_examples_ask_for_is_listed_and_compiles() -> None:
    pytest.importorskip("cuda.bindings.nvrtc", reason="cuda-bindings compiles the kernels; it is missing")
    every = sorted(set().union(*(kernels_of(name) for name in NAMES)))
    assert set(every) <= set(registry.instantiations())
    for file, expression in {
        (file, expression.split("<")[0]): (file, expression) for file, expression in every
    }.values():
        assert kernels.compile_to_cubin(file, [expression], "sm_90")[0].startswith(b"\x7fELF")


def planted() -> list[tuple[str, int]]:
    """(name, number) of planted bugs, one of each file first."""
    bugs = [(name, number) for name in NAMES for number in range(len(mirror(name).PLANTED))]
    files = [mirror(name).PLANTED[number][0] for name, number in bugs]
    order = sorted(range(len(bugs)), key=lambda i: files[:i].count(files[i]))
    return [bugs[i] for i in order]


@pytest.mark.slow
@host_only
@pytest.mark.parametrize(("name", "number"), quick(6, planted()))
def test_planted_bugs_are_noticed(name: str, number: int, tmp_path: Path) -> None:
    file, old, new = mirror(name).PLANTED[number]
    assert old in kernels.source(file), "the bug's text is no longer there: plant it anew"
    asks = [asked_by(name, example) for example in range(len(mirror(name).EXAMPLES))]
    tried = [example for example, found in enumerate(asks) if any(kernel[0] == file for kernel in found)]
    program = build(tmp_path, set().union(*(asks[example] for example in tried)), lambda text: text.replace(old, new))
    noticed = any(differs(program, case(name, example)) for example in tried)
    assert noticed, f"no example of {name} notices that {old!r} became {new!r}"


def differs(program: Path, found: Case) -> bool:
    """Whether a program gives other results than the CPU, or fails, for one of three orders of its threads."""
    for seed in range(3):
        edited = Host(program, seed)
        try:
            found.same(*on_host(edited, found))
        except (HostError, AssertionError):
            return True
        finally:
            edited.close()
    return False
