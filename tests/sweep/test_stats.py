"""`gridstride stats`: NumPy's numbers of the whole array, at any cut, and nothing written."""

from __future__ import annotations

import json
from math import inf, isnan
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import zarr
from click.testing import CliRunner

import gridstride
from gridstride.pipeline import measure
from gridstride.pipeline.commands.main import main
from gridstride.pipeline.errors import JobFailed, UsageError
from gridstride.pipeline.options import RunOptions
from gridstride.pipeline.reports.numbers import numbers_json, numbers_table
from gridstride.workers import cluster


@pytest.fixture(scope="module")
def client() -> Any:
    with cluster.start("cpu", cluster.Size(1, 2, 4_000_000_000)) as client:
        yield client


@pytest.fixture
def image(tmp_path: Path) -> Path:
    rng = np.random.default_rng(0)
    array = rng.normal(100, 20, (2, 9, 11)).astype(np.float32)
    array[1, 3, :4] = np.nan, np.inf, -9999, -9999
    node = zarr.create_array(
        tmp_path / "in", shape=array.shape, chunks=(1, 4, 4), dtype="f4", dimension_names=list("cyx")
    )
    node[...] = array
    return tmp_path / "in"


def measured(client: Any, *given: Any, block: tuple[int, ...] | None = None, **terms: Any) -> list[measure.Numbers]:
    return measure.run(measure.prepare(*given, options=RunOptions(device="cpu", block=block), **terms), client)


def test_numbers_are_those_of_numpy_whatever_the_blocks(image: Path, client: Any) -> None:
    before = sorted(path for path in image.parent.rglob("*"))
    array = zarr.open_array(str(image))[...]
    found = [measured(client, image, block=block, nodata=-9999) for block in (None, (1, 4, 4), (2, 8, 12))]
    assert found[0] == found[1] == found[2]
    (whole,) = found[0]
    kept = array[(array != -9999) & ~np.isnan(array)]
    assert (whole.count, whole.nan, whole.infinite, whole.nodata) == (kept.size, 1, 1, 2)
    assert (whole.min, whole.max, whole.mean) == (kept.min(), inf, inf)
    assert isnan(whole.std)
    assert list(whole.percentiles.values())[:6] == np.percentile(kept, measure.PERCENTILES[:6]).tolist()
    counts, edges = np.histogram(kept[np.isfinite(kept)], 10)
    assert (whole.histogram, whole.edges) == (tuple(counts.tolist()), tuple(edges.tolist()))
    assert sorted(path for path in image.parent.rglob("*")) == before


def test_each_channel_has_its_own_in_a_table_and_as_json(image: Path, client: Any) -> None:
    array = zarr.open_array(str(image))[...].astype(float)
    measurement = measure.prepare(image, "c", percentiles=(50,), bins=0, options=RunOptions(device="cpu"))
    parts = measure.run(measurement, client)
    assert [part.index for part in parts] == [{"c": 0}, {"c": 1}]
    assert parts[0].percentiles == {50.0: np.median(array[0])}
    np.testing.assert_allclose([parts[0].mean, parts[0].std], [array[0].mean(), array[0].std()], rtol=1e-15)
    read = json.loads(numbers_json(measurement, parts))
    assert read["per"] == ["c"]
    assert read["parts"][1]["max"] == "inf"
    assert read["parts"][0]["percentiles"]["50"] == parts[0].percentiles[50.0]
    assert numbers_table(measurement, parts).row_count == 2


def test_an_array_of_nothing_has_no_numbers(tmp_path: Path, client: Any) -> None:
    zarr.create_array(tmp_path / "in", shape=(0, 4), chunks=(2, 2), dtype="u2")
    (whole,) = measured(client, tmp_path / "in")
    assert (whole.count, whole.min, whole.histogram) == (0, None, ())
    assert isnan(whole.mean)
    assert measured(client, tmp_path / "in", per=0) == []


def test_a_chunk_that_cannot_be_read_ends_it_with_one_line(image: Path, client: Any) -> None:
    (image / "c" / "1" / "2" / "2").write_bytes(b"not a chunk")
    with pytest.raises(JobFailed, match="cannot be measured") as failed:
        measured(client, image, block=(1, 4, 4))
    assert "\n" not in str(failed.value)


@pytest.mark.parametrize(
    ("terms", "said"),
    [
        ({"per": "q"}, "unknown axis 'q'"), ({"per": 1.5}, "per is 1.5"), ({"percentiles": (50, 101)}, "percentiles"),
        ({"percentiles": "x"}, "percentiles"), ({"bins": -1}, "bins is -1"), ({"bins": 0.5}, "bins is 0.5"),
        ({"nodata": "x"}, "nodata is 'x'"), ({"codec": "lz4"}, "unknown keywords of stats: codec"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_said_in_one_line(image: Path, terms: dict[str, Any], said: str) -> None:
    with pytest.raises(UsageError, match=said):
        gridstride.stats(image, **terms)


def test_the_command_says_what_is_wrong_with_exit_code_2(image: Path) -> None:
    for words in (["--per", "q"], ["--percentiles", "1,x"], ["--bins", "x"], ["--nodata", "0.5,x"]):
        done = CliRunner().invoke(main, ["stats", str(image), *words])
        assert done.exit_code == 2
        assert len(done.output.strip().splitlines()) == 1


@pytest.mark.parametrize("dtype", ["uint32", "int16", "bool"])
def test_whole_numbers_are_counted(dtype: str, store: Any, client: Any) -> None:
    array = np.random.default_rng(0).integers(0, 2 if dtype == "bool" else 9, (7, 11)).astype(dtype)
    if dtype == "int16":
        array -= 300
    (found,) = measured(client, store(array, (4, 4)), block=(4, 4), values=True)
    values, counts = np.unique(array, return_counts=True)
    assert found.values == dict(zip(values.astype(int).tolist(), counts.tolist(), strict=True))
    (found,) = measured(client, store(array, (4, 4)), nodata=int(values[1]), values=True)
    assert found.values == dict(
        zip(np.delete(values, 1).astype(int).tolist(), np.delete(counts, 1).tolist(), strict=True)
    )


def test_sizes_of_labels_are_written_as_csv(store: Any, tmp_path: Path) -> None:
    labels, file = store(np.array([[0, 1, 1], [5, 0, 1]], "uint32"), (2, 2)), tmp_path / "sizes.csv"
    for words in (["--values", str(file)], ["--values", str(file), "--overwrite"]):
        done = CliRunner().invoke(main, ["stats", labels, *words, "--device", "cpu"])
        assert done.exit_code == 0, done.output
        assert file.read_text() == "value,count\n0,2\n1,3\n5,1\n"
    for words, text in (
        (["--values", str(file)], "exists: pass --overwrite"),
        (["--values", str(tmp_path / "x.txt")], "ends in .csv"),
        (["--values", str(tmp_path / "x.csv"), "--per", "0"], "leave per out"),
    ):
        done = CliRunner().invoke(main, ["stats", labels, *words])
        assert done.exit_code == 2
        assert text in done.output


def test_values_too_many_or_no_whole_numbers_are_refused(image: Path, store: Any, client: Any) -> None:
    with pytest.raises(UsageError, match="values are counted of whole numbers"):
        measure.prepare(image, values=True)
    with pytest.raises(JobFailed, match="has values from 0 to 4000000000: expected a range of 16777216 at most"):
        measured(client, store(np.array([0, 4_000_000_000], "uint32"), (2,)), values=True)
