"""Formulas of several arrays (families/joined.py): as steps of a graph, by NumPy and by CUDA, with elements missing."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest

from gridstride.workers.families.elementwise import Elementwise
from gridstride.workers.families.joined import Joined
from gridstride.workers.families.separable import Pass, Separable
from gridstride.workers.nodata import NoData
from gridstride.workers.operators import registry
from gridstride.workers.operators.base import Grid, Operator, Region, Window
from gridstride.workers.operators.graph import INPUT, Graph, Step
from tests.blockwise import apply, on_cpu
from tests.cuda_host.host import Host, build

INTEGERS = ("uint8", "uint16", "uint32", "uint64", "int8", "int16", "int32", "int64")
SHAPE = (3, 5, 7)


def arrays_of(dtype: str, count: int, seed: int = 0) -> list[np.ndarray]:
    rng = np.random.default_rng(seed)
    if dtype == "bool":
        return [rng.random(SHAPE) < 0.5 for _ in range(count)]
    if np.dtype(dtype).kind == "f":
        return [(rng.normal(size=SHAPE) * 100).astype(dtype) for _ in range(count)]
    limits = np.iinfo(dtype)
    found = [rng.integers(limits.min, limits.max, SHAPE, dtype, endpoint=True) for _ in range(count)]
    found[0][0, 0, :2] = limits.min, limits.max
    found[-1][0, 0, :2] = limits.max, limits.min
    return found


def window_of(arrays: list[np.ndarray], want: Region | None = None) -> Window:
    grid = Grid(SHAPE, arrays[0].dtype, Grid.of(SHAPE, "u1").axes, tuple(a.dtype for a in arrays[1:]))
    have = Region.whole(SHAPE)
    return Window(arrays[0], have, want or have, grid, tuple(arrays[1:]))


def expected(operator: Joined, arrays: list[np.ndarray]) -> np.ndarray:
    """By Python's own integers, or in float64."""
    dtype = arrays[0].dtype
    if operator.formula == "difference" and dtype.kind in "biu":
        low, high = (0, 1) if dtype.kind == "b" else (np.iinfo(dtype).min, np.iinfo(dtype).max)
        differences = [max(low, min(high, int(a) - int(b))) for a, b in zip(*(a.flat for a in arrays), strict=True)]
        return np.array(differences, dtype).reshape(SHAPE)
    if operator.formula == "difference":
        return arrays[0] - arrays[1]
    if operator.formula == "euclidean":
        return np.sqrt(sum(a.astype(float) ** 2 for a in arrays)).astype(dtype)
    if operator.formula in ("maximum", "product"):
        return {"maximum": np.maximum, "product": np.multiply}[operator.formula].reduce(arrays)
    if operator.formula == "ratio":
        return arrays[0] / arrays[1]
    total = dtype.type(0)
    for weight, array in zip(operator.numbers, arrays, strict=True):
        total = total + dtype.type(weight) * array
    return total


CASES: list[tuple[Joined, str, int]] = [(Joined("difference"), dtype, 2) for dtype in (*INTEGERS, "bool", "float16")]
CASES += [
    (operator, dtype, count)
    for dtype in ("float32", "float64")
    for operator, count in (
        (Joined("difference"), 2),
        (Joined("euclidean"), 3),
        (Joined("euclidean"), 1),
        (Joined("weighted", (1.5, -0.5, 0.25, 3.0, 0.1, -7.0)), 6),
        (Joined("maximum"), 4),
        (Joined("product"), 3),
        (Joined("ratio"), 2),
    )
]


@pytest.mark.parametrize(("operator", "dtype", "count"), CASES, ids=lambda value: getattr(value, "formula", value))
def test_formulas_of_any_part_of_arrays_are_as_defined(operator: Joined, dtype: str, count: int) -> None:
    arrays = arrays_of(dtype, count)
    whole = expected(operator, arrays)
    if operator.formula == "maximum":
        arrays[1][1, 1, 1] = whole[1, 1, 1] = np.nan
    np.testing.assert_array_equal(on_cpu(operator, window_of(arrays)), whole, strict=True)
    part = Region(((1, 3), (0, 4), (2, 7)))
    out = np.empty((*part.shape, 2), whole.dtype)[..., 0]  # any strides
    operator.cpu(window_of(arrays, part), out)
    np.testing.assert_array_equal(out, whole[1:3, 0:4, 2:7])


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("g++") is None, reason="g++ builds the kernels for the CPU; it is missing")
def test_the_cuda_source_has_the_same_bits(tmp_path: Path) -> None:
    every = {("elementwise.cu", f"joined<{t}, {o.formula}>") for o, t in kinds()}
    host = Host(build(tmp_path, every))
    for operator, dtype, count in CASES:
        window = window_of(arrays_of(dtype, count))
        np.testing.assert_array_equal(host.compute(operator, window, 2), on_cpu(operator, window), strict=True)
    host.close()
    assert every <= set(registry.instantiations())


def kinds() -> list[tuple[Joined, str]]:
    names = {"bool": "u8", "float16": "f32"}
    return [(o, names.get(t, f"{np.dtype(t).kind}{8 * np.dtype(t).itemsize}")) for o, t, _ in CASES]


def test_what_cannot_be_joined_is_refused_in_one_line() -> None:
    def grid(*dtypes: str) -> Grid:
        return Grid(SHAPE, np.dtype(dtypes[0]), Grid.of(SHAPE, "u1").axes, tuple(map(np.dtype, dtypes[1:])))

    for operator, given, text in (
        (Joined("difference"), grid("uint8", "int8"), "of dtypes uint8, int8: expected one dtype"),
        (Joined("euclidean"), grid("uint8", "uint8"), "dtype uint8: expected float32 or float64"),
        (Joined("difference"), grid("uint8", "uint8", "uint8"), "difference of 3 arrays: expected 2"),
        (Joined("maximum"), grid(*["float32"] * 7), "maximum of 7 arrays: expected 6 at most"),
    ):
        with pytest.raises(ValueError, match=text):
            operator.out_grid(given)


# --- elements without data ---
def edges(dtype: str) -> Graph:
    """The norm of differences along the two axes."""
    step = np.array([-1.0, 0.0, 1.0])
    steps = [Step(f"d{axis}", Separable((Pass(axis, step, 1, "nearest"),), np.dtype(dtype))) for axis in (0, 1)]
    return Graph((*steps, Step("norm", Joined("euclidean"), ("d0", "d1"))), own=True)


def test_a_join_has_no_data_where_one_of_its_arrays_has_none() -> None:
    """A difference of 0 is no element without data."""
    array = np.random.default_rng(0).integers(1, 200, (6, 8)).astype(np.uint8)
    array[2, 3] = 0
    array[4:, 3] = 7
    grid = Grid.of(array.shape, array.dtype)
    operator, left = edges("float32").without(NoData((0,)), grid)
    assert left == NoData((0,))
    wanted = apply(edges("float32"), array)
    for y, x in ((1, 3), (3, 3), (2, 2), (2, 4)):  # what reads the element; the element itself reads its neighbours
        wanted[y, x] = 0
    wanted[2, 3] = apply(edges("float32"), array)[2, 3]
    for block in (None, (3, 5)):
        np.testing.assert_array_equal(apply(operator, array, block), wanted)


def test_a_step_beside_one_that_has_data_everywhere_may_be_joined() -> None:
    array = np.arange(24, dtype=np.float32).reshape(4, 6)
    filled: Operator = Elementwise("always", np.dtype(np.float32), (1,))
    graph = Graph((Step("ones", filled), Step("less", Joined("difference"), (INPUT, "ones"))))
    operator, left = graph.without(NoData((7.0,)), Grid.of(array.shape, array.dtype))
    wanted = array - 1
    wanted[1, 1] = 7
    assert left == NoData((7.0,))
    np.testing.assert_array_equal(apply(operator, array), wanted)


def test_what_a_join_says_of_a_quantity() -> None:
    assert edges("float32").meaning().gain == 0  # the norm of derivatives keeps the scale
    mean = Separable((Pass(0, np.full(3, 1 / 3), 1, "nearest"),), np.dtype(np.float32))
    less = Graph((Step("mean", mean), Step("less", Joined("difference"), (INPUT, "mean"))))
    assert less.meaning().gain == 0
    more = Graph((Step("mean", mean), Step("more", Joined("weighted", (2.0, -1.0)), (INPUT, "mean"))))
    assert more.meaning().gain == 1
    assert not more.meaning().between
    assert Graph((Step("m", mean), Step("n", Joined("euclidean"), (INPUT, "m")))).meaning().gain is None
