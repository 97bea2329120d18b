"""Elements that stand for no data are left out: by every family, at every cut, on the CPU and by the CUDA source."""

from __future__ import annotations

import shutil
import tempfile
import tracemalloc
import warnings
from functools import cache
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import scipy.fft
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.lib.stride_tricks import sliding_window_view
from scipy import ndimage
from skimage.filters import threshold_otsu

from gridstride.workers import gpu, kernels, saving
from gridstride.workers.gpu import Machine
from gridstride.workers.nodata import NoData
from gridstride.workers.operators import registry
from gridstride.workers.operators.base import Grid, Operator, Region, Window
from gridstride.workers.operators.graph import chain
from tests.blockwise import apply, bound, grid_of, on_cpu, window_of
from tests.cuda_host.host import Host, HostError, build

DTYPES = ("uint8", "int16", "uint16", "int32", "float32", "float64")
MODES = ("reflect", "mirror", "nearest", "wrap", "constant")
PAD = {"reflect": "symmetric", "mirror": "reflect", "nearest": "edge", "wrap": "wrap"}
HOLES = {"uint8": 255, "int16": -32768, "uint16": 65535, "int32": -9999, "float32": float("nan"), "float64": -1e30}
KERNEL = np.array([[0.0, 1, 2], [1, 0, 0.5], [0, 3, 1]])  # of no outer product, with holes of its own


def with_holes(shape: tuple[int, ...], dtype: str, seed: int = 0, share: float = 0.3) -> tuple[np.ndarray, np.ndarray]:
    """An array with holes, and which elements have a value: one corner has none at all."""
    rng = np.random.default_rng(seed)
    array = rng.integers(0, 200, shape).astype(dtype)
    valid = rng.random(shape) > share
    valid[tuple(slice(0, n // 2 + 1) for n in shape)] = False
    array[~valid] = HOLES[dtype]
    return array, valid


def masked(name: str, array: np.ndarray, *values: Any, **fields: Any) -> tuple[Operator, Any]:
    return bound(name, array, **fields).without(NoData(values), grid_of(array))


def normalised(array: np.ndarray, valid: np.ndarray, smooth: Any, dtype: Any = None) -> tuple[np.ndarray, np.ndarray]:
    """(the quotient of sums, where there is one), by scipy on whole arrays in float64."""
    sums, weights = smooth(np.where(valid, array, 0).astype(float)), smooth(valid.astype(float))
    some = weights > 1e-12
    return np.where(some, sums / np.where(some, weights, 1), 0), some


def box_sum(array: np.ndarray, size: tuple[int, int], mode: str) -> np.ndarray:
    """Of whole numbers exact: scipy's uniform_filter keeps a running sum, which may leave a rounding in place of 0."""
    return ndimage.correlate(array, np.ones(size), mode=mode)


def same(result: np.ndarray, wanted: np.ndarray, some: np.ndarray, missing: Any) -> None:
    """Values where there are some, rounded half to even for integers (sums may miss a tie); else no data."""
    gap = result[~some]
    assert (np.isnan(gap) if missing != missing else gap == missing).all()
    if result.dtype.kind == "f":
        np.testing.assert_allclose(result[some], wanted[some], rtol=3e-7, atol=1e-12)
    else:
        np.testing.assert_array_less(np.abs(result[some] - wanted[some]), 0.5 + 1e-9)


# In mode constant scipy's outside counts with 0 in the weights: a reference of its own follows below.
@settings(max_examples=40)
@given(
    st.sampled_from(DTYPES), st.sampled_from(MODES[:4]), st.sampled_from(["gaussian", "uniform", "box", "kernel"]),
    st.tuples(st.integers(1, 12), st.integers(1, 14)), st.integers(0, 99),
)  # fmt: skip
def test_means_are_of_the_elements_that_have_a_value(
    dtype: str, mode: str, name: str, shape: tuple[int, int], seed: int
) -> None:
    array, valid = with_holes(shape, dtype, seed)
    fields: dict[str, Any] = {
        "gaussian": {"sigma": (0.8, 1.3)},
        "uniform": {"size": (3, 4)},
        "box": {"kernel": np.full((3, 3), 1 / 9)},
        "kernel": {"kernel": KERNEL / KERNEL.sum()},
    }[name]
    called = "correlate" if "kernel" in fields else name
    operator, left = masked(called, array, HOLES[dtype], mode=mode, **fields)
    smooth = {"gaussian": ndimage.gaussian_filter, "correlate": ndimage.correlate, "uniform": box_sum}[called]
    values = {"size": (3, 4), "sigma": (0.8, 1.3), "weights": fields.get("kernel")}
    taken = {"gaussian": "sigma", "correlate": "weights", "uniform": "size"}[called]
    wanted, some = normalised(array, valid, lambda x: smooth(x, values[taken], mode=mode))
    result = apply(operator, array)
    assert result.dtype == array.dtype
    assert left.values == (HOLES[dtype],) or np.isnan(left.value)
    same(result, wanted, some, HOLES[dtype])
    for block in ((1, 3), (5, 4)):
        assert apply(operator, array, block).tobytes() == result.tobytes()


@pytest.mark.parametrize("outside", ["value", "no data"])
def test_the_constant_outside_counts_unless_it_is_no_data(outside: str) -> None:
    array, valid = with_holes((9, 11), "float64")
    cval = 7.5 if outside == "value" else HOLES["float64"]
    size = 5
    padded = np.pad(array, size // 2, constant_values=cval)
    known = np.pad(valid, size // 2, constant_values=outside == "value")
    windows = sliding_window_view(np.where(known, padded, np.nan), (size, size)).reshape(9, 11, -1)
    some = ~np.isnan(windows).all(-1)
    for name, mean, fields in (
        ("uniform", np.nanmean, {}),
        ("convolve", np.nanmean, {"kernel": "box"}),
        ("median", lambda x, axis: np.sort(x, axis)[..., 0], {}),
    ):
        if name == "median":
            ordered, count = np.sort(windows, -1), (~np.isnan(windows)).sum(-1)
            wanted = np.take_along_axis(ordered, (count // 2)[..., None], -1)[..., 0]
        else:
            wanted = mean(np.where(some[..., None], windows, 0), axis=-1)
        operator, _ = masked(name, array, HOLES["float64"], size=size, mode="constant", cval=cval, **fields)
        same(apply(operator, array), wanted, some, HOLES["float64"])


def test_a_mean_of_whole_numbers_is_exact_at_ties() -> None:
    array = np.array([1, 2, 255, 2, 3, 255, 255, 0, 1, 0, 2], np.uint8)
    wanted = [1, 2, 2, 2, 2, 3, 0, 0, 0, 1, 1]  # 1.5 -> 2, 2.5 -> 2, 0.5 -> 0
    cases: list[tuple[str, dict[str, Any]]] = [
        ("uniform", {"size": 3}), ("convolve", {"kernel": "box"}), ("convolve", {"kernel": np.full(3, 1 / 3)}),
    ]  # fmt: skip
    for name, fields in cases:
        operator, _ = masked(name, array, 255, mode="nearest", **fields)
        np.testing.assert_array_equal(apply(operator, array), wanted)
    plane = np.where(np.arange(50) % 3 > 0, np.arange(50) % 7, 255).astype(np.uint8).reshape(5, 10)
    direct = masked("convolve", plane, 255, kernel=np.full((3, 3), 1 / 9), algorithm="direct")[0]
    passes = masked("uniform", plane, 255, size=3)[0]
    np.testing.assert_array_equal(apply(direct, plane), apply(passes, plane))


def test_without_holes_results_are_those_without_nodata() -> None:
    array = np.random.default_rng(3).integers(0, 60000, (13, 17)).astype(np.uint16)
    for name, fields in (
        ("gaussian", {"sigma": 1.2, "dtype": "float32"}), ("convolve", {"kernel": KERNEL}),
        ("convolve", {"kernel": np.ones((3, 3))}),
        ("median", {"size": 3}), ("downsample", {"factors": 3}), ("sobel", {"dtype": "float32"}),
        ("uniform", {"size": 4, "dtype": "float64"}),
    ):  # fmt: skip
        operator, _ = masked(name, array, 65535, **fields)
        plain = apply(bound(name, array, **fields), array)
        np.testing.assert_allclose(apply(operator, array), plain, rtol=1e-6)


@pytest.mark.parametrize("algorithm", ["direct", "fft"])
@pytest.mark.parametrize("dtype", ["int16", "float32"])
def test_differences_are_no_data_where_they_meet_no_data(dtype: str, algorithm: str) -> None:
    array, valid = with_holes((12, 14), dtype, share=0.05)
    cases: list[tuple[str, dict[str, Any], np.ndarray]] = [
        ("sobel", {"axis": 0}, np.array([[1, 1, 1], [0, 0, 0], [1, 1, 1]])),
        ("correlate", {"kernel": "laplace", "algorithm": algorithm}, np.array([[0, 1, 0], [1, 1, 1], [0, 1, 0]])),
        ("gaussian", {"sigma": 1, "order": (0, 1), "radius": 1}, np.array([[1, 0, 1]] * 3)),
    ]
    for name, fields, footprint in cases:
        operator, left = masked(name, array, HOLES[dtype], mode="mirror", dtype="float64", **fields)
        some = ~ndimage.maximum_filter(~valid, footprint=footprint, mode="mirror")
        plain = apply(bound(name, array, mode="mirror", dtype="float64", **fields), np.where(valid, array, 0))
        same(apply(operator, array), plain, some, left.value)
        assert some.any()


@settings(max_examples=40)
@given(
    st.sampled_from(DTYPES), st.sampled_from(MODES[:4]), st.tuples(st.integers(1, 5), st.integers(1, 4)),
    st.tuples(st.integers(1, 12), st.integers(1, 14)), st.integers(0, 99),
)  # fmt: skip
def test_ranks_are_of_the_elements_that_have_a_value(
    dtype: str, mode: str, size: tuple[int, int], shape: tuple[int, int], seed: int
) -> None:
    array, valid = with_holes(shape, dtype, seed)
    padded = [np.pad(x, [(n // 2, n - 1 - n // 2) for n in size], PAD[mode]) for x in (array.astype(float), valid)]
    windows = sliding_window_view(np.where(padded[1], padded[0], np.inf), size).reshape(*shape, -1)
    count = np.isfinite(windows).sum(-1)
    found = np.take_along_axis(np.sort(windows, -1), (count // 2).clip(max=windows.shape[-1] - 1)[..., None], -1)
    operator, _ = masked("median", array, HOLES[dtype], size=size, mode=mode)
    result = apply(operator, array)
    same(result, np.where(count > 0, found[..., 0], 0), count > 0, HOLES[dtype])
    assert apply(operator, array, (2, 3)).tobytes() == result.tobytes()


def test_of_any_rank_the_smallest_stays_the_smallest_and_the_largest_the_largest() -> None:
    from gridstride.workers.families.rank import RankOfValid

    for n in range(1, 30):
        for rank in range(n):
            ranks = RankOfValid((n,), (0,), ("nearest",), rank).ranks
            assert ranks[n] == rank
            assert all(0 <= ranks[m] < m for m in range(1, n + 1))
            if rank in (0, n - 1, n // 2):
                expected = {0: lambda m: 0, n - 1: lambda m: m - 1, n // 2: lambda m: m // 2}[rank]
                assert [ranks[m] for m in range(1, n + 1)] == [expected(m) for m in range(1, n + 1)]


@pytest.mark.parametrize("method", ["mean", "max", "min"])
@pytest.mark.parametrize("dtype", [*DTYPES, "int64", "uint64"])
@pytest.mark.parametrize("out", [None, "float64", "int16"])
def test_boxes_are_of_the_elements_that_have_a_value(method: str, dtype: str, out: str | None) -> None:
    if dtype in ("int64", "uint64"):
        rng = np.random.default_rng(5)
        limits = np.iinfo(dtype)
        array = rng.integers(limits.max - 9, limits.max, (7, 10), dtype, endpoint=True)
        hole, valid = int(limits.max), array != limits.max
    else:
        array, valid = with_holes((7, 10), dtype)
        hole = HOLES[dtype]
    if out == "int16" and dtype in ("uint16", "float32", "float64", "int64", "uint64"):
        with pytest.raises(ValueError, match="stands for no data, which no element of dtype int16 can be"):
            masked("downsample", array, hole, factors=(3, 4), method=method, dtype=out)
        return
    operator, left = masked("downsample", array, hole, factors=(3, 4), method=method, dtype=out)
    result = apply(operator, array)
    for i, j in product(range(3), range(3)):
        box = (slice(3 * i, 3 * i + 3), slice(4 * j, 4 * j + 4))
        values = [v.item() for v in array[box][valid[box]]]
        got = result[i, j].item()
        if not values:
            assert got == left.value or (got != got and left.value != left.value)
        elif method != "mean":
            assert got == result.dtype.type({"max": max, "min": min}[method](values)).item()
        elif result.dtype.kind == "f":
            assert got == pytest.approx(sum(values) / len(values), rel=1e-6)
        else:
            whole, rest = divmod(sum(values), len(values))  # Python's whole numbers are exact
            assert got == whole + (2 * rest > len(values) or (2 * rest == len(values) and whole % 2 == 1))
    for block in ((1, 2), (2, 1)):
        assert apply(operator, array, block).tobytes() == result.tobytes()


@pytest.mark.parametrize("dtype", ["uint8", "int32", "float32"])
def test_thresholds_are_false_where_no_data_are_and_found_without_them(dtype: str) -> None:
    array, valid = with_holes((20, 30), dtype)
    operator, left = masked("threshold", array, HOLES[dtype], value=100)
    assert left is None
    np.testing.assert_array_equal(apply(operator, array), valid & (array > 100))
    operator, left = masked("threshold", array, HOLES[dtype], method="otsu")
    wanted = valid & (array > threshold_otsu(array[valid]))
    for block in (None, (3, 7), (20, 4)):  # some blocks have no value at all
        np.testing.assert_array_equal(apply(operator, array, block), wanted)


def test_an_array_of_nothing_has_no_threshold() -> None:
    array = np.full((5, 6), -9999, np.int32)
    operator, _ = masked("threshold", array, -9999, method="otsu")
    assert not apply(operator, array).any()


def test_a_chain_passes_on_what_is_missing() -> None:
    array, _ = with_holes((14, 15), "float64")
    array[array == HOLES["float64"]] = 1e300  # of float32, NaN
    terms: list[tuple[str, dict[str, Any]]] = [
        ("median", {"size": 3, "dtype": "float32"}), ("gaussian", {"sigma": 1.0, "mode": "wrap"}),
        ("sobel", {"mode": "nearest"}), ("downsample", {"factors": 2}), ("threshold", {"value": 1}),
    ]  # fmt: skip
    recipes = [registry.find(name)(**fields) for name, fields in terms]
    operator, left = chain(recipes, grid_of(array)).without(NoData((1e300,)), grid_of(array))
    step, missing = array, NoData((1e300,))
    for recipe in recipes:
        one, missing = recipe.bind(grid_of(step)).without(missing, grid_of(step))
        step = apply(one, step)
    assert left is None
    assert missing is None
    for block in (None, (3, 2)):
        np.testing.assert_array_equal(apply(operator, array, block), step, strict=True)


def test_several_values_and_both_zeros_stand_for_no_data() -> None:
    array = np.array([1, -9, 5, -7, 3, -9, 4], np.int16)
    for name in ("median", "uniform"):
        many, left = masked(name, array, -9, -7, size=3)
        one, _ = masked(name, np.where(array == -7, -9, array), -9, size=3)
        assert left.values == (-9,)
        np.testing.assert_array_equal(apply(many, array), apply(one, np.where(array == -7, np.int16(-9), array)))
    zeros = np.array([2, -0.0, 0.0, -0.0, 1, 5], np.float32)
    operator, _ = masked("median", zeros, 0.0, size=3)
    np.testing.assert_array_equal(apply(operator, zeros), [2, 2, 0, 1, 5, 5])


def test_what_a_result_cannot_hold_is_refused_or_nan() -> None:
    array, _ = with_holes((5, 6), "float32")
    with pytest.raises(ValueError, match="nan stands for no data, which no element of dtype uint8 can be: give"):
        masked("gaussian", array, float("nan"), sigma=1, dtype="uint8")
    wide, _ = with_holes((5, 6), "float64")
    assert np.isnan(masked("gaussian", wide, 1e300, sigma=1, dtype="float32")[1].value)
    assert masked("gaussian", wide, -9999.0, sigma=1, dtype="int16")[1].values == (-9999,)


def test_an_operator_that_knows_no_missing_elements_refuses() -> None:
    with pytest.raises(ValueError, match="operator cannot leave out elements without data: leave nodata out"):
        Operator().without(NoData((0,)), Grid.of((3,), "uint8"))


EVERY: list[tuple[str, dict[str, Any], str]] = [
    ("gaussian", {"sigma": 1.0, "mode": "wrap"}, "uint8"),
    ("gaussian", {"sigma": 1.0, "order": 1, "dtype": "float32"}, "int16"),
    ("uniform", {"size": 3, "cast": "scipy"}, "uint16"),
    ("convolve", {"kernel": KERNEL, "mode": "constant", "cval": 3.0}, "float32"),
    ("convolve", {"kernel": "laplace", "algorithm": "direct"}, "float64"),
    ("median", {"size": 3}, "int32"),
    ("median", {"size": (2, 5), "mode": "constant", "cval": 9}, "float32"),
    ("minimum", {"size": (3, 11), "mode": "wrap"}, "int16"),
    ("maximum", {"footprint": KERNEL, "mode": "constant", "cval": -1e30}, "float64"),
    ("downsample", {"factors": (2, 3)}, "int16"),
    ("downsample", {"factors": 2, "dtype": "float32"}, "uint8"),
    ("downsample", {"factors": 2, "method": "max"}, "float32"),
    ("downsample", {"factors": 2, "method": "min"}, "uint8"),
    ("threshold", {"method": "otsu"}, "float32"),
    ("threshold", {"method": "otsu"}, "uint16"),
    ("threshold", {"value": 99.5}, "float64"),
]  # fmt: skip


@pytest.mark.parametrize(("name", "fields", "dtype"), EVERY)
def test_operators_are_saved_and_their_memory_is_counted(
    name: str, fields: dict[str, Any], dtype: str, tmp_path: Path
) -> None:
    array, _ = with_holes((70, 90), dtype)
    operator, _ = masked(name, array, HOLES[dtype], **fields)
    saving.save(operator, tmp_path, "operator")
    loaded = saving.load(tmp_path, "operator")
    assert saving.digest(loaded) == saving.digest(operator)
    wanted = apply(operator, array)
    np.testing.assert_array_equal(apply(loaded, array, (31, 33)), wanted)
    if (first := operator.first_sweep()) is not None:
        operator = first
    grid = grid_of(array)
    want = Region.whole(operator.out_grid(grid).shape)
    window, out = window_of(operator, array, want), np.empty(want.shape, operator.out_grid(grid).dtype)
    operator.cpu(window, out)
    tracemalloc.start()
    operator.cpu(window, out)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak <= operator.scratch(want, grid, "cpu") + 100_000


# --- the CUDA source ---
def asked(operator: Operator, array: np.ndarray) -> set[tuple[str, str]]:
    """The kernels that an operator and the sweeps before it ask for."""
    found: set[tuple[str, str]] = set()

    def compute(one: Operator, window: Window) -> Any:
        def run(plan: Any, data: np.ndarray, more: Any = None) -> np.ndarray:
            found.update((launch.file, launch.expression) for launch in plan.launches)
            return np.zeros(plan.out_shape, plan.out_dtype)

        gpu.compute(one, window, Machine(np, scipy.fft, run))
        return on_cpu(one, window)

    apply(operator, array, None, compute)
    return found


@cache
def host() -> Host:
    every: set[tuple[str, str]] = set()
    for name, fields, dtype in EVERY:
        array, _ = with_holes((14, 17), dtype)
        every |= asked(masked(name, array, HOLES[dtype], **fields)[0], array)
    assert every <= set(registry.instantiations())
    return Host(build(Path(tempfile.mkdtemp(prefix="nodata")), every))


@pytest.fixture(scope="module", autouse=True)
def _close_the_host() -> Any:
    yield
    if host.cache_info().currsize:
        host().close()
        shutil.rmtree(host().program.parent)


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("g++") is None, reason="g++ builds the kernels for the CPU; it is missing")
@pytest.mark.parametrize(("name", "fields", "dtype"), EVERY)
def test_the_cuda_source_gives_what_the_cpu_gives(name: str, fields: dict[str, Any], dtype: str) -> None:
    array, _ = with_holes((14, 17), dtype)
    operator, _ = masked(name, array, HOLES[dtype], **fields)
    block = [n // 2 + 1 for n in operator.out_grid(grid_of(array)).shape]
    theirs = apply(operator, array, block, lambda one, window: host().compute(one, window, 3))
    ours = apply(operator, array, block)
    if dtype == "int16" and name == "gaussian":  # a derivative is summed in float32
        np.testing.assert_allclose(theirs, ours, atol=1e-4)
    else:
        np.testing.assert_array_equal(theirs, ours, strict=True)


PLANTED = (
    ("if (v == nodata) continue;", ""),
    ("found += v != nodata && v <= middle;", "found += v <= middle;"),
    ("if (valid == 0) low = high = nodata;", ""),
    ("const int rank = ranks[valid];", "const int rank = ranks[taps];"),
)


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("g++") is None, reason="g++ builds the kernels for the CPU; it is missing")
def test_planted_bugs_are_noticed(tmp_path: Path) -> None:
    array, _ = with_holes((9, 11), "uint8")
    array[array == 255] = 100
    operator, _ = masked("median", array, 100, size=3)
    wanted = apply(operator, array)
    for number, (old, new) in enumerate(PLANTED):
        assert old in kernels.source("rank.cu"), "the bug's text is no longer there: plant it anew"
        edit = lambda text, old=old, new=new: text.replace(old, new)  # noqa: E731
        edited = Host(build(tmp_path / str(number), asked(operator, array), edit))
        with pytest.raises((AssertionError, HostError)):
            np.testing.assert_array_equal(apply(operator, array, None, edited.compute), wanted)
        edited.close()


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("method", ["max", "min", "sum", "mean", "std"])
def test_projections_are_of_the_elements_that_have_a_value(dtype: str, method: str) -> None:
    array, valid = with_holes((7, 6, 5), dtype)
    array[:, 5, 4], valid[:, 5, 4] = HOLES[dtype], False
    for axis in range(3):
        operator, left = masked("project", array, HOLES[dtype], axis=axis, method=method, dtype="float64")
        result = apply(operator, array)
        some = valid.any(axis)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of lines without any
            wanted = getattr(np, f"nan{method}")(np.where(valid, array.astype(float), np.nan), axis=axis)
        np.testing.assert_allclose(result[some], wanted[some], rtol=1e-12)
        assert (result[~some] == left.value).all() or np.isnan(result[~some]).all()
        assert apply(operator, array, (2, 3)).tobytes() == result.tobytes()
    whole = masked("project", array, HOLES[dtype], axis=0, method="mean", dtype=dtype)[0]
    if dtype[0] != "f":
        wanted = [np.rint(array[:, y, x][valid[:, y, x]].mean()) for y, x in np.argwhere(valid.any(0))]
        np.testing.assert_array_equal(apply(whole, array)[valid.any(0)], wanted)


def test_what_is_moved_keeps_its_holes() -> None:
    array, valid = with_holes((7, 6), "int16")
    array[0, 0] = 5
    for name, fields, of in (
        ("crop", {"region": "1:,:-2"}, lambda a: a[1:, :-2]),
        ("flip", {"axes": (0,)}, lambda a: a[::-1]),
        ("pad", {"width": 2, "mode": "mirror"}, lambda a: np.pad(a, 2, "reflect")),
        ("cast", {"dtype": "float32"}, lambda a: a.astype("f4")),
    ):
        operator, left = masked(name, array, HOLES["int16"], 5, **fields)
        assert left.values == (HOLES["int16"],)
        wanted = of(np.where((array == 5) | ~valid, HOLES["int16"], array))
        np.testing.assert_array_equal(apply(operator, array, (3, 4)), wanted)


@pytest.mark.parametrize("dtype", DTYPES)
def test_medians_and_modes_of_boxes_are_of_the_elements_that_have_a_value(dtype: str) -> None:
    array, valid = with_holes((9, 7), dtype)
    array[valid] %= 5
    for method in ("median", "mode"):
        operator, _ = masked("downsample", array, HOLES[dtype], factors=(3, 2), method=method)
        result = apply(operator, array)
        for y, x in np.ndindex(result.shape):
            box = slice(3 * y, 3 * y + 3), slice(2 * x, 2 * x + 2)
            left = array[box][valid[box]]
            if not left.size:
                assert result[y, x] == HOLES[dtype] or np.isnan(result[y, x])
            elif method == "median":
                middle = np.median(left)
                assert result[y, x] == (middle if dtype[0] == "f" else np.rint(middle))
            else:
                numbers, counts = np.unique(left, return_counts=True)
                assert result[y, x] == numbers[counts.argmax()]
        assert apply(operator, array, (2, 1)).tobytes() == result.tobytes()
