"""Jobs on gs://, against a stand-in for Google's store: see `gcs_server`."""

from __future__ import annotations

import json
import subprocess
import sys
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from remote_flows import CASE, assert_same, content
from remote_jobs import BLOCKS, COMMAND, assert_puts_are_conditional, chunks, gridstride, kill_in_the_sweep, put

from gridstride.pipeline.errors import UsageError
from gridstride.pipeline.storage import lock, paths
from gridstride.pipeline.storage.describe import has_metadata
from gridstride.pipeline.storage.journal import FOLDER, Journal
from gridstride.pipeline.storage.remote import parse

pytest.importorskip("obstore", reason="needs obstore: pip install 'gridstride[remote]'")

FILTER = ["--sigma", "1.5", "--block", "16,32,32", "--device", "cpu", "--workers", "1", "--quiet"]

Log = Callable[[], list[tuple[str, str, int]]]


@pytest.fixture(scope="module")
def gs() -> Iterator[Log]:
    """A running server, with its address in the environment; gives what it was asked."""
    command = [sys.executable, str(Path(__file__).parents[1] / "gcs_server.py")]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        url = f"http://127.0.0.1:{int(process.stdout.readline())}"
        with pytest.MonkeyPatch.context() as patch:
            for name in ("GOOGLE_BASE_URL", "TENSORSTORE_GCS_HTTP_URL"):
                patch.setenv(name, url)
            patch.setenv("GOOGLE_BEARER_TOKEN", "any")
            patch.setenv("GOOGLE_AUTH_TOKEN_FOR_TESTING", "any")
            yield lambda: json.loads(urllib.request.urlopen(f"{url}/log", timeout=30).read())
    finally:
        process.kill()
        process.wait()


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_killed_and_resumed_gives_the_local_bytes(gs: Log, image: np.ndarray, tmp_path: Path) -> None:
    put(str(tmp_path / "in.zarr"), image)
    put("gs://data/in.zarr", image)
    calm, out = tmp_path / "out.zarr", "gs://data/out.zarr"
    subprocess.run([*COMMAND, "filter", "gaussian", str(tmp_path / "in.zarr"), str(calm), *FILTER], check=True)
    journal = Journal(out)
    first = ["filter", "gaussian", "gs://data/in.zarr", out, *FILTER]
    kill_in_the_sweep(out, [(2, first), (6, ["resume", out, "--quiet"])])
    marked = {f"out.zarr/{FOLDER}/blocks/{journal.hash}/{name}" for name in journal.markers()}
    before = len(gs())
    subprocess.run([*COMMAND, "resume", out, "--quiet"], check=True, timeout=120)
    assert chunks(out) == chunks(calm)
    assert not (journal.folder / "lock").is_file()
    assert not marked & {key for method, key, _ in gs()[before:] if method == "PUT"}, "finished blocks were done again"
    assert f"{BLOCKS} blocks of 16 x 32 x 32 written" in gridstride("info", out).output
    # Afresh: all objects go, and what is not there needs no deleting.
    subprocess.run([*COMMAND, *first, "--overwrite"], check=True, timeout=120)
    assert chunks(out) == chunks(calm)


@pytest.mark.slow
def test_a_simulation_gives_the_local_bytes(gs: Log, tmp_path: Path) -> None:
    (tmp_path / "case.yaml").write_text(yaml.safe_dump(CASE))
    for out in ("gs://data/flow.zarr", str(tmp_path / "flow.zarr")):
        command = ["simulate", str(tmp_path / "case.yaml"), out, "--blocks", "2", "--device", "cpu", "--quiet"]
        subprocess.run([*COMMAND, *command, "--workers", "1"], check=True, timeout=120)
    assert_same(content("gs://data/flow.zarr"), content(tmp_path / "flow.zarr"))


def test_conditions_and_the_lock(gs: Log, monkeypatch: Any) -> None:
    file = parse("gs://data/lock.zarr") / FOLDER / "lock"
    assert_puts_are_conditional(file)
    tag = file.head().tag
    file.unlink()
    assert not file.write_bytes(b"5", after=tag)
    file.unlink()
    monkeypatch.setattr(lock, "BEAT", 0.05)
    monkeypatch.setattr(lock, "POLL", 0.05)
    held = lock.lock(file)
    with pytest.raises(UsageError, match="it renewed its lock just now"):
        lock.lock(file)
    held.check()
    held.release()
    assert not file.is_file()


def test_an_object_that_is_written_again_has_another_version(gs: Log) -> None:
    file = parse("gs://data/file")
    file.write_bytes(b"same")
    before = paths.version(file)
    file.write_bytes(b"same")
    assert paths.version(file) != before
    assert not has_metadata(parse("gs://data/nothing"))
