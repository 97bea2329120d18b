"""Layers of neural networks: PyTorch's values, at every cut, on axes of any meaning, and of missing elements."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import zarr
from scipy import ndimage, special

from gridstride.pipeline import api
from gridstride.pipeline.errors import UsageError
from gridstride.pipeline.pipelines.bind import bind
from gridstride.pipeline.pipelines.file import load_pipeline
from gridstride.workers.nodata import NoData
from gridstride.workers.operators import registry
from gridstride.workers.operators.base import Axis, Grid, Operator
from tests.blockwise import apply, bound
from tests.networks.torch_results import CASES, NETWORK, RESULTS, inputs, network_result, torch_result

TOLERANCE = 2e-6  # of the largest value
NUMBERS = pytest.mark.parametrize("number", range(len(CASES)), ids=[f"{n}-{case[0]}" for n, case in enumerate(CASES)])


@pytest.fixture(scope="module")
def stored() -> dict[str, np.ndarray]:
    with np.load(RESULTS) as found:
        return dict(found)


def operator_of(number: int, arrays: dict[str, np.ndarray]) -> Operator:
    name, options, _, _ = CASES[number]
    given = {key: array for key, array in arrays.items() if key != "x"}
    fields = {**options, **given} | ({} if name in ("relu", "softmax") else {"channel_axis": 0})
    if name == "conv":
        fields["groups"] = len(arrays["x"]) // arrays["weights"].shape[1]
    return bound(name, arrays["x"], **fields)


@NUMBERS
def test_equal_to_pytorch_and_the_same_bits_at_any_cut(number: int, stored: dict[str, np.ndarray]) -> None:
    arrays = {key: stored[f"{number}/{key}"] for key in ("x", "weights", "bias") if f"{number}/{key}" in stored}
    operator, wanted = operator_of(number, arrays), stored[f"{number}/result"]
    whole = apply(operator, arrays["x"])
    tolerance = 0 if CASES[number][0] in ("relu", "max-pool") else TOLERANCE * np.nanmax(np.abs(wanted))
    np.testing.assert_allclose(whole, wanted, rtol=0, atol=tolerance, strict=True)
    for block in (1, 3):
        assert apply(operator, arrays["x"], [block] * whole.ndim).tobytes() == whole.tobytes()


@NUMBERS
def test_pytorch_gives_what_is_stored(number: int, stored: dict[str, np.ndarray]) -> None:
    pytest.importorskip("torch", reason="the layers are compared with PyTorch itself where it is installed")
    arrays = inputs(number)
    wanted = torch_result(number, arrays)
    np.testing.assert_allclose(apply(operator_of(number, arrays), arrays["x"]), wanted, rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(stored[f"{number}/result"], wanted, rtol=1e-4, atol=1e-4)


EDGES = NETWORK.parents[1] / "pipelines" / "nuclei-edges.yaml"


def network(shape: tuple[int, ...], dtype: Any = np.uint16) -> Operator:
    return bind(load_pipeline(EDGES), Grid.of(shape, dtype, "zyx")).operator


def test_a_network_is_a_pipeline_and_gives_what_pytorch_gives_at_every_cut(stored: dict[str, np.ndarray]) -> None:
    """The largest difference of shares from PyTorch's is 2e-6."""
    cells, wanted = stored["cells"], stored["network"]
    operator = network(cells.shape)
    whole = apply(operator, cells)
    assert whole.shape == wanted.shape == (3, 5, 21, 23)
    np.testing.assert_allclose(whole, wanted, rtol=0, atol=2e-6)
    np.testing.assert_allclose(whole.sum(0), 1, atol=3e-7)
    assert len(set(whole.argmax(0).flat)) == 3
    for block in ([3, 1, 4, 5], [3, 2, 21, 2], [3, 5, 7, 23]):
        assert apply(operator, cells, block).tobytes() == whole.tobytes()


def test_the_network_run_by_pytorch(stored: dict[str, np.ndarray]) -> None:
    pytest.importorskip("torch", reason="the network is run by PyTorch itself where it is installed")
    np.testing.assert_allclose(network_result(stored["cells"]), stored["network"], atol=1e-5)


@pytest.mark.slow
def test_a_network_over_a_stack_in_blocks(stored: dict[str, np.ndarray], store: Any, tmp_path: Path) -> None:
    source = store(stored["cells"], (2, 16, 16), dimension_names=list("zyx"))
    job = api.prepare(load_pipeline(EDGES), source, tmp_path / "out", device="cpu", workers=1, block=(3, 2, 16, 16))
    api.run(job)
    out = zarr.open_array(str(tmp_path / "out"))
    assert out.metadata.dimension_names == ("c", "z", "y", "x")  # type: ignore[union-attr]
    np.testing.assert_array_equal(out[...], apply(network(stored["cells"].shape), stored["cells"]))


WEIGHTS = np.random.default_rng(0).normal(size=(4, 3, 3, 3))


@pytest.mark.parametrize(
    ("names", "shape", "out"),
    [("tczyx", (2, 3, 4, 6, 5), "tczyx"), ("yxc", (7, 6, 3), "yxc"), ("cyx", (3, 6, 7), "cyx")],
)
def test_channels_are_on_the_axis_of_their_type(names: str, shape: tuple[int, ...], out: str) -> None:
    array = np.random.default_rng(1).normal(size=shape).astype(np.float32)
    at = names.index("c")
    operator = bound("conv", array, names, weights=WEIGHTS, padding="same")
    result, grid = apply(operator, array), operator.out_grid(Grid.of(shape, array.dtype, names))
    assert "".join(axis.name for axis in grid.axes) == names
    first = np.moveaxis(array, at, 0)
    lead = first.reshape(3, -1, *first.shape[-2:])
    sums = [
        [sum(ndimage.correlate(c, k, mode="constant") for c, k in zip(part, of, strict=True)) for of in WEIGHTS]
        for part in lead.swapaxes(0, 1)
    ]
    wanted = np.moveaxis(np.array(sums).swapaxes(0, 1).reshape(4, *first.shape[1:]), 0, at)
    np.testing.assert_allclose(result, wanted, atol=1e-5)


def test_an_array_without_channels_is_one_and_the_result_has_a_new_axis_before_space() -> None:
    axes = (Axis("t", "time"), Axis("z", spacing=2.0, origin=1.0), Axis("y"), Axis("x", spacing=0.5))
    grid = Grid((2, 7, 8, 9), np.dtype(np.uint8), axes)
    operator = registry.find("conv")(weights=np.ones((5, 1, 3, 2, 3)), stride=(2, 1, 3)).bind(grid)
    out = operator.out_grid(grid)
    assert [axis.name for axis in out.axes] == ["t", "c", "z", "y", "x"]
    assert operator.axes_from(grid) == (0, None, 1, 2, 3)
    assert out.shape == (2, 5, 3, 7, 3)
    assert [(axis.origin, axis.spacing) for axis in out.axes[2:]] == [(3.0, 4.0), (0.5, 1.0), (0.5, 1.5)]
    one = registry.find("conv")(weights=np.ones((1, 1, 3, 3)), padding=1).bind(grid)
    assert one.out_grid(grid).shape == grid.shape
    assert one.uncut(grid) == frozenset()
    assert operator.uncut(grid) == {1}
    assert one.remarks(grid) == ("integers are converted to float32",)
    assert one.remarks(Grid.of((9,) * 3, "int64"))[0].endswith("float32, which rounds those beyond 2^24")


def missing(name: str, array: np.ndarray, **fields: Any) -> np.ndarray:
    operator, left = bound(name, array, **fields).without(NoData((-7,)), Grid.of(array.shape, array.dtype))
    result = apply(operator, array)
    assert left is not None
    assert result.tobytes() == apply(operator, array, [2] * result.ndim).tobytes()
    return np.where(result == left.value, np.nan, result)


def test_elements_without_data_are_left_out() -> None:
    rng = np.random.default_rng(3)
    array = rng.integers(0, 9, (4, 8, 10)).astype(np.float32)
    array[rng.random(array.shape) < 0.2] = -7
    array[:, :4, :4] = -7
    holes = np.where(array == -7, np.nan, array)
    boxes = holes.reshape(4, 4, 2, 5, 2).swapaxes(2, 3).reshape(4, 4, 5, 4)
    with warnings.catch_warnings(action="ignore"):
        wanted = np.nanmax(boxes, -1), np.nanmean(boxes, -1)
        shares = special.softmax(np.where(np.isnan(holes), -np.inf, holes), 0)
    for name, expected in zip(("max-pool", "avg-pool"), wanted, strict=True):
        np.testing.assert_allclose(missing(name, array, kernel_size=2, channel_axis=0), expected, rtol=1e-6)
    found = missing("softmax", array, axis=0)
    np.testing.assert_allclose(found, np.where(np.isnan(holes), np.nan, shares), atol=1e-6)
    np.testing.assert_array_equal(missing("relu", array), holes)
    weights = rng.normal(size=(2, 4, 1, 2))
    sums = np.einsum("cyxk,ock->oyx", np.stack([holes[..., :-1], holes[..., 1:]], -1), weights[:, :, 0])
    np.testing.assert_allclose(missing("conv", array, weights=weights, channel_axis=0), sums, atol=1e-4)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_the_exponential_function_is_right_to_its_last_bits_and_0_far_below(dtype: str) -> None:
    """Of two numbers x and 0, the first share is e^x / (e^x + 1)."""
    lowest = -86.0 if dtype == "float32" else -707.0
    x = np.linspace(lowest, 0, 20001, dtype=dtype)
    shares = apply(bound("softmax", (pair := np.stack([x, np.zeros_like(x)])), axis=0), pair)[0]
    exact = special.expit(x.astype(np.longdouble))
    assert np.max(np.abs(shares / exact - 1)) < 2.5 * np.finfo(dtype).eps
    pair = np.array([[-1e4, -np.inf, np.nan, 0], [0, 0, 0, np.inf]], dtype)
    np.testing.assert_array_equal(apply(bound("softmax", pair, axis=0), pair)[0], [0, 0, np.nan, np.nan])


WRONG: list[tuple[str, dict[str, Any], str]] = [
    ("conv", {"weights": np.ones((2, 3, 3, 3))}, "weights are of 3 channels, and an array without an axis of channels"),
    ("conv", {"weights": np.ones((2, 3, 3, 3)), "channel_axis": 0}, "weights are of 3 channels, and axis 0 has 5"),
    ("conv", {"weights": np.ones((2, 3))}, "expected (outputs, channels, then the kernel's)"),
    ("conv", {"weights": np.ones((2, 1, 3, 3)), "bias": np.ones(3)}, "bias has shape (3,): expected (2,)"),
    ("conv", {"weights": np.ones((1, 1, 9, 9))}, "the window reaches 9 elements along axis 1, and 6 with padding"),
    ("conv", {"weights": np.ones((1, 1, 3, 3)), "stride": 2, "padding": "same"}, "same is for stride 1"),
    ("conv", {"weights": np.ones((1, 1, 3, 3)), "padding": "some"}, "expected a number, one for each axis, same"),
    ("conv", {"weights": np.ones((1, 1, 3, 3)), "padding": (1, 2, 3)}, "padding has 3 values for 2 filtered axes"),
    ("conv", {"weights": np.ones((1, 1, 3, 3)), "dilation": 10**6, "padding": 2**16}, "give more padding"),
    ("conv", {"weights": np.ones((3, 1, 3, 3)), "groups": 2}, "expected a divisor"),
    ("conv", {"weights": np.ones((2, 1, 3, 3)), "channel_axis": "q"}, "unknown axis 'q'"),
    ("conv", {"weights": np.ones((2, 5, 3, 3)), "channel_axis": 0, "axes": (0, 1)}, "it cannot be among axes"),
    ("conv", {"weights": "net.safetensors:w"}, "weights net.safetensors does not exist"),
    ("dense", {"weights": np.ones((2, 1, 1))}, "expected (outputs, channels)"),
    ("max-pool", {"kernel_size": 3, "padding": 2}, "expected half of the window at most"),
    ("max-pool", {"kernel_size": 8}, "the window reaches 8 elements along axis 0, and 5 with padding 0 and 0 are 5"),
    ("softmax", {}, "the array has no axis of channels (0, 1, 2): name one with axis"),
]


@pytest.mark.parametrize(("name", "terms", "words"), WRONG)
def test_what_is_wrong_is_one_line(name: str, terms: dict[str, Any], words: str, store: Any, tmp_path: Path) -> None:
    source = store(np.ones((5, 6, 7), np.uint8), (5, 6, 7))
    with pytest.raises(UsageError) as caught:
        api.prepare(name, source, tmp_path / "out", **terms)
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "out").exists()
