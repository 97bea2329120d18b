"""Jobs from and to object stores and web servers: the local job's bytes, whatever the network does."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import zarr
from click.testing import CliRunner
from object_stores import KEY, SECRET, Server, s3_server, web_server

from gridstride.pipeline import images, jobs
from gridstride.pipeline.cli import main
from gridstride.pipeline.config import RunOptions
from gridstride.pipeline.errors import JobFailed, UsageError
from gridstride.pipeline.reports.status import status
from gridstride.pipeline.storage import lock, places, stores
from gridstride.pipeline.storage.journal import FOLDER, Journal
from gridstride.pipeline.storage.remote import parse
from gridstride.workers import cluster

pytest.importorskip("obstore", reason="needs obstore: pip install 'gridstride[remote]'")
pytest.importorskip("moto", reason="needs moto's S3 server: pip install 'moto[s3]' flask flask-cors")

SHAPE, CHUNKS, BLOCK = (48, 64, 64), (16, 16, 16), (16, 32, 32)
BLOCKS = 12
COMMAND = [sys.executable, "-m", "gridstride.pipeline.cli"]


@pytest.fixture(scope="module")
def s3() -> Iterator[Server]:
    with s3_server() as server, pytest.MonkeyPatch.context() as patch:
        for name in [n for n in os.environ if n.startswith("AWS_")]:
            patch.delenv(name)
        for name, value in server.environment.items():
            patch.setenv(name, value)
        yield server


@pytest.fixture(scope="module")
def client(s3: Server) -> Iterator[Any]:
    with cluster.start("cpu", cluster.Size(1, 2, 4_000_000_000)) as client:
        yield client


@pytest.fixture(scope="module")
def image() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 60000, SHAPE).astype(np.uint16)


@pytest.fixture(scope="module")
def calm(image: np.ndarray, client: Any, tmp_path_factory: Any) -> Path:
    """The result of the local job."""
    folder = tmp_path_factory.mktemp("calm")
    put(str(folder / "in.zarr"), image)
    jobs.run(prepared(folder / "in.zarr", folder / "out.zarr"), client)
    return folder / "out.zarr"


@pytest.fixture
def source(s3: Server, image: np.ndarray) -> str:
    s3.fail(0)
    where = parse("s3://data/in.zarr")
    where.clear()
    put(str(where), image)
    return str(where)


def put(where: str, array: np.ndarray) -> None:
    info = stores.create(where, array.shape, array.dtype, CHUNKS)
    stores.regions(info.path).write((0, 0, 0), array)


def prepared(source: Any, out: Any, **changes: Any) -> Any:
    options = {"device": "cpu", "workers": 1, "block": BLOCK, "halos": "neighbours", **changes}
    return images.prepare_filter("gaussian", source, out, sigma=1.5, options=RunOptions(**options))


def chunks(out: str | Path) -> dict[str, bytes]:
    """Every chunk of a result, by key."""
    root = places.place(out)
    if isinstance(root, Path):
        return {str(p.relative_to(root)): p.read_bytes() for p in sorted((root / "c").rglob("*")) if p.is_file()}
    keys = [f"c/{i}/{j}/{k}" for i, j, k in np.ndindex(3, 4, 4)]
    return {key: (root / key).read_bytes() for key in keys}


def out_of(name: str) -> str:
    parse(f"s3://data/{name}").clear()
    return f"s3://data/{name}"


def gridstride(*arguments: Any) -> Any:
    return CliRunner().invoke(main, [str(a) for a in arguments])


# --- the same bytes -------------------------------------------------------------------------------------------------


def test_from_s3_to_s3_is_the_local_job(source: str, calm: Path, client: Any, s3: Server) -> None:
    out = out_of("out.zarr")
    before = len(s3.log())
    summary = jobs.run(prepared(source, out), client)
    assert (summary.computed, summary.retried, summary.failed) == (BLOCKS, 0, {})
    assert chunks(out) == chunks(calm)
    ours, theirs = (zarr.open_array(places.zarr_store(places.place(p))).metadata for p in (out, calm))
    assert ours.chunks == theirs.chunks
    assert ours.codecs == theirs.codecs  # type: ignore[union-attr]
    # A marker is put when the block's chunks have been acknowledged, never before.
    puts = [path.removeprefix("/data/out.zarr/") for method, path, code in s3.log()[before:] if method == "PUT"]
    for index in np.ndindex(3, 2, 2):
        marker = puts.index(f"{FOLDER}/blocks/{'.'.join(map(str, index))}")
        for j, k in np.ndindex(2, 2):
            assert puts.index(f"c/{index[0]}/{2 * index[1] + j}/{2 * index[2] + k}") < marker
    # The same again has nothing to do; what is asked in other words is refused.
    assert jobs.run(prepared(source, out), client).skipped == BLOCKS
    with pytest.raises(UsageError, match="another job's output"):
        images.prepare_filter("gaussian", source, out, sigma=2.0, options=RunOptions(device="cpu"))


@pytest.mark.slow
def test_between_s3_and_folders(source: str, image: np.ndarray, calm: Path, client: Any, tmp_path: Path) -> None:
    jobs.run(prepared(source, tmp_path / "out.zarr"), client)
    assert chunks(tmp_path / "out.zarr") == chunks(calm)
    out = out_of("from-folder.zarr")
    jobs.run(prepared(calm.with_name("in.zarr"), out, halos="store"), client)
    assert chunks(out) == chunks(calm)


def test_a_job_goes_on_with_what_is_left(source: str, calm: Path, client: Any) -> None:
    out = out_of("out.zarr")
    jobs.run(prepared(source, out), client)
    journal = Journal(out)
    assert journal.done() == set(np.ndindex(3, 2, 2))
    journal.marker((1, 0, 1)).unlink()
    # The unmarked block's data goes; another's is spoilt, and stays so: its marker says that it is done.
    (places.place(out) / "c/1/0/2").unlink()
    (places.place(out) / "c/2/3/3").write_bytes(b"left alone")
    summary = jobs.run(jobs.resume(out, RunOptions(device="cpu", workers=1)), client)
    assert (summary.computed, summary.skipped, summary.failed) == (1, BLOCKS - 1, {})
    assert chunks(out) == {**chunks(calm), "c/2/3/3": b"left alone"}


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_killed_and_resumed_gives_the_same_bytes(source: str, calm: Path, s3: Server) -> None:
    out = out_of("killed.zarr")
    first = ["filter", "gaussian", source, out, "--sigma", "1.5", "--block", "16,32,32", "--device", "cpu", "--quiet"]
    journal = Journal(out)
    for wanted, command in ((2, first), (5, ["resume", out, "--quiet"]), (8, first)):
        process = subprocess.Popen([*COMMAND, *command], start_new_session=True)
        while process.poll() is None and len(journal.done()) < wanted:
            time.sleep(0.01)
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    assert (journal.folder / "lock").is_file(), "the killed client left its lock"
    assert wanted <= len(journal.done()) < BLOCKS, "the last kill fell out of the sweep: the test proves too little"
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
        summary = jobs.run(prepared(source, out), client)
    finally:
        s3.fail(0)
    assert (summary.computed, summary.retried, summary.failed) == (BLOCKS, 0, {})
    assert chunks(out) == chunks(calm)
    assert any(code == (0 if kind == "reset" else int(kind)) for _, _, code in s3.log())


HANGING = """
import sys
import numpy as np
from gridstride.pipeline.storage import connections, remote, stores

connections.REQUEST_SECONDS = 1.0
where = sys.argv[1]
stores.create(where, (8, 8), np.dtype("f4"), (4, 4))
for number in range(2):
    stores.regions(where).write((0, 0), np.full((8, 8), number, "f4"))
    assert (stores.regions(where).read((0, 0), (8, 8)) == number).all()
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
    stores._context.cache_clear()
    job = prepared(source, out)
    s3.fail(1, match="^PUT /data/away.zarr/c/1/")
    try:
        from distributed import Client, LocalCluster

        # In this process, so that the patches hold.
        with LocalCluster(n_workers=1, threads_per_worker=2, processes=False, dashboard_address=None) as here:
            with Client(here) as client, pytest.raises(JobFailed) as caught:
                jobs.run(job, client)
            s3.fail(0)
            with Client(here) as client:
                summary = jobs.run(jobs.resume(out, RunOptions(device="cpu", workers=1)), client)
    finally:
        s3.fail(0)
        stores._context.cache_clear()
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
    chunk = places.place(source) / "c/2/3/3"
    good = chunk.read_bytes()
    for bad in (b"no blosc frame", good[: len(good) // 2]):
        chunk.write_bytes(bad)
        parse(out).clear()
        summary = jobs.run(prepared(source, out), client)
        # The halo of 6 takes in the chunk for three of the neighbours too.
        assert "2.1.1" in summary.failed
        assert all("c/2/3/3" in reason for reasons in summary.failed.values() for reason in reasons)
        assert summary.computed == BLOCKS - len(summary.failed)
        assert len(summary.failed) <= 8
    chunk.write_bytes(good)
    summary = jobs.run(jobs.resume(out, RunOptions(device="cpu", workers=1)), client)
    assert summary.failed == {}
    assert chunks(out) == chunks(calm)
    # What finished blocks were made from must not change under them.
    stores.regions(source).write((0, 0, 0), image // 2)
    with pytest.raises(UsageError, match="has changed since"):
        jobs.resume(out, RunOptions(device="cpu", workers=1))


# --- one client -----------------------------------------------------------------------------------------------------


def test_two_clients_do_not_write_one_output(source: str, s3: Server) -> None:
    out = out_of("two.zarr")
    job = prepared(source, out)
    first = Journal(out)
    first.lock()
    before = set(places.names(parse(out)))
    with pytest.raises(UsageError, match=r"another gridstride is writing s3://data/two\.zarr"):
        jobs.run(job)
    overwriting = prepared(source, out, overwrite=True)
    with pytest.raises(UsageError, match="another gridstride is writing"):
        jobs.run(overwriting)
    assert set(places.names(parse(out))) == before
    (parse(out) / "zarr.json").write_bytes(b"{}")
    first.clear()
    assert places.names(parse(out) / FOLDER) - {"clock"} == {"lock"}, "all goes but the lock, which is held"
    assert places.names(parse(out)) == {FOLDER}
    first.unlock()
    second = Journal(out)
    second.lock()
    second.unlock()
    assert not (second.folder / "lock").is_file()


def test_of_two_clients_at_once_one_gets_the_lock(s3: Server) -> None:
    """Both find none; or both find the same dead one."""
    file = parse(out_of("race")) / "lock"
    assert [file.write_bytes(b"1", after=""), file.write_bytes(b"2", after="")] == [True, False]
    tag = file.head().tag
    assert [file.write_bytes(b"3", after=tag), file.write_bytes(b"4", after=tag)] == [True, False]
    assert file.read_bytes() == b"3"


@pytest.mark.slow
def test_the_lock_of_a_client_that_died_elsewhere_is_taken_over_in_time(s3: Server, monkeypatch: Any) -> None:
    file = parse(out_of("stale")) / FOLDER / "lock"
    file.write_bytes(b'{"host": "elsewhere", "boot": "x", "process": 1, "id": "theirs"}')
    with pytest.raises(UsageError, match=r"process 1 on elsewhere, seen \d+ s ago.*try again in \d+ s"):
        lock.lock(file)
    monkeypatch.setattr(lock, "STALE", 0.5)
    time.sleep(2.1)  # the server tells times in whole seconds
    lock.lock(file).release()
    # One of this machine whose process is gone is not waited for.
    monkeypatch.setattr(lock, "STALE", 60.0)
    dead = subprocess.Popen(["true"])
    dead.wait()
    held = lock.lock(file)
    gone = {**held.holder, "process": dead.pid, "id": "theirs"}  # type: ignore[union-attr]
    held.release()
    file.write_bytes(str(gone).replace("'", '"').encode())
    lock.lock(file).release()


def test_a_client_that_lost_its_lock_stops(s3: Server, monkeypatch: Any) -> None:
    file = parse(out_of("lost")) / FOLDER / "lock"
    stopped: list[bool] = []
    monkeypatch.setattr(lock, "BEAT", 0.05)
    monkeypatch.setattr("_thread.interrupt_main", lambda: stopped.append(True))
    held = lock.lock(file)
    begun = file.head().tag
    deadline = time.monotonic() + 20
    while file.head().tag == begun and time.monotonic() < deadline:
        time.sleep(0.01)
    assert file.head().tag != begun, "it does not beat"
    held.check()
    for _ in range(100):  # between two beats
        file.write_bytes(b'{"id": "another"}')
        time.sleep(0.1)
        if stopped:
            break
    with pytest.raises(JobFailed, match="another gridstride took over"):
        held.check()
    held.release()
    assert file.is_file(), "the lock is not ours to take away"


@pytest.mark.slow
def test_overwrite_replaces_what_is_ours_and_nothing_else(source: str, calm: Path, client: Any) -> None:
    out = out_of("again.zarr")
    neighbour = parse("s3://data/again.zarr2")
    neighbour.write_bytes(b"not ours")
    jobs.run(prepared(source, out), client)
    (parse(out) / "c/9/9/9").write_bytes(b"of another shape")
    with pytest.raises(UsageError, match="is the input"):
        prepared(source, source, overwrite=True)
    summary = jobs.run(prepared(source, out, overwrite=True), client)
    assert summary.computed == BLOCKS
    assert not (parse(out) / "c/9/9/9").is_file()
    assert chunks(out) == chunks(calm)
    # Workers that had the old array open see the new one, whose chunks are others.
    changed = images.prepare_filter(
        "gaussian", source, out, sigma=1.5, chunks=(8, 16, 16),
        options=RunOptions(device="cpu", workers=1, block=BLOCK, overwrite=True),
    )  # fmt: skip
    jobs.run(changed, client)
    read = [zarr.open_array(places.zarr_store(places.place(p)), mode="r")[...] for p in (out, calm)]
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
    jobs.run(prepared(source, out), client)
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
    assert stores.describe("s3://data/group.zarr", "a").path == "s3://data/group.zarr/a"


@pytest.mark.parametrize(
    ("input", "changes", "words"),
    [
        ("s3://nobucket/in.zarr", {}, "there is no bucket 'nobucket'"),
        ("s3://data/nothing", {}, "s3://data/nothing does not exist"),
        ("s3://data/in.zarr", {"AWS_ENDPOINT_URL": "http://127.0.0.1:1"}, "no answer at http://127.0.0.1:1"),
        ("s3://data/in.zarr", {"AWS_ACCESS_KEY_ID": "AKIAWRONG"}, "InvalidAccessKeyId"),
        ("s3://data/in.zarr", {"AWS_SECRET_ACCESS_KEY": "wrong"}, "SignatureDoesNotMatch"),
        ("s3://data/in.zarr", {}, "access denied"),
        ("s3://data/in.zarr", {"AWS_ACCESS_KEY_ID": "", "AWS_PROFILE": "nobody"}, "AWS profile 'nobody' has no"),
    ],
)
def test_what_is_wrong_is_one_line(
    input: str, changes: dict[str, str], words: str, source: str, s3: Server, monkeypatch: Any
) -> None:
    with s3.checks_credentials() as (key, secret):
        for name, value in {"AWS_ACCESS_KEY_ID": key, "AWS_SECRET_ACCESS_KEY": secret, **changes}.items():
            monkeypatch.setenv(name, value)
        result = gridstride("filter", "gaussian", input, "s3://data/denied.zarr", "--sigma", "1", "--device", "cpu")
    assert result.exit_code in (1, 2)
    lines = result.output.strip().splitlines()
    assert lines[-1].startswith("gridstride: ")
    assert words in lines[-1]
    assert len([line for line in lines if not line.startswith(("device:", "plan:"))]) == 1
    assert secret not in result.output


def test_keys_of_a_profile(source: str, s3: Server, image: np.ndarray, tmp_path: Path, monkeypatch: Any) -> None:
    """Both libraries find them; each in a process of its own, for they look once."""
    code = (
        "from gridstride.pipeline.storage import stores; import sys; "
        "print(stores.regions(stores.describe(sys.argv[1]).path).read((0, 0, 0), (4, 4, 4)).sum())"
    )
    file = tmp_path / "credentials"
    with s3.checks_credentials() as (key, secret):
        for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
            monkeypatch.delenv(name)
        monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(file))
        monkeypatch.setenv("AWS_PROFILE", "lab")
        profiles = {"default": ("A", "B"), "lab": (key, secret)}
        file.write_text(
            "".join(f"[{p}]\naws_access_key_id = {k}\naws_secret_access_key = {s}\n" for p, (k, s) in profiles.items())
        )
        ran = subprocess.run([sys.executable, "-c", code, source], capture_output=True, text=True, timeout=60)
    assert ran.returncode == 0, ran.stderr
    assert int(ran.stdout) == image[:4, :4, :4].sum()


def test_no_credential_is_written_anywhere(source: str, client: Any, tmp_path: Path) -> None:
    out = out_of("secrets.zarr")
    jobs.run(prepared(source, out, quiet=False, log=str(tmp_path / "log")), client)
    root = parse(out)
    written = [root / "zarr.json", *(root / FOLDER / name for name in places.names(root / FOLDER) - {"blocks"})]
    assert {file.name for file in written} >= {"job.json", "work.json", "operator.json", "summary.json", "events.jsonl"}
    for data in (*(file.read_bytes() for file in written), (tmp_path / "log").read_bytes()):
        assert SECRET.encode() not in data
        assert KEY.encode() not in data


@pytest.mark.parametrize(
    ("address", "words"),
    [
        ("s3://user:pass@data/in.zarr", "credentials do not belong into an address"),
        ("https://user:pass@host/in.zarr", "credentials do not belong into an address"),
        ("https://host/in.zarr?X-Amz-Signature=abc", "expected an address without ? and #"),
        ("s3://data/../other", "without empty parts"),
        ("s3://", "expected s3://BUCKET/KEY"),
        ("ftp://host/in.zarr", "expected a path, or s3://"),
    ],
)
def test_addresses_that_are_refused(address: str, words: str) -> None:
    result = gridstride("info", address)
    assert result.exit_code == 2
    assert words in result.output
    assert "pass@" not in result.output
    assert "abc" not in result.output


def test_places() -> None:
    place = parse("s3://data/a/b.zarr/")
    assert str(place) == "s3://data/a/b.zarr"
    assert str(place / "c/0") == "s3://data/a/b.zarr/c/0"
    assert (place.name, place.suffix, str(place.parent)) == ("b.zarr", ".zarr", "s3://data/a")
    assert [str(p) for p in place.parents] == ["s3://data/a", "s3://data"]
    assert places.place("a/b") == Path("a/b")
    with pytest.raises(UsageError, match="became a path"):
        places.place(Path("s3://data/a"))


def test_google_storage_is_specified(monkeypatch: Any) -> None:
    """There is no server to try it with; tensorstore takes the specification."""
    import tensorstore

    place = parse("gs://data/a.zarr")
    spec = tensorstore.Spec({"driver": "zarr3", "kvstore": place.kvstore()})
    assert spec.kvstore.url == "gs://data/a.zarr/"
    monkeypatch.setenv("GOOGLE_SKIP_SIGNATURE", "true")
    assert type(place._store()).__name__ == "GCSStore"


def test_simulations_write_folders_only(tmp_path: Path) -> None:
    case = Path(__file__).parents[1] / "examples" / "cases" / "cavity.yaml"
    result = gridstride("simulate", case, "s3://data/flow")
    assert result.exit_code == 2
    assert "s3://data/flow: simulations write folders only" in result.output


# --- web servers ----------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def web(image: np.ndarray, calm: Path) -> Iterator[str]:
    group = zarr.create_group(str(calm.with_name("group.zarr")))
    group.create_array("a", data=image, chunks=CHUNKS, shards=(32, 32, 32))
    with web_server(calm.parent) as address:
        yield address


def test_from_the_web(web: str, calm: Path, client: Any, tmp_path: Path) -> None:
    jobs.run(prepared(f"{web}/in.zarr", tmp_path / "out.zarr"), client)
    assert chunks(tmp_path / "out.zarr") == chunks(calm)
    info = gridstride("info", f"{web}/out.zarr")
    assert info.exit_code == 0, info.output
    assert "made by" in info.output
    assert gridstride("preview", f"{web}/in.zarr", tmp_path / "a.png").exit_code == 0


def test_an_array_of_a_group_with_shards(web: str, image: np.ndarray, client: Any) -> None:
    info = stores.describe(f"{web}/group.zarr", "a")
    np.testing.assert_array_equal(stores.regions(info.path).read((3, 3, 3), (40, 50, 60)), image[3:40, 3:50, 3:60])
    result = gridstride("info", f"{web}/group.zarr")
    assert result.exit_code == 2
    assert "--array" in result.output
    for name in ("b", "../in.zarr"):
        result = gridstride("info", f"{web}/group.zarr", "--array", name)
        assert result.exit_code == 2
        assert len(result.output.strip().splitlines()) == 1


def test_the_web_is_not_written(web: str, source: str) -> None:
    result = gridstride("filter", "gaussian", source, f"{web}/out2.zarr", "--sigma", "1", "--device", "cpu")
    assert result.exit_code == 2
    assert "cannot be written: web servers are read only here" in result.output
    with pytest.raises(UsageError, match="web servers are read only"):
        parse(f"{web}/x").write_bytes(b"x")
    result = gridstride("info", f"{web}/nothing.zarr")
    assert result.exit_code == 2
    assert "does not exist" in result.output


def test_status_and_report_of_an_output_in_a_store(source: str, client: Any, tmp_path: Path) -> None:
    out, page = out_of("told.zarr"), tmp_path / "report.html"
    jobs.run(prepared(source, out, report=str(page)), client)
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
