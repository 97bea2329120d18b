"""Jobs from and to object stores and web servers: the local job's bytes, whatever the network does."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import zarr
from object_stores import Server
from remote_jobs import BLOCK, BLOCKS, COMMAND, chunks, gridstride, kill_in_the_sweep, out_of, prepared

from gridstride.pipeline import api
from gridstride.pipeline import job as jobs
from gridstride.pipeline.errors import JobFailed, UsageError
from gridstride.pipeline.options import RunOptions
from gridstride.pipeline.reports.status import status
from gridstride.pipeline.storage import lock, paths
from gridstride.pipeline.storage.chunks import check_chunks
from gridstride.pipeline.storage.create import create
from gridstride.pipeline.storage.describe import describe
from gridstride.pipeline.storage.journal import FOLDER, Journal
from gridstride.pipeline.storage.regions import open_regions, tensorstore_context
from gridstride.pipeline.storage.remote import parse

pytestmark = pytest.mark.slow

pytest.importorskip("obstore", reason="needs obstore: pip install 'gridstride[remote]'")
pytest.importorskip("moto", reason="needs moto's S3 server: pip install 'moto[s3]' flask flask-cors")

# --- the same bytes -------------------------------------------------------------------------------------------------


def test_from_s3_to_s3_is_the_local_job(source: str, calm: Path, client: Any, s3: Server) -> None:
    out = out_of("out.zarr")
    before = len(s3.log())
    summary = api.run(prepared(source, out), client)
    assert (summary.computed, summary.retried, summary.failed) == (BLOCKS, 0, {})
    assert chunks(out) == chunks(calm)
    ours, theirs = (zarr.open_array(paths.zarr_store(paths.store_path(p))).metadata for p in (out, calm))
    assert ours.chunks == theirs.chunks
    assert ours.codecs == theirs.codecs  # type: ignore[union-attr]
    # A marker is put when the block's chunks have been acknowledged, never before.
    puts = [path.removeprefix("/data/out.zarr/") for method, path, code in s3.log()[before:] if method == "PUT"]
    for index in np.ndindex(3, 2, 2):
        marker = puts.index(f"{FOLDER}/blocks/{Journal(out).hash}/{'.'.join(map(str, index))}")
        for j, k in np.ndindex(2, 2):
            assert puts.index(f"c/{index[0]}/{2 * index[1] + j}/{2 * index[2] + k}") < marker
    # The same again has nothing to do; what is asked in other words is refused.
    assert api.run(prepared(source, out), client).skipped == BLOCKS
    with pytest.raises(UsageError, match="another job's output"):
        api.prepare("gaussian", source, out, sigma=2.0, options=RunOptions(device="cpu"))


def test_absent_objects_are_counted(client: Any, s3: Server) -> None:
    path = out_of("absent.zarr")
    create(path, (20, 20), np.dtype("u1"), (10, 10), attributes={"a": 1})
    open_regions(str(path)).write((0, 0), np.ones((20, 10), np.uint8))
    parse(f"{path}/c/0/.DS_Store").write_bytes(b"x")
    assert check_chunks(describe(path)) == ["input: 2 of 4 chunks absent, read as fill value 0"]
    with pytest.raises(UsageError, match="2 of 4 chunks absent, such as c/0/1: restore them"):
        check_chunks(describe(path), "error")
    for key in ("c/0/0", "c/1/0"):
        parse(f"{path}/{key}").unlink()
    parse(f"{path}/0/0").write_bytes(b"x")
    with pytest.raises(UsageError, match="expected keys such as c/0/0, found 0/0"):
        check_chunks(describe(path))
    with pytest.raises(UsageError, match="is a file, not a Zarr store: copy it to a disk"):
        describe(f"{path}/0/0")


@pytest.mark.slow
def test_between_s3_and_folders(source: str, image: np.ndarray, calm: Path, client: Any, tmp_path: Path) -> None:
    api.run(prepared(source, tmp_path / "out.zarr"), client)
    assert chunks(tmp_path / "out.zarr") == chunks(calm)
    out = out_of("from-folder.zarr")
    api.run(prepared(calm.with_name("in.zarr"), out, halos="read"), client)
    assert chunks(out) == chunks(calm)


def test_a_job_goes_on_with_what_is_left(source: str, calm: Path, client: Any) -> None:
    out = out_of("out.zarr")
    api.run(prepared(source, out), client)
    journal = Journal(out)
    assert journal.done() == set(np.ndindex(3, 2, 2))
    journal.marker((1, 0, 1)).unlink()
    # The unmarked block's data goes; another's is spoilt, and stays so: its marker says that it is done.
    (paths.store_path(out) / "c/1/0/2").unlink()
    (paths.store_path(out) / "c/2/3/3").write_bytes(b"left alone")
    summary = api.run(jobs.resume(out, RunOptions(device="cpu", workers=1)), client)
    assert (summary.computed, summary.skipped, summary.failed) == (1, BLOCKS - 1, {})
    assert chunks(out) == {**chunks(calm), "c/2/3/3": b"left alone"}


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_killed_and_resumed_gives_the_same_bytes(source: str, calm: Path, s3: Server) -> None:
    out = out_of("killed.zarr")
    first = ["filter", "gaussian", source, out, "--sigma", "1.5", "--block", "16,32,32", "--device", "cpu", "--quiet"]
    journal = Journal(out)
    kill_in_the_sweep(out, [(2, first), (5, ["resume", out, "--quiet"]), (8, first)])
    subprocess.run([*COMMAND, "resume", out, "--quiet"], check=True, timeout=120)
    assert chunks(out) == chunks(calm)
    assert not (journal.folder / "lock").is_file()
    events = (journal.folder / "events.jsonl").read_text()
    assert '"event": "resumed"' in events
    assert '"event": "finished"' in events


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["503", "429", "reset"])
def test_passing_errors_are_survived(kind: str, source: str, calm: Path, client: Any, s3: Server) -> None:
    out = out_of("flaky.zarr")
    s3.fail(25, kind)
    try:
        summary = api.run(prepared(source, out), client)
    finally:
        s3.fail(0)
    assert (summary.computed, summary.retried, summary.failed) == (BLOCKS, 0, {})
    assert chunks(out) == chunks(calm)
    assert any(code == (0 if kind == "reset" else int(kind)) for _, _, code in s3.log())


HANGING = """
import sys
import numpy as np
from gridstride.pipeline.storage import connections, remote
from gridstride.pipeline.storage.create import create
from gridstride.pipeline.storage.regions import open_regions

connections.REQUEST_SECONDS = 1.0
where = sys.argv[1]
create(where, (8, 8), np.dtype("f4"), (4, 4))
for number in range(2):
    open_regions(where).write((0, 0), np.full((8, 8), number, "f4"))
    assert (open_regions(where).read((0, 0), (8, 8)) == number).all()
    file = remote.parse(where) / "file"
    file.write_bytes(b"x")
    assert file.read_bytes() == b"x"
"""


@pytest.mark.slow
def test_a_request_without_an_answer_is_asked_again(s3: Server) -> None:
    """By tensorstore, whose settings are those of the process that first uses it, and by obstore."""
    out = out_of("hanging.zarr")
    s3.fail(3, "hang", match="(c/0/0|file)$")
    try:
        # Without what this process, which waits for longer, told its children.
        environment = {k: v for k, v in os.environ.items() if not k.startswith("TENSORSTORE_")}
        subprocess.run([sys.executable, "-c", HANGING, out], check=True, timeout=60, env=environment)
    finally:
        s3.fail(0)
    hung = [path for _, path, code in s3.log() if code == 0 and "hanging" in path]
    assert any("/c/" in path for path in hung)
    assert any("/c/" not in path for path in hung)


@pytest.mark.slow
def test_a_store_that_stays_away_ends_the_job_with_one_line(
    source: str, calm: Path, s3: Server, monkeypatch: Any
) -> None:
    """No data can be written; when the store is back, the job goes on."""
    out = out_of("away.zarr")
    for name, value in (("TRIES", 2), ("FIRST_WAIT", 0.05)):
        monkeypatch.setattr(f"gridstride.pipeline.storage.connections.{name}", value)
    tensorstore_context.cache_clear()
    job = prepared(source, out)
    s3.fail(1, match="^PUT /data/away.zarr/c/1/")
    try:
        from distributed import Client, LocalCluster

        # In this process, so that the patches hold.
        with LocalCluster(n_workers=1, threads_per_worker=2, processes=False, dashboard_address=None) as here:
            with Client(here) as client, pytest.raises(JobFailed) as caught:
                api.run(job, client)
            s3.fail(0)
            with Client(here) as client:
                summary = api.run(jobs.resume(out, RunOptions(device="cpu", workers=1)), client)
    finally:
        s3.fail(0)
        tensorstore_context.cache_clear()
    line = str(caught.value)
    assert "s3://data/away.zarr" in line
    assert "503" in line
    assert s3.url in line
    assert "gridstride resume" in line
    assert "\n" not in line
    assert 0 < summary.computed <= BLOCKS
    assert chunks(out) == chunks(calm)


@pytest.mark.slow
def test_a_damaged_chunk_fails_the_blocks_that_need_it_and_no_others(
    source: str, image: np.ndarray, calm: Path, client: Any
) -> None:
    out = out_of("damaged.zarr")
    chunk = paths.store_path(source) / "c/2/3/3"
    good = chunk.read_bytes()
    for bad in (b"no blosc frame", good[: len(good) // 2]):
        chunk.write_bytes(bad)
        parse(out).clear()
        summary = api.run(prepared(source, out), client)
        # The halo of 6 takes in the chunk for three of the neighbours too.
        assert "2.1.1" in summary.failed
        assert all("c/2/3/3" in reason for reasons in summary.failed.values() for reason in reasons)
        assert summary.computed == BLOCKS - len(summary.failed)
        assert len(summary.failed) <= 8
    chunk.write_bytes(good)
    summary = api.run(jobs.resume(out, RunOptions(device="cpu", workers=1)), client)
    assert summary.failed == {}
    assert chunks(out) == chunks(calm)
    # What finished blocks were made from must not change under them.
    open_regions(source).write((0, 0, 0), image // 2)
    with pytest.raises(UsageError, match="has changed since"):
        jobs.resume(out, RunOptions(device="cpu", workers=1))


@pytest.mark.slow
def test_overwrite_replaces_what_is_ours_and_nothing_else(source: str, calm: Path, client: Any) -> None:
    out = out_of("again.zarr")
    neighbour = parse("s3://data/again.zarr2")
    neighbour.write_bytes(b"not ours")
    api.run(prepared(source, out), client)
    (parse(out) / "c/9/9/9").write_bytes(b"of another shape")
    with pytest.raises(UsageError, match="is the input"):
        prepared(source, source, overwrite=True)
    summary = api.run(prepared(source, out, overwrite=True), client)
    assert summary.computed == BLOCKS
    assert not (parse(out) / "c/9/9/9").is_file()
    assert chunks(out) == chunks(calm)
    # Workers that had the old array open see the new one, whose chunks are others.
    changed = api.prepare(
        "gaussian", source, out, sigma=1.5, chunks=(8, 16, 16),
        options=RunOptions(device="cpu", workers=1, block=BLOCK, overwrite=True),
    )  # fmt: skip
    api.run(changed, client)
    read = [zarr.open_array(paths.zarr_store(paths.store_path(p)), mode="r")[...] for p in (out, calm)]
    np.testing.assert_array_equal(*read)
    assert neighbour.read_bytes() == b"not ours"
    other = parse(out_of("pictures")) / "holiday.jpg"
    other.write_bytes(b"picture")
    with pytest.raises(UsageError, match="exists: give another place"):
        prepared(source, other.parent)
    with pytest.raises(UsageError, match="is no Zarr store: --overwrite does not delete it"):
        prepared(source, other.parent, overwrite=True)
    with pytest.raises(UsageError, match="is a whole bucket"):
        prepared(calm.with_name("in.zarr"), "s3://data", overwrite=True)
    assert other.is_file()


# --- what people see ------------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_a_job_is_looked_at(source: str, client: Any, tmp_path: Path) -> None:
    out = out_of("seen.zarr")
    api.run(prepared(source, out), client)
    result = gridstride("info", out)
    assert result.exit_code == 0, result.output
    assert "12 blocks of 16 x 32 x 32 written" in result.output
    assert "read through tensorstore" in result.output
    result = gridstride("preview", source, tmp_path / "a.png", "--compare", out)
    assert result.exit_code == 0, result.output
    assert (tmp_path / "a.png").read_bytes().startswith(b"\x89PNG")
    group = zarr.open_group(parse("s3://data/group.zarr").zarr_store(read_only=False), mode="a")
    if "a" not in group:
        group.create_array("a", shape=(4, 4), dtype="u1")
    assert "a" in gridstride("info", "s3://data/group.zarr").output
    assert describe("s3://data/group.zarr", "a").path == "s3://data/group.zarr/a"


def test_status_and_report_of_an_output_in_a_store(source: str, client: Any, tmp_path: Path) -> None:
    out, page = out_of("told.zarr"), tmp_path / "report.html"
    api.run(prepared(source, out, report=str(page)), client)
    found = status(out)
    assert (found.state, found.done, found.total, found.resume) == ("finished", BLOCKS, BLOCKS, None)
    text = page.read_text()
    assert f"{BLOCKS} of {BLOCKS}" in text
    assert text.count("<img") == 1
    Journal(out).marker((1, 0, 0)).unlink()
    holder = lock.lock(Journal(out).folder / "lock")
    before = parse(out).names()
    assert (status(out).state, status(out).done) == ("running", BLOCKS - 1)
    assert parse(out).names() == before
    holder.release()
    assert (status(out).state, status(out).resume) == ("killed", f"gridstride resume {out}")
