"""Jobs on arrays with missing elements: from the declared value to what xarray reads of the result."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray
import zarr
from click.testing import CliRunner
from scipy import ndimage

from gridstride.pipeline import api
from gridstride.pipeline import job as jobs
from gridstride.pipeline.commands.main import main
from gridstride.pipeline.errors import UsageError
from gridstride.pipeline.options import RunOptions
from gridstride.pipeline.reports.progress import job_facts
from gridstride.workers import cluster, saving

CPU = RunOptions(device="cpu", block=(16, 16))


@pytest.fixture(scope="module")
def client() -> Any:
    with cluster.start("cpu", cluster.Size(2, 1, 4_000_000_000)) as client:
        yield client


@pytest.fixture
def heights() -> np.ndarray:
    array = np.random.default_rng(1).integers(0, 3000, (50, 40)).astype(np.int16)
    array[5:15, 20:30] = array[30] = -32768
    return array


def mean_of(array: np.ndarray, valid: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    weights = ndimage.gaussian_filter(valid.astype(float), 1.5)
    some = weights > 1e-9
    return ndimage.gaussian_filter(np.where(valid, array, 0).astype(float), 1.5) / np.where(some, weights, 1), some


@pytest.mark.slow
@pytest.mark.parametrize("halos", ["exchange", "read"])
def test_blocks_give_what_the_whole_gives_and_xarray_reads_it(
    heights: np.ndarray, store: Any, tmp_path: Path, client: Any, halos: str
) -> None:
    source = store(heights, (8, 8), attributes={"_FillValue": -32768, "scale_factor": 0.5}, dimension_names=("y", "x"))
    zarr.create_group(tmp_path / "group.zarr")
    options = RunOptions(device="cpu", block=(16, 16), halos=halos)
    job = api.prepare("gaussian", source, tmp_path / "group.zarr" / "v", sigma=1.5, nodata="auto", options=options)
    assert (job.plan.blocks, job.plan.halos, job.notes) == (9, halos, ())
    summary = api.run(job, client)
    assert (summary.computed, summary.notes) == (9, ())
    wanted, some = mean_of(heights, heights != -32768)
    with xarray.open_zarr(tmp_path / "group.zarr", consolidated=False) as opened:
        read = opened["v"].values
    np.testing.assert_array_equal(np.isnan(read), ~some)
    np.testing.assert_allclose(read[some], 0.5 * np.rint(wanted[some]))
    again = jobs.resume(job.out, CPU)
    assert again.attributes == job.attributes
    assert saving.digest(again.operator) == saving.digest(job.operator)


def test_what_is_declared_and_not_given_is_said(heights: np.ndarray, store: Any, tmp_path: Path) -> None:
    source = store(heights, (16, 16), attributes={"missing_value": [-32768, -1], "nodata": 7})
    job = api.prepare("gaussian", source, tmp_path / "out", sigma=1.5, options=CPU)
    (note,) = job.notes
    assert "(missing_value -32768 and -1, nodata 7)" in note
    assert "give --nodata auto" in note
    assert job_facts(job)["notes"] == note
    for given in ("none", "auto", -1, "-1,7"):
        assert api.prepare("gaussian", source, tmp_path / "out", sigma=1.5, nodata=given, options=CPU).notes == ()
    plain = store(heights, (16, 16), attributes={"nodata": None, "_FillValue": 1.5})
    assert api.prepare("gaussian", plain, tmp_path / "out", sigma=1.5, options=CPU).notes == ()


SAME = [
    (-32768, np.int16(-32768), "-32768", ["-32768"]),
    ([-32768, 7], np.array([-32768, 7]), "-32768,7", ["-32768", "7"]),
    ("auto", " Auto ", "auto", ["5"]),
    (7.0, (7,), "7.0", ["7"]),
]


@pytest.mark.parametrize(("first", "second", "typed", "values"), SAME)
def test_the_same_value_in_any_form(
    heights: np.ndarray, store: Any, tmp_path: Path, first: Any, second: Any, typed: str, values: list[str]
) -> None:
    source = store(heights, (16, 16), attributes={"nodata": "5"})
    made = [
        api.prepare("median", source, tmp_path / "out", nodata=given, options=CPU) for given in (first, second, typed)
    ]
    assert len({saving.digest(job.operator) for job in made}) == 1
    assert made[0].request["nodata"] == values
    line = ["filter", "median", source, str(tmp_path / "out"), "--nodata", typed, "--dry-run", "--device", "cpu"]
    assert f"{', '.join(values)} in the input" in CliRunner().invoke(main, line).output


@pytest.mark.parametrize(
    ("given", "why"),
    [
        ("x", "nodata is 'x': expected a number, nan, auto"),
        ("", "nodata is '': expected a number"),
        (True, "nodata is True: expected a number"),
        ([], "expected a number"),
        ([[1]], "expected a number"),
        ("nan", "nodata is nan: no element of dtype int16 can be that"),
        (1.5, "nodata is 1.5: no element of dtype int16 can be that"),
        (40000, "nodata is 40000: no element of dtype int16 can be that"),
        ("auto", "declares no value of its dtype int16 for no data"),
    ],
)
def test_what_cannot_be_is_refused_in_one_line(
    heights: np.ndarray, store: Any, tmp_path: Path, given: Any, why: str
) -> None:
    source = store(heights, (16, 16), attributes={"nodata": 1e9})
    with pytest.raises(UsageError) as raised:
        api.prepare("median", source, tmp_path / "out", nodata=given, options=CPU)
    assert why in str(raised.value)
    assert "\n" not in str(raised.value)
    if isinstance(given, str):
        answer = CliRunner().invoke(main, ["filter", "median", source, str(tmp_path / "out"), "--nodata", given])
        assert answer.exit_code == 2
        assert answer.stderr == f"gridstride: {raised.value}\n"
    assert not (tmp_path / "out").exists()


def test_a_result_that_has_no_room_for_no_data_is_refused(heights: np.ndarray, store: Any, tmp_path: Path) -> None:
    source = store(heights, (16, 16))
    with pytest.raises(UsageError, match="-32768 stands for no data, which no element of dtype uint8 can be"):
        api.prepare("median", source, tmp_path / "out", nodata=-32768, dtype="uint8", options=CPU)
    job = api.prepare("median", source, tmp_path / "out", nodata=-32768, dtype="float32", options=CPU)
    assert job_facts(job)["no data"] == "-32768 in the input, -32768.0 in the result"
    job = api.prepare("threshold", source, tmp_path / "out", value=3, nodata=-32768, options=CPU)
    assert job_facts(job)["no data"] == "-32768 in the input, none in the result"


def test_values_that_are_not_what_they_stand_for_are_said(store: Any, tmp_path: Path) -> None:
    about = {"_Unsigned": "true", "scale_factor": 0.5, "range": [float("nan"), float("inf")]}
    source = store(np.ones((6, 8), np.int8), (3, 8), attributes=about)
    job = api.prepare("threshold", source, tmp_path / "out", value=3, device="cpu")
    assert "computed with as signed: store it as uint8" in job.notes[0]
    assert "compared as they are stored, without scale_factor 0.5" in job.notes[1]
    assert job.attributes["range"] == ["NaN", "Infinity"]
