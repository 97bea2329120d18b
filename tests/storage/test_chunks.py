"""Chunks that are absent are counted and said; chunks that are not where the metadata says are refused, never read as
the fill value."""

from __future__ import annotations

import json
from collections.abc import Callable
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import zarr

from gridstride.pipeline import api, runner
from gridstride.pipeline.errors import UsageError
from gridstride.pipeline.events.events import read_events
from gridstride.pipeline.reports.progress import job_facts
from gridstride.pipeline.storage import chunks
from gridstride.pipeline.storage.chunks import Keys, check_chunks
from gridstride.pipeline.storage.create import create
from gridstride.pipeline.storage.describe import describe
from gridstride.pipeline.storage.regions import open_regions
from gridstride.workers import cluster

IMAGE = np.arange(1, 41 * 43 + 1, dtype=np.uint16).reshape(41, 43)  # 5 x 5 chunks, with rims
FORMS: dict[str, dict[str, Any]] = {
    "v3": {},
    "v3 dots": {"chunk_key_encoding": {"name": "default", "separator": "."}},
    "v3 as v2": {"chunk_key_encoding": {"name": "v2", "separator": "/"}},
    "v2": {"zarr_format": 2},
    "v2 folders": {"zarr_format": 2, "chunk_key_encoding": {"name": "v2", "separator": "/"}},
}
Make = Callable[..., Path]


@pytest.fixture
def make(tmp_path: Path) -> Make:
    def made(form: str = "v3", **changes: Any) -> Path:
        path = tmp_path / f"{form}.zarr"
        options = {"fill_value": 7, "chunks": (10, 10), **FORMS[form], **changes}
        zarr.create_array(str(path), data=IMAGE, **options)
        return path

    return made


def key(path: Path, *index: int) -> Path:
    return path / zarr.open_array(str(path), mode="r").metadata.encode_chunk_key(index)


@pytest.mark.parametrize("form", FORMS)
def test_absent_chunks_are_counted_in_every_form(make: Make, form: str) -> None:
    path = make(form)
    assert check_chunks(describe(path)) == check_chunks(describe(path), "error") == []
    gone = [(0, 4), (3, 1), (4, 4)]
    for index in gone:
        key(path, *index).unlink()
    assert check_chunks(describe(path)) == ["input: 3 of 25 chunks absent, read as fill value 7"]
    with pytest.raises(
        UsageError, match=r"3 of 25 chunks absent, such as .*: restore them, or use --missing fill"
    ) as e:
        check_chunks(describe(path), "error")
    assert str(key(path, 0, 4).relative_to(path)) in str(e.value)
    assert (open_regions(str(path)).read((0, 40), (10, 43)) == 7).all()


@pytest.mark.parametrize("value", [0.0, np.nan, -1.5])
def test_the_fill_value_is_named(tmp_path: Path, value: float) -> None:
    zarr.create_array(str(tmp_path / "a.zarr"), shape=(8, 8), chunks=(4, 4), dtype="f4", fill_value=value)
    assert check_chunks(describe(tmp_path / "a.zarr")) == [f"input: 4 of 4 chunks absent, read as fill value {value}"]


def test_zarr_v2_without_a_fill_value(make: Make) -> None:
    path = make("v2", fill_value=None)
    key(path, 1, 1).unlink()
    assert check_chunks(describe(path)) == ["input: 1 of 25 chunks absent, read as 0: the metadata has no fill value"]
    assert not open_regions(str(path)).read((10, 10), (20, 20)).any()


def test_shards_are_counted(make: Make) -> None:
    path = make(shards=(20, 20))
    key(path, 2, 0).unlink()
    assert check_chunks(describe(path)) == ["input: 1 of 9 shards absent, read as fill value 7"]


def test_litter_counts_for_nothing(make: Make) -> None:
    path = make()
    key(path, 2, 3).unlink()
    for folder, name in product(
        (path, path / "c", path / "c/2"), (".DS_Store", "._0", "3.5f2a.partial", "3.af2a.partial", "3.__lock", ".nfs01")
    ):
        (folder / name).write_bytes(b"x")
    (path / "readme.txt").write_text("2.3")
    (path / ".gridstride/blocks").mkdir(parents=True)
    (path / ".gridstride/blocks/0.0").write_bytes(b"")
    assert check_chunks(describe(path)) == ["input: 1 of 25 chunks absent, read as fill value 7"]


def test_indices_that_the_array_has_not_are_no_chunks(make: Make) -> None:
    path = make()
    key(path, 2, 3).rename(path / "c/2/9")
    assert check_chunks(describe(path)) == [
        "input: 1 of 25 chunks absent, read as fill value 7 (c/2/9 looks like a chunk and is none of them)"
    ]
    keys = Keys("c/0/0", (5, 5))
    assert [keys.number(k) for k in ("c/0/0", "c/1/0", "c/4/4", "c/5/0", "c/01/0", "c/0", "0/0")] == [0, 5, 24] + [
        None
    ] * 4
    assert [keys.leads(k) for k in ("c", "c/4", "c/5", "d", "c/4/4")] == [True, True, False, False, False]


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("other", FORMS)
def test_chunks_under_other_keys_are_refused(make: Make, form: str, other: str) -> None:
    """The data of one form under the metadata of another; what the line says to do makes it right."""
    if form == other:
        return
    path, stored = make(form), make(other)
    if key(path, 1, 1).relative_to(path) == key(stored, 1, 1).relative_to(stored):
        return
    names = sorted(p.relative_to(path) for p in path.rglob("*") if p.is_file() and p.name[0] not in ".z")
    for name in names:
        (path / name).unlink()
    for file in [p for p in stored.rglob("*") if p.is_file() and p.name[0] not in ".z"]:
        target = path / file.relative_to(stored)
        target.parent.mkdir(parents=True, exist_ok=True)
        file.rename(target)
    with pytest.raises(UsageError, match="none of its chunks is where its metadata says: expected keys such as") as e:
        check_chunks(describe(path))
    text = str(e.value)
    assert str(key(path, 0, 0).relative_to(path)) in text
    if not text.endswith((" in .zarray", " in zarr.json")):
        assert form.startswith("v2")
        assert text.endswith("correct the metadata")
        return
    setting, file = text.rpartition(": set ")[2].rsplit(" in ", 1)
    content = json.loads((path / file).read_text()) | json.loads("{" + setting + "}")
    (path / file).write_text(json.dumps(content))
    assert check_chunks(describe(path), "error") == []
    assert np.array_equal(open_regions(str(path)).read((0, 0), IMAGE.shape), IMAGE)


def test_chunks_in_another_folder_are_refused(make: Make) -> None:
    path = make()
    (path / "old").mkdir()
    (path / "c").rename(path / "old/c")
    with pytest.raises(UsageError, match=r"expected keys such as c/0/0, found old/c/\d/\d .*: move them there"):
        check_chunks(describe(path))


@pytest.mark.parametrize(
    ("place", "what"),
    [
        ("link", r"c/2/3, in the place of a chunk, is a link to nowhere, which is not there"),
        ("loop", r"c/2/3 cannot be read: Too many levels of symbolic links"),
        ("folder", r"c/2/3, in the place of a chunk, is a folder"),
        ("link of a folder", r"c/2, in the place of a folder of chunks, is a link to nowhere, which is not there"),
        ("file", r"c/2, in the place of a folder of chunks, is a file"),
    ],
)
@pytest.mark.parametrize("missing", ["fill", "error"])
def test_what_is_in_a_chunk_s_place_is_a_file(make: Make, place: str, what: str, missing: str) -> None:
    path = make()
    for column in range(5):
        (path / f"c/2/{column}").unlink()
    chunk = path / "c/2/3"
    if place == "folder":
        chunk.mkdir()
    elif place in ("link", "loop"):
        chunk.symlink_to("nowhere" if place == "link" else "3")
    else:
        (path / "c/2").rmdir()
        (path / "c/2").symlink_to("nowhere") if place == "link of a folder" else (path / "c/2").write_bytes(b"")
    with pytest.raises(UsageError, match=what):
        check_chunks(describe(path), missing)


def test_links_to_chunks_and_folders_are_followed(make: Make, tmp_path: Path) -> None:
    path = make()
    (path / "c/2").rename(tmp_path / "elsewhere")
    (path / "c/2").symlink_to(tmp_path / "elsewhere")
    (path / "c/1/1").rename(tmp_path / "chunk")
    (path / "c/1/1").symlink_to(tmp_path / "chunk")
    assert check_chunks(describe(path), "error") == []


def test_what_is_not_counted_is_said_so(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    path = make()
    key(path, 2, 3).unlink()
    monkeypatch.setattr(chunks, "SECONDS", -1.0)
    assert "listing them takes longer" in check_chunks(describe(path))[0]
    with pytest.raises(UsageError, match="1 of 25"):  # it was asked for, however long it takes
        check_chunks(describe(path), "error")
    monkeypatch.setattr(chunks, "MOST", 24)
    assert check_chunks(describe(path)) == [
        "input: its 25 chunks were not counted, because they are more than 24; absent ones are read as fill value 7"
    ]
    with pytest.raises(UsageError, match="absent chunks cannot be found, because they are more than 24"):
        check_chunks(describe(path), "error")


def test_metadata_of_two_formats(make: Make) -> None:
    path, older = make(), make("v2")
    (path / ".zarray").write_bytes((older / ".zarray").read_bytes())
    assert check_chunks(describe(path)) == ["input: zarr.json is read; .zarray, which is there too, is not"]
    (older / "zarr.json").write_bytes((path / "zarr.json").read_bytes())
    with pytest.raises(UsageError, match=r"c/0/0, found \d\.\d .*: remove zarr.json if .zarray is the metadata of"):
        check_chunks(describe(older))
    content = json.loads((older / ".zarray").read_text())
    for change, what in (
        ({"shape": [41, 44]}, r"the shape, \[41, 43\] and \[41, 44\]"),
        ({"dtype": "<i2"}, "the data type, uint16 and <i2"),
        ({"chunks": [5, 10]}, r"the chunks, \[10, 10\] and \[5, 10\]"),
    ):
        (path / ".zarray").write_text(json.dumps(content | change))
        with pytest.raises(UsageError, match=f"zarr.json and .zarray, which disagree about {what}: remove"):
            describe(path)


@pytest.mark.parametrize("there", [True, False])
def test_zarr_v3_needs_a_fill_value(make: Make, there: bool) -> None:
    path = make()
    content = json.loads((path / "zarr.json").read_text())
    content["fill_value"] = None
    if not there:
        del content["fill_value"]
    (path / "zarr.json").write_text(json.dumps(content))
    with pytest.raises(UsageError, match=r"zarr\.json has no fill_value"):
        describe(path)


@pytest.mark.parametrize("dtype", ["<u1", ">u1", "<i1", ">i1", "<b1", "=b1"])
@pytest.mark.parametrize("compressor", [None, {"id": "bz2", "level": 1}])  # bz2: read through zarr-python
def test_types_of_one_byte_have_no_byte_order(tmp_path: Path, dtype: str, compressor: Any) -> None:
    import bz2

    data = np.random.default_rng(0).integers(0, 2, (4, 6)).astype(dtype)
    fields = {"zarr_format": 2, "shape": [4, 6], "chunks": [4, 6], "dtype": dtype, "order": "C", "fill_value": 0}
    (tmp_path / ".zarray").write_text(json.dumps(fields | {"filters": None, "compressor": compressor}))
    (tmp_path / "0.0").write_bytes(data.tobytes() if compressor is None else bz2.compress(data.tobytes()))
    assert describe(tmp_path).dtype == data.dtype
    assert np.array_equal(open_regions(str(tmp_path)).read((0, 0), (4, 6)), data)


def test_the_plan_says_it_and_an_error_refuses_it(make: Make, tmp_path: Path) -> None:
    path, out = make(), tmp_path / "out.zarr"
    key(path, 2, 3).unlink()
    said = "input: 1 of 25 chunks absent, read as fill value 7"
    job = api.prepare("gaussian", path, out, sigma=1, device="cpu", workers=1)
    assert job.notes == (said,)
    assert job_facts(job)["notes"] == said
    with pytest.raises(UsageError, match="1 of 25 chunks absent, such as c/2/3"):
        api.prepare("gaussian", path, out, sigma=1, device="cpu", workers=1, missing="error")
    with pytest.raises(UsageError, match="missing is 'zero': expected 'fill' or 'error'"):
        api.prepare("gaussian", path, out, sigma=1, missing="zero")
    assert not out.exists()


NO_LEVELS = (
    "lz4:99",
    "lz4:10",
    "blosc-zstd:10",
    "zstd:0",
    "zstd:23",
    "gzip:10",
    "none:3",
    "lz4:",
    "lz4:-1",
    "zstd:x",
    ":",
)


@pytest.mark.parametrize("codec", NO_LEVELS)
def test_codec_levels_that_do_not_exist(make: Make, tmp_path: Path, codec: str) -> None:
    with pytest.raises(UsageError, match="codec"):
        api.prepare("gaussian", make(), tmp_path / "out.zarr", sigma=1, codec=codec, device="cpu", workers=1)


@pytest.mark.parametrize("codec", ["lz4:0", "lz4:9", "blosc-zstd:9", "zstd:1", "zstd:22", "gzip:0", "gzip:9", "none"])
def test_codec_levels_that_exist_write(tmp_path: Path, codec: str) -> None:
    made = create(tmp_path / "a.zarr", IMAGE.shape, IMAGE.dtype, (10, 10), codec=codec)
    open_regions(made.path).write((0, 0), IMAGE)
    assert np.array_equal(zarr.open_array(made.path, mode="r")[...], IMAGE)


@pytest.mark.slow
def test_the_run_says_it(make: Make, tmp_path: Path) -> None:
    path, out = make(), tmp_path / "out.zarr"
    key(path, 2, 3).unlink()
    with cluster.start("cpu", cluster.Size(1, 1, 4_000_000_000)) as client:
        job = api.prepare("convolve", path, out, kernel="identity", device="cpu", workers=1)
        assert runner.run(job, client).notes == job.notes != ()
    lacking = IMAGE.copy()
    lacking[20:30, 30:40] = 7
    assert np.array_equal(zarr.open_array(str(out), mode="r")[...], lacking)
    assert json.loads((out / ".gridstride/summary.json").read_text())["notes"] == list(job.notes)
    assert [e["text"] for e in read_events(out / ".gridstride") if e["event"] == "note"] == list(job.notes)
    assert api.prepare("convolve", path, out, kernel="identity", device="cpu", workers=1).notes == job.notes
