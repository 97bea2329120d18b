"""Steps that join arrays: as NumPy joins them in float64 or in integers that hold all; small graphs of named steps."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy import ndimage

from gridstride.pipeline import api
from gridstride.pipeline.errors import UsageError
from gridstride.pipeline.pipelines.bind import bind
from gridstride.pipeline.pipelines.file import load_pipeline
from gridstride.workers.nodata import NoData
from tests.blockwise import apply, grid_of


def image(dtype: str) -> np.ndarray:
    return (np.random.default_rng(5).random((13, 11)) * 250).astype(dtype)


def joined(operator: str, array: np.ndarray, block: Any = None, **options: Any) -> np.ndarray:
    """The array and its mean over 3 x 3, joined."""
    steps = [{"uniform": {"size": 3, "name": "mean"}}, {operator: {"inputs": ["input", "mean"], **options}}]
    return apply(bind(load_pipeline(steps), grid_of(array)).operator, array, block)


FORMULAS: dict[str, Any] = {
    "difference": lambda a, b: a - b,
    "sum": lambda a, b: a + b,
    "product": lambda a, b: a * b,
    "ratio": lambda a, b: a / b,
    "magnitude": np.hypot,
    "largest": np.maximum,
    "smallest": np.minimum,
}


@pytest.mark.parametrize("dtype", ["uint8", "int16", "float32"])
@pytest.mark.parametrize("operator", FORMULAS)
def test_joins_are_as_numpys_formulas_saturated(operator: str, dtype: str) -> None:
    array = image(dtype) + np.dtype(dtype).type(1)
    mean = apply(bind(load_pipeline([{"uniform": {"size": 3}}]), grid_of(array)).operator, array)
    wanted = FORMULAS[operator](array.astype(float), mean.astype(float))
    result = joined(operator, array, block=(5, 4))
    if dtype == "float32" or operator == "ratio":
        assert result.dtype == np.float32
        np.testing.assert_allclose(result, wanted, rtol=1e-6)
    else:
        limits = np.iinfo(dtype)
        np.testing.assert_array_equal(result, np.rint(wanted).clip(limits.min, limits.max).astype(dtype), strict=True)


@pytest.mark.parametrize("operator", ["difference", "sum", "product", "magnitude", "largest"])
def test_a_join_may_be_the_only_step(operator: str) -> None:
    array = image("uint8")
    found = apply(
        bind(load_pipeline([{operator: {"inputs": ["input", "input"]}}]), grid_of(array)).operator, array, (5, 4)
    )
    wide = array.astype(float)
    np.testing.assert_array_equal(found, np.rint(FORMULAS[operator](wide, wide)).clip(0, 255).astype("uint8"))


def test_a_dtype_that_holds_more_keeps_differences_below_0() -> None:
    array = image("uint8")
    mean = ndimage.uniform_filter(array.astype(float), 3)
    result = joined("difference", array, dtype="int16")
    assert result.dtype == np.int16
    assert result.min() < 0
    np.testing.assert_array_equal(result, array.astype(int) - np.rint(mean).astype(int))


def test_weights_and_masks() -> None:
    array = image("float32")
    mean = ndimage.uniform_filter(array, 3)
    np.testing.assert_allclose(joined("sum", array, weights=[2, -0.5]), 2 * array - 0.5 * mean, atol=1e-4)
    steps = [{"threshold": {"value": 99}}, {"product": {"inputs": ["threshold", "input"]}}]
    masked = apply(bind(load_pipeline(steps), grid_of(array)).operator, array, (4, 4))
    np.testing.assert_array_equal(masked, np.where(array > 99, array, 0), strict=True)
    truths = [{"threshold": {"value": 99, "name": "a"}}, {"threshold": {"value": 150, "name": "b", "inputs": "input"}}]
    for operator, both in (("largest", np.logical_or), ("smallest", np.logical_and), ("difference", np.greater)):
        pipeline = load_pipeline([*truths, {operator: {"inputs": ["a", "b"]}}])
        found = apply(bind(pipeline, grid_of(array)).operator, array)
        np.testing.assert_array_equal(found, both(array > 99, array > 150), strict=True)


DOG: Any = [
    {"gaussian": {"sigma": 1, "name": "fine"}},
    {"gaussian": {"sigma": 3, "inputs": "input", "name": "coarse"}},
    {"difference": {"inputs": ["fine", "coarse"]}},
]


def test_a_difference_of_gaussians_by_hand_is_fused_at_any_cut() -> None:
    array = image("float32")
    pipeline = load_pipeline(
        [*DOG, {"threshold": {"method": "otsu"}}, {"product": {"inputs": ["threshold", "difference"]}}]
    )
    operator = bind(pipeline, grid_of(array)).operator
    fine, coarse = (bind(load_pipeline([{"gaussian": {"sigma": s}}]), grid_of(array)).operator for s in (1, 3))
    difference = apply(fine, array) - apply(coarse, array)
    above = apply(bind(load_pipeline([{"threshold": {"method": "otsu"}}]), grid_of(array)).operator, difference)
    for block in (None, (4, 5)):
        np.testing.assert_array_equal(apply(operator, array, block), difference * above, strict=True)


def test_what_one_array_lacks_the_join_lacks() -> None:
    array = image("float32")
    array[4, 5] = -1
    pipeline = load_pipeline([{"median": {"size": 1}}, {"sum": {"inputs": ["median", "input"]}}])
    operator, left = bind(pipeline, grid_of(array)).operator.without(NoData((-1.0,)), grid_of(array))
    result = apply(operator, array)
    assert left == NoData((-1.0,))
    assert result[4, 5] == -1
    result[4, 5] = array[4, 5] = 0
    np.testing.assert_array_equal(result, 2 * array)


WRONG = [
    ([{"difference": {}}], "step 1 (difference): difference joins several arrays: name them, such as inputs: [input, "),
    ([{"difference": {"inputs": ["input"] * 3}}], "step 1 (difference): difference of 3 arrays: expected 2"),
    ([{"median": {"inputs": ["input", "input"]}}], "step 1 (median): median reads one array, and inputs names 2: "),
    ([{"sum": {"inputs": ["input"] * 2, "weights": [1, 2, 3]}}], "step 1 (sum): weights has 3 values for 2 arrays"),
    (
        [{"downsample": {}}, {"difference": {"inputs": ["input", "downsample"]}}],
        "step 2 (difference): difference joins arrays of one shape, and these are of 13 x 11 and 7 x 6",
    ),
]


@pytest.mark.parametrize(("steps", "words"), WRONG)
def test_what_cannot_be_joined_is_refused_by_its_step(steps: Any, words: str, store: Any, tmp_path: Path) -> None:
    with pytest.raises(UsageError) as refused:
        api.prepare(load_pipeline(steps), store(image("uint16"), (8, 8)), tmp_path / "out", device="cpu")
    assert str(refused.value).startswith(words)


def test_sums_of_64_bit_integers_are_refused_and_their_differences_exact() -> None:
    array = np.array([[2**62 + 1, 5], [7, -(2**62)]])
    same = load_pipeline([{"median": {"size": 1}}, {"difference": {"inputs": ["input", "median"]}}])
    assert not apply(bind(same, grid_of(array)).operator, array).any()
    with pytest.raises(UsageError, match="does not hold all integers of int64"):
        bind(load_pipeline([{"sum": {"inputs": ["input", "input"]}}]), grid_of(array))


def test_what_a_step_that_stores_its_result_leaves_behind_is_not_read_later() -> None:
    def inner(block: np.ndarray) -> np.ndarray:
        return block[1:-1, 1:-1]

    again = {"apply": {"file": inner, "halo": 1, "iterations": 40, "name": "again"}}
    bind(load_pipeline([{"median": {}}, again, {"median": {}}]), grid_of(image("uint8")))
    with pytest.raises(UsageError, match=r"^step 2 \(sum\): it reads what comes before apply \(step 1\)"):
        bind(load_pipeline([again, {"sum": {"inputs": ["again", "input"]}}]), grid_of(image("uint8")))
