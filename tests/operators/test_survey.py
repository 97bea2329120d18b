"""Numbers of whole arrays: exact, by fractions and NumPy, whatever the cut, on the CPU and by array functions."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from skimage.filters import threshold_li

from gridstride.workers import gpu
from gridstride.workers.families import tally
from gridstride.workers.families.keys import ABOVE, BELOW, FINITE, MISSING, NAN
from gridstride.workers.families.survey import Survey
from gridstride.workers.families.totals import root
from gridstride.workers.gpu import Machine
from gridstride.workers.nodata import NoData
from gridstride.workers.operators.base import Operator, Window
from tests.blockwise import apply, bound, grid_of, on_cpu, sweep
from tests.cases import random_cuts
from tests.holes import masked

PERCENTILES = (0.0, 1.0, 13.7, 50.0, 90.0, 100.0)
DTYPES = ("bool", "uint8", "int16", "uint32", "int32", "uint64", "int64", "float16", "float32", "float64")


def on_arrays(operator: Operator, window: Window) -> Any:
    """A report by the functions of arrays that a GPU runs."""
    return gpu.compute(operator, window, Machine(np, None, None))


@pytest.fixture(params=["kernels", "arrays"])
def compute(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Sweeps by the CPU's kernels, or by functions of arrays."""
    monkeypatch.setattr(tally, "FEW", 0)
    return on_cpu if request.param == "kernels" else on_arrays


def survey(array: np.ndarray, rng: np.random.Generator, compute: Any = on_cpu, **asked: Any) -> Survey:
    found = Survey(array.dtype, **asked)
    while (first := found.sweep()) is not None:
        reports = sweep(first, array, random_cuts(first, grid_of(array), rng), compute)[1]
        found = found.taken([reports[i] for i in rng.permutation(len(reports))])
    return found


def numbers(rng: np.random.Generator, dtype: str) -> np.ndarray:
    """Of all sizes that a dtype has, with what is no finite number among floats."""
    kind, shape = np.dtype(dtype), (5, 11, 3)
    if kind.kind == "b":
        return rng.random(shape) < 0.3
    if kind.kind != "f":
        return rng.integers(np.iinfo(kind).min, np.iinfo(kind).max, shape, kind, endpoint=True)
    least, most = {2: (-8, 4), 4: (-45, 37), 8: (-320, 300)}[kind.itemsize]
    array = (rng.normal(size=shape) * 10.0 ** rng.uniform(least, most, shape)).astype(kind)
    array.flat[rng.integers(0, array.size, 6)] = [np.nan, np.inf, -np.inf, -np.nan, 0.0, -0.0]
    return array


@pytest.mark.parametrize("dtype", DTYPES)
def test_numbers_of_an_array_are_exact(dtype: str, compute: Any) -> None:
    rng = np.random.default_rng(3)
    array = numbers(rng, dtype)
    asked: dict[str, Any] = {"moments": True, "extremes": True, "percentiles": PERCENTILES, "bins": 7}
    found = survey(array, rng, compute, **asked)
    finite = array[np.isfinite(array)]
    exact = [Fraction(value) for value in finite.tolist()]
    mean = sum(exact) / len(exact)
    assert [found.of(kind, 0) for kind in (NAN, ABOVE, BELOW, FINITE)] == [
        np.isnan(array).sum(), (array == np.inf).sum(), (array == -np.inf).sum(), finite.size
    ]  # fmt: skip
    assert (found.low[0], found.high[0]) == (finite.min(), finite.max())
    assert float(found.rest[0]) == float(mean - found.whole[0])
    assert found.std[0] == root(sum((x - mean) ** 2 for x in exact) / len(exact))
    wide = array[~np.isnan(array)].astype(int if array.dtype.kind == "b" else array.dtype)
    if array.dtype.kind in "iu" and array.itemsize < 8:
        wide = wide.astype(np.int64)  # differences of neighbours may not fit
    with np.errstate(all="ignore"):
        wanted = np.percentile(wide, PERCENTILES)
        np.testing.assert_array_equal([found.percentile(n, 0) for n in range(1, 5)], wanted[1:5])
        if dtype not in ("float16", "float64"):  # in NumPy too coarse, or too far apart
            counts, edges = np.histogram(
                wide[np.isfinite(wide)].astype(finite.dtype if finite.dtype != bool else int), 7
            )
            np.testing.assert_array_equal(found.histogram[0], counts)
            np.testing.assert_array_equal(found.edges[0], edges)  # type: ignore[index]


def test_each_part_has_numbers_of_its_own_and_elements_without_data_are_left_out() -> None:
    rng = np.random.default_rng(4)
    array = rng.integers(0, 9, (4, 7, 3)).astype(np.float32)
    for compute in (on_cpu, on_arrays):  # of few elements
        asked: dict[str, Any] = {"moments": True, "extremes": True, "percentiles": (50.0,), "nodata": NoData((3.0,))}
        found = survey(array, rng, compute, per=(0, 2), groups=12, **asked)
        for group, (i, k) in enumerate(np.ndindex(4, 3)):
            part = array[i, :, k]
            kept = part[part != 3]
            assert found.of(MISSING, group) == 7 - kept.size
            assert found.low[group] == kept.min()
            assert found.percentile(0, group) == np.median(kept)
            np.testing.assert_allclose(found.std[group], kept.std(dtype=float), rtol=1e-14)


def test_the_root_is_rounded_once() -> None:
    rng = np.random.default_rng(5)
    for power in (-1000, -3, 0, 1000):
        for x in rng.random(20) + 0.5:
            exact = Fraction(x) * Fraction(2) ** power
            assert root(exact * exact) == np.ldexp(x, power)
            assert root(exact * exact * (1 + Fraction(1, 2**54))) == np.ldexp(x, power)


@pytest.mark.parametrize("name", ["normalise", "rescale"])
def test_arrays_with_nothing_to_measure_stay_as_they_are_or_become_0(name: str) -> None:
    fields: dict[str, Any] = {} if name == "rescale" else {"method": "minmax"}
    nothing = np.full((3, 4), np.nan, np.float32)
    assert np.isnan(apply(bound(name, nothing, **fields), nothing)).all()
    one = np.full((3, 4), 7, np.int32)
    wanted = 7 if name == "rescale" else 0
    assert (apply(bound(name, one, **fields), one) == wanted).all()
    assert (apply(bound("normalise", one), one) == 0).all()
    empty = np.zeros((0, 4), np.float32)
    assert apply(bound(name, empty, **fields), empty).shape == (0, 4)


def test_no_data_are_left_out_of_ranges_and_stay() -> None:
    array = np.array([[5, 10, 200, 15], [200, 20, 25, 30]], np.uint8)
    operator, left = masked("normalise", array, 200, method="minmax")
    wanted = np.where(array == 200, 200, (array - 5.0) / 25).astype(np.float32)
    np.testing.assert_array_equal(apply(operator, array, (1, 3)), wanted)
    assert left is not None
    assert left.values == (200.0,)
    operator, _ = masked("clip", array, 200, high=22)
    np.testing.assert_array_equal(apply(operator, array), np.where(array == 200, 200, array.clip(0, 22)))


@pytest.mark.parametrize(
    ("name", "fields", "said"),
    [
        ("clip", {}, "give clip a low, a high, or both"),
        ("clip", {"low": 5, "high": 3}, "low is 5"),
        ("clip", {"low": float("nan")}, "low is NaN"),
        ("clip", {"low": 300}, "no value of dtype uint8"),
        ("clip", {"low": 1.2, "high": 1.8}, "no value of dtype uint8"),
        ("rescale", {"in_range": (9, 3)}, "in_range is 9,3"),
        ("rescale", {"in_range": "image", "percentiles": (1, 2)}, "give in_range or percentiles"),
        ("rescale", {"out_range": (0, 300), "dtype": "uint8"}, "out_range is 0,300: dtype uint8"),
        ("rescale", {"percentiles": (98, 2)}, "percentiles is 98,2"),
        ("normalise", {"method": "percentile", "percentiles": (1, 2, 3)}, "percentiles is 1,2,3"),
        ("normalise", {"dtype": "uint8"}, "dtype is uint8"),
        ("normalise", {"per": "c"}, "unknown axis 'c'"),
        ("normalise", {"per": (0, 1)}, "per names 40000 parts"),
    ],
)
def test_what_is_wrong_is_said_in_one_line(name: str, fields: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        bound(name, ((200, 200, 3), "uint8"), **fields)


def test_infinite_values_are_left_out_of_numbers_and_stay() -> None:
    array = np.array([1.0, np.inf, 3.0, -np.inf, np.nan, 5.0])
    result = apply(bound("normalise", array, method="minmax"), array)
    np.testing.assert_array_equal(result, [0, np.inf, 0.5, -np.inf, np.nan, 1])


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
def test_lis_threshold_of_floats_is_scikit_images_at_any_cut(dtype: str, compute: Any) -> None:
    rng = np.random.default_rng(6)
    steps = [rng.normal(0, 30, 900), 10 ** rng.normal(0, 2, 900), rng.integers(-3, 4, 900), rng.normal(size=900) + 1e4]
    for values in steps:
        array = values.reshape(30, 30).clip(-6e4, 6e4).astype(dtype)
        array[3, :2] = np.nan, np.inf
        left = array[np.isfinite(array)].astype(float)
        operator, sweeps = bound("threshold", array, method="li"), 0
        while (first := operator.first_sweep()) is not None:
            reports = sweep(first, array, random_cuts(first, grid_of(array), rng), compute)[1]
            operator, sweeps = operator.resolve(reports[::-1], grid_of(array)), sweeps + 1
        np.testing.assert_array_equal(apply(operator, array), array > threshold_li(left))
        assert sweeps <= 5


@pytest.mark.parametrize(
    ("values", "wanted"),
    [
        ([np.nan, np.nan], [False, False]), ([np.inf, -np.inf], [True, False]), ([5.0, 5.0], [False, False]),
        ([np.inf, np.inf], [False, False]), ([5.0, np.inf], [False, True]), ([1.0, 9.0], [False, True]),
    ],
)  # fmt: skip
def test_lis_threshold_of_arrays_without_two_values(values: list[float], wanted: list[bool]) -> None:
    array = np.array(values, np.float32)
    assert apply(bound("threshold", array, method="li"), array).tolist() == wanted
    operator, _ = masked("threshold", np.append(array, 7).astype(np.float32), 7, method="li")
    assert apply(operator, np.append(array, 7).astype(np.float32)).tolist() == [*wanted, False]
    huge = np.array([-1.5e308, 1.5e308])
    with pytest.raises(ValueError, match="li: the array's values go from"):
        apply(bound("threshold", huge, method="li"), huge)
