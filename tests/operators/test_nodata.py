"""Elements that stand for no data are left out: by every family, at every cut."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.lib.stride_tricks import sliding_window_view
from scipy import ndimage
from skimage.filters import threshold_otsu

from gridstride.workers.nodata import NoData
from gridstride.workers.operators import registry
from gridstride.workers.operators.base import Grid, Operator
from gridstride.workers.operators.graph import chain
from tests.blockwise import apply, bound, grid_of
from tests.holes import DTYPES, HOLES, KERNEL, masked, same, with_holes

MODES = ("reflect", "mirror", "nearest", "wrap", "constant")
PAD = {"reflect": "symmetric", "mirror": "reflect", "nearest": "edge", "wrap": "wrap"}


def normalised(array: np.ndarray, valid: np.ndarray, smooth: Any, dtype: Any = None) -> tuple[np.ndarray, np.ndarray]:
    """(the quotient of sums, where there is one), by scipy on whole arrays in float64."""
    sums, weights = smooth(np.where(valid, array, 0).astype(float)), smooth(valid.astype(float))
    some = weights > 1e-12
    return np.where(some, sums / np.where(some, weights, 1), 0), some


def box_sum(array: np.ndarray, size: tuple[int, int], mode: str) -> np.ndarray:
    """Of whole numbers exact: scipy's uniform_filter keeps a running sum, which may leave a rounding in place of 0."""
    return ndimage.correlate(array, np.ones(size), mode=mode)


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
        ("convolve", {"kernel": np.ones((3, 3))}), ("gaussian", {"sigma": 1.2, "precision": "double"}),
        ("median", {"size": 3}), ("downsample", {"factors": 3}), ("sobel", {"dtype": "float32"}),
        ("uniform", {"size": 4, "dtype": "float64"}),
    ):  # fmt: skip
        operator, _ = masked(name, array, 65535, **fields)
        plain = apply(bound(name, array, **fields), array)
        assert operator.exact
        np.testing.assert_allclose(apply(operator, array), plain, rtol=3e-7 * (plain.dtype == "float32"))


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
