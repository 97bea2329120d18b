"""Operators of many passes: in several sweeps, beside elements that are no numbers, and without them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from skimage.restoration import richardson_lucy as richardson_lucy_of

from gridstride.workers.families.relay import shares
from gridstride.workers.nodata import NoData
from gridstride.workers.operators import anisotropic_diffusion, denoise_tv, registry, richardson_lucy
from tests.blockwise import apply, bound, grid_of

RNG = np.random.default_rng(5)


def test_shares_are_as_few_as_can_be_and_about_equal() -> None:
    assert shares(0, 4) == [0]
    assert shares(10, 4) == [3, 3, 4]
    assert shares(8, 4) == [4, 4]


@pytest.mark.parametrize("axes", [(0, 1, 2), (0, 2), (1,)])
def test_the_dual_field_goes_from_sweep_to_sweep(axes: tuple[int, ...], monkeypatch: Any) -> None:
    array = RNG.random((9, 8, 11), "float32")
    fields = {"weight": 0.3, "iterations": 12, "axes": axes}
    whole = apply(bound("denoise-tv", array, **fields), array)
    monkeypatch.setattr(denoise_tv, "MOST_FUSED", 4)
    operator = bound("denoise-tv", array, **fields)
    assert operator.sweeps() == 2
    assert operator.kept(grid_of(array)) == (array.nbytes * (1 + len(axes)),) * 2
    assert apply(operator, array, (4, 5, 6)).tobytes() == whole.tobytes()


@pytest.mark.parametrize("axes", [(0, 1, 2), (2, 0)])
def test_diffusion_goes_on_from_sweep_to_sweep(axes: tuple[int, ...], monkeypatch: Any) -> None:
    array = RNG.random((9, 8, 11), "float32")
    fields = {"kappa": 0.3, "iterations": 11, "axes": axes}
    whole = apply(bound("anisotropic-diffusion", array, **fields), array)
    monkeypatch.setattr(anisotropic_diffusion, "MOST_FUSED", 4)
    operator = bound("anisotropic-diffusion", array, **fields)
    assert operator.sweeps() == 2
    assert apply(operator, array, (4, 5, 6)).tobytes() == whole.tobytes()


@pytest.mark.parametrize(
    ("spacing", "step", "said"),
    [(1.0, 0.26, "0.25 at most"), ((0.1, 1.0), 0.1, "at most"), (1e-170, None, "from 1e-12")],
)
def test_a_step_that_is_not_stable_is_refused(spacing: Any, step: float | None, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        bound("anisotropic-diffusion", ((9, 9), np.dtype("uint8")), kappa=3, spacing=spacing, step=step)


@pytest.mark.parametrize("conductance", ["exponential", "quadratic"])
def test_diffusion_keeps_the_sum_and_the_range(conductance: str) -> None:
    array = RNG.normal(size=(15, 16)) * 1e3
    fields = {"kappa": 200, "iterations": 30, "step": 0.25, "conductance": conductance}
    found = apply(bound("anisotropic-diffusion", array, **fields), array)
    assert abs(found.sum() - array.sum()) < 1e-8 * np.abs(array).sum()
    assert array.min() <= found.min() <= found.max() <= array.max()


PASSES = [("denoise-tv", {}), ("anisotropic-diffusion", {"kappa": 0.4})]


@pytest.mark.parametrize(("name", "fields"), PASSES)
def test_elements_that_are_no_numbers_stay_and_change_no_others(name: str, fields: dict[str, Any]) -> None:
    """As if the array ended there."""
    array, fields = RNG.random((6, 24), "float32"), fields | {"iterations": 6}
    array[:, 10] = np.nan
    array[:, 11] = np.inf
    found = apply(bound(name, array, **fields), array)
    assert np.isnan(found[:, 10]).all()
    assert (found[:, 11] == np.inf).all()
    for part in (slice(0, 10), slice(12, 24)):
        alone = np.ascontiguousarray(array[:, part])
        np.testing.assert_array_equal(found[:, part], apply(bound(name, alone, **fields), alone))


@pytest.mark.parametrize("dtype", ["uint8", "float32"])
@pytest.mark.parametrize(("name", "fields"), [*PASSES, ("richardson-lucy", {"psf": np.ones((3, 3))})])
def test_elements_without_data_stay_so_in_all_sweeps(
    name: str, fields: dict[str, Any], dtype: str, monkeypatch: Any
) -> None:
    for module, most in ((denoise_tv, "MOST_FUSED"), (anisotropic_diffusion, "MOST_FUSED"), (richardson_lucy, "REACH")):
        monkeypatch.setattr(module, most, 2)
    monkeypatch.setattr(richardson_lucy, "TOGETHER", 1)
    array = RNG.integers(1, 200, (9, 12)).astype(dtype)
    array[3:5, 4:7] = 0
    fields = fields | {"iterations": 5, "dtype": "float32"}
    recipe = registry.find(name)(**fields)
    operator, left = recipe.bind(grid_of(array)).without(NoData((0,)), grid_of(array))
    found = apply(operator, array, (4, 5))
    assert left == NoData((0.0,))
    assert operator.sweeps() >= 1
    assert (left.valid(found, np) == (array != 0)).all()
    given = array.astype("float32") / np.float32(255 if dtype == "uint8" and name == "denoise-tv" else 1)
    given[array == 0] = np.nan
    wanted = apply(bound(name, given, **fields), given)
    np.testing.assert_allclose(found[array != 0], wanted[array != 0], rtol=1e-6)


def test_parts_of_the_largest_integer_are_no_integers() -> None:
    with pytest.raises(ValueError, match="preserve_range"):
        bound("denoise-tv", ((9, 9), np.dtype("uint16")), dtype="uint16")


def psf(*shape: int) -> np.ndarray:
    return RNG.random(shape) + 0.1


@pytest.mark.parametrize(("algorithm", "tiles"), [("direct", (8, 1)), ("fft", (1, 1))])
def test_the_estimate_goes_from_sweep_to_sweep_without_a_seam(
    algorithm: str, tiles: tuple[int, int], monkeypatch: Any
) -> None:
    """Beside scikit-image on the whole array, at any cut the same bits."""
    array = RNG.random((29, 26), "float32")
    fields = {"psf": psf(3, 4), "iterations": 5, "algorithm": algorithm}
    monkeypatch.setattr(richardson_lucy, "TOGETHER", 1)
    monkeypatch.setattr(richardson_lucy, "TOGETHER_BY_FFT", 1)
    monkeypatch.setattr(richardson_lucy, "REACH", 8)
    monkeypatch.setattr(richardson_lucy, "TILE", 150)
    operator = bound("richardson-lucy", array, **fields)
    assert operator.sweeps() == {"direct": 2, "fft": 4}[algorithm]
    found = apply(operator, array)
    assert apply(operator, array, (10, 7)).tobytes() == found.tobytes()
    wanted = richardson_lucy_of(array.astype("float64"), fields["psf"] / fields["psf"].sum(), 5, clip=False)
    np.testing.assert_allclose(found, wanted, rtol=1e-5)


@pytest.mark.parametrize("algorithm", ["separable", "fft"])
def test_an_estimate_counts_where_the_image_has_no_number(algorithm: str) -> None:
    array = RNG.random((21, 23), "float32")
    fields = {"psf": np.ones((3, 3)), "iterations": 4, "algorithm": algorithm}
    array[7:9, 8] = np.nan
    array[20, 1] = np.inf
    found = apply(bound("richardson-lucy", array, **fields), array)
    there = np.isfinite(array)
    np.testing.assert_array_equal(np.isnan(found), np.isnan(array))
    assert found[20, 1] == np.inf
    assert np.isfinite(found[there]).all()
    whole = np.where(there, array, 0.5)  # far from them nothing changes
    wanted = apply(bound("richardson-lucy", whole, **fields), whole)
    np.testing.assert_allclose(found[:, 17:], wanted[:, 17:], rtol=1e-5)


def test_nothing_is_no_number_where_the_image_is_0() -> None:
    array = np.zeros((12, 40), "uint8")
    array[3, 4] = 255
    for algorithm in ("separable", "fft"):
        found = apply(bound("richardson-lucy", array, psf=np.ones((5, 5)), iterations=8, algorithm=algorithm), array)
        assert np.isfinite(found).all()
        assert abs(found.sum() - 255) < 0.01


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (np.ones((3, 3, 3)), "the psf has 3 dimensions"),
        (np.zeros((3, 3)), "sum 0"),
        (np.array([[1.0, -1.0]]), "entries below 0"),
    ],
)
def test_a_function_that_is_none_is_refused(given: np.ndarray, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        bound("richardson-lucy", ((9, 9), np.dtype("uint8")), psf=given)


def test_it_is_said_that_the_function_is_divided_by_its_sum() -> None:
    grid = grid_of(((9, 9), np.dtype("uint8")))
    said = registry.find("richardson-lucy")(psf=np.ones((3, 4))).bind(grid).remarks(grid)
    assert any("sum 12: it is divided" in line for line in said)
    assert any("even size along 1" in line for line in said)
