"""Every value of every operator's field and of every option is judged before anything is allocated or written: what is
absurd is one line and exit code 2. The tables are made from the registry and the options, so that new ones are in."""

from __future__ import annotations

import tracemalloc
import warnings
from collections.abc import Callable, Iterator
from importlib import import_module
from itertools import product
from pathlib import Path
from types import NoneType
from typing import Any, Literal, get_origin

import numpy as np
import pytest
import zarr
from click.testing import CliRunner
from pydantic.fields import FieldInfo

from gridstride.pipeline import api
from gridstride.pipeline.commands.fields import alternatives, marked
from gridstride.pipeline.commands.filter import filter_command
from gridstride.pipeline.commands.main import main
from gridstride.pipeline.errors import UsageError
from gridstride.pipeline.options import RunOptions
from gridstride.workers.operators import registry
from gridstride.workers.operators.base import Grid
from gridstride.workers.operators.kinds import Several

MOST_BYTES = 50_000_000
SHAPE = (5, 6, 7)
NAMES = registry.names()
# Of no kind that a field or an option has.
NEVER: list[Any] = [object(), 1j, b"1", {"a": 1}, [[1, 2], [3]], np.datetime64(1, "s"), [None], lambda: 1]
NO_NUMBER: list[Any] = ["1", "", True, np.True_, [], [True], np.zeros(0), np.array(["1"]), [1] * 7, [[1, 1, 1]]]
NO_SIZE: list[Any] = [
    float("nan"),
    float("inf"),
    -float("inf"),
    np.float32("nan"),
    10**30,
    -(10**30),
    10**400,
    1e300,
    -1e300,
]
NOT_WHOLE: list[Any] = [0.5, np.float32(2.5), [1, 0.5, 1]]
NO_CHOICE: list[Any] = ["", "foo", 1, 0.5, []]
# Refused by some operators; by others planned, without anything large.
ODD: list[Any] = [
    0,
    -1,
    10**4,
    10**6,
    10**9,
    10**13,
    5e4,
    1e9,
    1e-200,
    1e-320,
    [0, 1, 1],
    [10**6, 1, 1],
    "q",
    "²",
    None,
]
# What a command line gives to options of numbers.
TEXTS = [
    "",
    ",",
    "1,",
    "x",
    "²",
    "1;2",
    "0x10",
    "None",
    "nan",
    "inf",
    "-inf",
    "1e300",
    "9" * 30,
    "-" + "9" * 30,
    "9" * 400,
    "9" * 5000,
]
RUNS: dict[str, list[Any]] = {
    "chunks": [8, "8,8,8", (0, 8, 8), (8, 8), (8.5, 8, 8), (8, 8, -8), (True, 8, 8), (10**30,) * 3],
    "shards": [8, "8,8,8", (0, 8, 8), (8, 8), (5, 6, 10)],
    "block": [8, "8,8,8", (0, 6, 7), (5, 6), (3, 6, 7), (5, 6, float("nan")), (10**30,) * 3],
    "codec": [3, "", True, "foo"],
    "array": [3, "", "foo", True],
    "memory": [1000, "2GB"],
    "nodata": ["", "x", "1,", True, [], "nan", 0.5, 10**400, "9" * 400, 70000, ["auto"]],
    "input": [None, 3, "", b"in.zarr", "no.zarr", ["in.zarr"]],
    "out": [None, 3, "", b"out.zarr", ["out.zarr"], "x" * 300, Path("a") / ("é" * 200), "out\0"],
    "log": [".", "no/such/folder/log.jsonl"],
    "options": [3, {"device": "cpu"}, "cpu"],
    "sigmma": [1.0],
}
JUDGED_BY_EACH = ("size", "footprint", "structure")  # against its array too, when it is bound
CHAINS: list[Any] = [3, "blur", [], [()], ["gaussian"], [("gaussian",)], [("gaussian", 1)], [(3, {})], "", None]


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory) -> str:
    path = tmp_path_factory.mktemp("input") / "in.zarr"
    zarr.create_array(str(path), shape=SHAPE, chunks=SHAPE, dtype="uint16")[...] = 1
    return str(path)


def number_of(info: FieldInfo) -> type | None:
    """The type of number that a field has, for a sequence of them too."""
    several = next((m for m in info.metadata if isinstance(m, Several)), None) or marked(info.annotation, Several)
    kinds = kinds_of(info)
    return several.kind if several else int if kinds == {int} else float if float in kinds else None


def kinds_of(info: FieldInfo) -> set[Any]:
    return {kind for kind in alternatives(info.annotation) if kind is not NoneType}


def hostile(info: FieldInfo) -> list[Any]:
    """Values that a field of this kind must refuse."""
    kinds, number = kinds_of(info), number_of(info)
    if any(get_origin(kind) is Literal for kind in kinds) or kinds == {bool}:
        return [*NEVER, *NO_CHOICE]
    if number in (int, float):
        return [
            *NEVER,
            *NO_NUMBER,
            *([] if kinds == {int, float} else NO_SIZE),
            *(NOT_WHOLE if number is int else []),
        ]
    return NEVER


def terms_of(name: str, field: str) -> dict[str, Any]:
    """Terms that make an operator of the image, all but a field, which is to be wrong."""
    recipe = registry.find(name)
    needed = {key for key, info in recipe.model_fields.items() if info.is_required()}
    examples = [fields for fields, _, _ in import_module(f"tests.operators.{name.replace('-', '_')}").EXAMPLES]
    for keys, fields in product((needed, needed | {"size"}), examples):  # of size and footprint one may be needed
        terms = {key: value for key, value in fields.items() if key in keys}
        try:
            recipe(**terms).bind(Grid.of(SHAPE, "uint16"))
        except ValueError:
            continue
        return {key: value for key, value in terms.items() if key != field}
    return {}  # one of several fields is needed


def refused(act: Callable[[], Any]) -> str | None:
    """The line with which something is refused, or None. It may neither end otherwise, nor take memory, nor warn."""
    said = None
    tracemalloc.start()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            act()
    except UsageError as error:
        said = str(error)
    finally:
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    assert peak < MOST_BYTES
    assert said is None or ("\n" not in said and 10 < len(said) < 500)
    return said


def fields() -> list[tuple[str, str]]:
    """(operator, field): one operator of each kind of field, and all where an operator judges it itself."""
    kinds: dict[Any, tuple[str, str]] = {}
    for name in NAMES:
        for field, info in registry.find(name).model_fields.items():
            own = name if field in JUDGED_BY_EACH else None
            kinds.setdefault((field, own, repr(info.annotation), repr(info.metadata)), (name, field))
    return list(kinds.values())


@pytest.mark.parametrize(("name", "field"), fields())
def test_what_no_field_can_be_is_refused_by_name(name: str, field: str, image: str, tmp_path: Path) -> None:
    info, terms = registry.find(name).model_fields[field], terms_of(name, field)
    for value in hostile(info):
        said = refused(lambda value=value: api.prepare(name, image, tmp_path / "out", **terms, **{field: value}))
        assert said is not None, f"{field}={value!r} is taken"
        assert field in said
    for value in ODD:
        refused(lambda value=value: api.prepare(name, image, tmp_path / "out", **terms, **{field: value}))
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("option", [*RunOptions.model_fields, *RUNS])
def test_what_no_option_can_be_is_refused(option: str, image: str, tmp_path: Path) -> None:
    info = RunOptions.model_fields.get(option)
    values = [*(hostile(info) if info else NEVER), *RUNS.get(option, [])]
    for value in values:
        terms = {"steps": "gaussian", "input": image, "out": tmp_path / "out", "sigma": 1.0, option: value}
        said = refused(lambda terms=terms: api.prepare(**terms))
        assert said is not None, f"{option}={value!r} is taken"
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("number", range(len(CHAINS)))
def test_what_is_no_chain_is_refused(number: int, image: str, tmp_path: Path) -> None:
    assert refused(lambda: api.prepare(CHAINS[number], image, tmp_path / "out")) is not None


def options() -> Iterator[tuple[str, str]]:
    """The options that take a number, of operators' fields, and of every job."""
    for name, field in fields():
        info = registry.find(name).model_fields[field]
        if number_of(info) in (int, float) and field in {parameter.name for parameter in filter_command(name).params}:
            yield name, field
    yield from (("uniform", option) for option in ("workers", "memory", "block", "chunks", "shards", "nodata"))


@pytest.mark.parametrize(("name", "option"), list(options()))
def test_odd_texts_end_with_one_line_and_exit_code_2(name: str, option: str, image: str, tmp_path: Path) -> None:
    info = registry.find(name).model_fields.get(option)
    may_be = {"None"} if option == "nodata" else set()  # what means no value
    if info and kinds_of(info) == {int, float}:
        may_be = {"nan", "inf", "-inf", "1e300", "9" * 30, "-" + "9" * 30, "9" * 400, "9" * 5000}
    terms, flag = [], option.replace("_", "-")
    for key, value in terms_of(name, option).items():
        if isinstance(value, np.ndarray):
            np.save(image + key, value)
        terms += [f"--{key.replace('_', '-')}", f"{image}{key}.npy" if isinstance(value, np.ndarray) else str(value)]
    for text in TEXTS:
        words = ["filter", name, image, str(tmp_path / "out"), *terms, f"--{flag}={text}", "--dry-run"]
        result = CliRunner().invoke(main, words)
        if text in may_be and result.exit_code == 0:
            continue
        assert result.exit_code == 2, f"{words}: {result.output} {result.exception!r}"
        lines = result.output.strip().splitlines()
        assert len(lines) == 1
    assert not list(tmp_path.iterdir())


def test_the_refusal_of_a_wide_kernel_says_its_size_and_what_to_do(image: str, tmp_path: Path) -> None:
    said = refused(lambda: api.prepare("gaussian", image, tmp_path / "out", sigma=1e9))
    assert said is not None
    assert said.startswith("sigma is 1e+09 and truncate 4: that is 8e+09 weights along an axis")
    assert "downsampled" in said


def test_a_kernel_far_longer_than_its_axis_is_planned(image: str, tmp_path: Path) -> None:
    job = api.prepare("gaussian", image, tmp_path / "out", sigma=100.0, device="cpu")
    assert [len(step.weights) for step in job.operator.passes] == [801] * 3  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("terms", "words"),
    [
        ({"sigma": (0, 2, 2)}, "--axes 1,2 --sigma 2,2 "),
        ({"sigma": (0, 2, 1.5), "order": (0, 1, 0)}, "--axes 1,2 --sigma 2,1.5 --order 1,0 "),
        ({"sigma": (1e-15, 2, 0), "mode": ("wrap", "nearest", "wrap")}, "--axes 1 --sigma 2 --mode nearest "),
    ],
)
def test_sigma_0_along_an_axis_says_what_to_type_instead(terms: Any, words: str, image: str, tmp_path: Path) -> None:
    said = refused(lambda: api.prepare("gaussian", image, tmp_path / "out", **terms))
    assert said is not None
    assert words in said
    typed = words.split()
    result = CliRunner().invoke(main, ["filter", "gaussian", image, str(tmp_path / "out"), *typed, "--dry-run"])
    assert result.exit_code == 0


def test_a_derivative_along_an_axis_with_sigma_0_is_refused(image: str, tmp_path: Path) -> None:
    said = refused(lambda: api.prepare("gaussian", image, tmp_path / "out", sigma=(0, 1, 1), order=(1, 0, 0)))
    assert said == "sigma is 0.0: expected a number above 0 (leave an axis out with --axes)"


def test_options_beside_run_options_are_not_lost(image: str, tmp_path: Path) -> None:
    given = RunOptions(device="cpu", workers=3)
    job = api.prepare("gaussian", image, tmp_path / "out", sigma=1.0, options=given, workers=2)
    assert job.options == given.but(workers=2)


def test_rounding_of_large_integers_is_said_in_the_plan(tmp_path: Path) -> None:
    zarr.create_array(str(tmp_path / "in"), shape=(6, 7), chunks=(3, 7), dtype="int64")[...] = 2**60 + 1
    said = {}
    for name, terms in (("gaussian", ["--sigma", "1"]), ("uniform", ["--size", "3"])):
        words = ["filter", name, str(tmp_path / "in"), str(tmp_path / "out"), *terms, "--dry-run"]
        said[name] = " ".join(CliRunner().invoke(main, words).output.split())
    assert "integers beyond 2^53 are rounded" in said["gaussian"]
    assert "exact sums of whole numbers" in said["uniform"]
    assert "rounded" not in said["uniform"]
