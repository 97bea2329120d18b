"""Addresses and credentials: which are taken, what is said of the others, and that no key is written anywhere."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from object_stores import KEY, SECRET, Server
from remote_jobs import gridstride, out_of, prepared

from gridstride.pipeline import api
from gridstride.pipeline.errors import UsageError
from gridstride.pipeline.storage import paths
from gridstride.pipeline.storage.journal import FOLDER
from gridstride.pipeline.storage.remote import parse

pytestmark = pytest.mark.slow

pytest.importorskip("obstore", reason="needs obstore: pip install 'gridstride[remote]'")
pytest.importorskip("moto", reason="needs moto's S3 server: pip install 'moto[s3]' flask flask-cors")


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
        "import sys; from gridstride.pipeline.storage.describe import describe; "
        "from gridstride.pipeline.storage.regions import open_regions; "
        "print(open_regions(describe(sys.argv[1]).path).read((0, 0, 0), (4, 4, 4)).sum())"
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
    api.run(prepared(source, out, quiet=False, log=str(tmp_path / "log")), client)
    root = parse(out)
    written = [root / "zarr.json", *(root / FOLDER / name for name in paths.names(root / FOLDER) - {"blocks"})]
    expected = {"job.json", "sweep.json", "operator.json", "summary.json", "events.jsonl"}
    assert {file.name for file in written} >= expected
    for data in (*(file.read_bytes() for file in written), (tmp_path / "log").read_bytes()):
        assert SECRET.encode() not in data
        assert KEY.encode() not in data


@pytest.mark.parametrize(
    ("address", "words"),
    [
        ("s3://user:pass@data/in.zarr", "an address must not contain credentials"),
        ("https://user:pass@host/in.zarr", "an address must not contain credentials"),
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
    assert paths.store_path("a/b") == Path("a/b")
    with pytest.raises(UsageError, match="is an address inside a Path"):
        paths.store_path(Path("s3://data/a"))
