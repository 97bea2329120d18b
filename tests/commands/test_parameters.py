"""A user's terms become a checked operator in one place: NumPy's numbers are numbers, and what is wrong is one line,
the same on the command line and in Python."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner

from gridstride.pipeline import api
from gridstride.pipeline.commands.main import main
from gridstride.pipeline.errors import UsageError
from gridstride.pipeline.options import RunOptions
from gridstride.workers import saving


@pytest.fixture(scope="module")
def image(store_once: Any) -> str:
    return store_once(np.zeros((6, 20, 24), np.uint16), (3, 8, 8), dimension_names=["t", "y", "x"])


@pytest.fixture(scope="module")
def store_once(tmp_path_factory: Any) -> Any:
    import zarr

    def make(array: np.ndarray, chunks: tuple[int, ...], **how: Any) -> str:
        path = tmp_path_factory.mktemp("input") / "in.zarr"
        zarr.create_array(str(path), shape=array.shape, chunks=chunks, dtype=array.dtype, **how)[...] = array
        return str(path)

    return make


LAYER = np.ones((1, 6, 3, 3))
SAME = [
    ("gaussian", {"sigma": 1.5}, {"sigma": np.float64(1.5)}),
    ("gaussian", {"sigma": (1.0, 2.0), "order": 1}, {"sigma": np.array([1, 2]), "order": np.int64(1)}),
    ("gaussian", {"sigma": 1.0, "axes": ("y",)}, {"sigma": 1, "axes": "y"}),
    ("gaussian", {"sigma": 1.0, "axes": (1, 2)}, {"sigma": [1.0, 1.0], "axes": np.array([1, 2])}),
    ("gaussian", {"sigma": 1.0, "dtype": "float32"}, {"sigma": 1.0, "dtype": np.float32}),
    ("uniform", {"size": (3, 5)}, {"size": np.array([3, 5], np.uint8), "mode": ["reflect", "reflect"]}),
    ("correlate", {"kernel": np.ones((2, 2))}, {"kernel": [[1, 1], [1, 1]], "cval": np.float32(0)}),
    (
        "correlate",
        {"kernel": np.ones((1, 6, 3, 3)), "channels": "t"},
        {"kernel": np.ones((1, 6, 3, 3)), "channels": np.int32(0)},
    ),
]


@pytest.mark.parametrize(("name", "plain", "numpy"), SAME)
def test_numpys_numbers_are_numbers(name: str, plain: Any, numpy: Any, image: str, tmp_path: Path) -> None:
    first, second = (api.prepare(name, image, tmp_path / "out", device="cpu", **terms) for terms in (plain, numpy))
    assert saving.digest(first.operator) == saving.digest(second.operator)


def test_numpys_numbers_are_numbers_in_run_options_too(image: str, tmp_path: Path) -> None:
    options = {"workers": np.int64(2), "memory": np.float64(3e9), "block": np.array([3, 8, 8])}
    job = api.prepare("gaussian", image, tmp_path / "out", sigma=1, device="cpu", chunks=np.array([3, 8, 8]), **options)
    assert (job.environment.size.workers, job.environment.size.memory, job.plan.block) == (2, 3_000_000_000, (3, 8, 8))
    assert job.layout.chunks == (3, 8, 8)


WRONG = [
    (["gaussian"], {"sigma": "soft"}, "gaussian: sigma is 'soft': expected a number, or one for each filtered axis"),
    (
        ["gaussian"],
        {"sigma": 1.0, "order": 0.5},
        "gaussian: order is 0.5: expected a whole number",
    ),
    (["gaussian"], {"sigma": -2.0}, "sigma is -2.0: expected a number above 0 (leave an axis out with --axes)"),
    (["gaussian"], {"sigma": 1.0, "axes": ("q",)}, "unknown axis 'q': the array has 0 (t), 1 (y), 2 (x)"),
    (["gaussian"], {"sigma": 1.0, "sigmma": 2}, "gaussian: unknown key 'sigmma': did you mean 'sigma'?"),
    (["gaussian"], {}, "gaussian: sigma is missing"),
    (["gaussian"], {"sigma": 1.0, "cast": "up"}, "gaussian: cast is 'up': expected 'round' or 'scipy'"),
    (
        ["gaussian"],
        {"sigma": 1.0, "dtype": "complex64"},
        "gaussian: dtype is 'complex64': expected bool, an integer or a real",
    ),
    (["uniform"], {"size": 0}, "uniform: size is 0: expected a whole number, 1 or more"),
    (["blur"], {}, "there is no operator 'blur': gridstride filter --help lists them"),
    (["gaussian"], {"sigma": 1.0, "device": "tpu"}, "device is 'tpu': expected 'auto', 'gpu' or 'cpu'"),
    (["gaussian"], {"sigma": 1.0, "halos": "mine"}, "halos is 'mine': expected 'auto', 'exchange' or 'read'"),
    (["gaussian"], {"sigma": 1.0, "workers": 0}, "workers is 0: expected a whole number, 1 or more"),
]


@pytest.mark.parametrize(("name", "terms", "words"), WRONG)
def test_what_is_wrong_is_one_line(name: Any, terms: Any, words: str, image: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError) as refused:
        api.apply(name[0], image, tmp_path / "out", **terms)
    assert str(refused.value).startswith(words)
    assert "\n" not in str(refused.value)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("terms", "options"),
    [({"sigma": -2.0}, ["--sigma", "-2"]), ({"sigma": 1.0, "axes": "q"}, ["--sigma", "1", "--axes", "q"])],
)
def test_the_command_line_says_the_same_as_python(terms: Any, options: Any, image: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError) as refused:
        api.apply("gaussian", image, tmp_path / "out", **terms)
    said = CliRunner().invoke(main, ["filter", "gaussian", image, str(tmp_path / "out"), *options])
    assert (said.exit_code, said.output) == (2, f"gridstride: {refused.value}\n")


def test_the_first_editions_words_for_halos_are_understood() -> None:
    assert [RunOptions(halos=word).halos for word in ("neighbours", "store")] == ["exchange", "read"]


@pytest.mark.parametrize(
    ("name", "terms", "said"),
    [
        ("gaussian", {"sigma": 1, "cval": 5}, True),
        ("gaussian", {"sigma": 1, "cval": 5, "mode": ["wrap", "reflect"]}, True),
        ("gaussian", {"sigma": 1, "cval": 5, "mode": ["wrap", "constant"]}, False),
        ("convolve", {"kernel": "identity", "cval": 5, "mode": "constant"}, False),
        ("median", {"cval": 0}, True),
        ("median", {}, False),
    ],
)
def test_a_value_outside_that_no_mode_uses_is_said(
    name: str, terms: Any, said: bool, image: str, tmp_path: Path
) -> None:
    notes = api.prepare(name, image, tmp_path / "out.zarr", device="cpu", **terms).notes
    assert [f"{name}: cval {terms.get('cval')} has no effect" in note for note in notes if "cval" in note] == [
        True
    ] * said


def test_an_operators_option_comes_before_a_jobs_of_the_same_name(image: str, tmp_path: Path) -> None:
    events, flat = tmp_path / "events", np.full((1, 1), 2.0)
    job = api.prepare("flatfield", image, tmp_path / "out", flat=flat, log=True, options=RunOptions(log=str(events)))
    assert job.operator.describe().startswith("minus the logarithm")
    assert job.options.log == str(events)
    np.save(tmp_path / "flat.npy", flat)
    words = ["filter", "flatfield", image, str(tmp_path / "out"), "--flat", str(tmp_path / "flat.npy"), "--dry-run"]
    result = CliRunner().invoke(main, [*words, "--log", "--log-file", str(events)])
    assert result.exit_code == 0, result.output
    assert "minus the logarithm" in result.output
