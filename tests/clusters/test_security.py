"""What a stranger's files cannot make us do, and what leaves this machine: nothing that was not asked for."""

from __future__ import annotations

import json
import os
import pickle
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
import zarr
from click.testing import CliRunner

import gridstride
from gridstride.pipeline import api
from gridstride.pipeline import job as jobs
from gridstride.pipeline.commands.main import main
from gridstride.pipeline.errors import UsageError
from gridstride.pipeline.storage import tree
from gridstride.pipeline.storage.describe import describe
from gridstride.pipeline.storage.journal import Journal
from gridstride.workers import cluster, saving, security
from gridstride.workers.clusters import Size
from gridstride.workers.clusters.config import ClusterConfig

pytestmark = pytest.mark.slow

SMALL = {"workers": 1, "precision": "double", "cast": "scipy"}


def everything(folder: Path) -> dict[str, bytes | None]:
    """Content of all files below a folder, and where links lead."""
    found: dict[str, bytes | None] = {}
    for path in sorted(folder.rglob("*")):
        if path.is_symlink():
            found[str(path)] = os.fsencode(path.readlink())
        else:
            found[str(path)] = path.read_bytes() if path.is_file() else None
    return found


# --- a stranger's input -----------------------------------------------------------------------------------------


def test_names_in_a_store_lead_nowhere(tmp_path: Path) -> None:
    """Array and dimension names with slashes, dots and escapes: all that is written is inside OUT."""
    source, outside, out = tmp_path / "in", tmp_path / "outside", tmp_path / "there" / "out"
    outside.mkdir()
    out.parent.mkdir()
    array = zarr.create_array(
        str(source), shape=(8, 8), chunks=(4, 4), dtype="u1", dimension_names=["../../x", "/etc/\x1b[31mhosts"],
        attributes={"../y": "/tmp/z", "name": "[/red]\x1b]0;title\x07"},
    )  # fmt: skip
    array[...] = np.arange(64, dtype=np.uint8).reshape(8, 8)
    before = everything(tmp_path)
    gridstride.gaussian(source, out, 1.0, axes=[0, 1], **SMALL)
    after = {path: data for path, data in everything(tmp_path).items() if path not in before}
    assert after
    assert all(Path(path).is_relative_to(out) for path in after)
    assert describe(out).dimension_names == ("../../x", "/etc/\x1b[31mhosts")
    shown = CliRunner().invoke(main, ["info", str(out)])
    assert shown.exit_code == 0, shown.output
    assert "\x1b]0;" not in shown.output


@pytest.mark.filterwarnings("ignore:Consolidated")
@pytest.mark.parametrize("version", [2, 3])
def test_an_array_whose_name_leads_out_of_its_group_is_not_there(tmp_path: Path, version: Any) -> None:
    """Consolidated metadata may name anything."""
    zarr.create_array(str(tmp_path / "secret"), shape=(4,), chunks=(4,), dtype="u1", zarr_format=version)
    group = zarr.create_group(str(tmp_path / "group"), zarr_format=version)
    group.create_array("good", shape=(4,), chunks=(4,), dtype="u1")
    assert describe(tmp_path / "group", "good").shape == (4,)
    zarr.consolidate_metadata(str(tmp_path / "group"))
    file = tmp_path / "group" / ("zarr.json" if version == 3 else ".zmetadata")
    content = json.loads(file.read_text())
    members = content["consolidated_metadata"]["metadata"] if version == 3 else content["metadata"]
    for name in [name for name in members if name.startswith("good")]:
        members[name.replace("good", "../secret")] = members[name]
    file.write_text(json.dumps(content))
    for name in ("../secret", "good/../../secret", "/../secret", str(tmp_path / "secret")):
        with pytest.raises(UsageError, match=r"has no array|cannot be opened"):
            describe(tmp_path / "group", name)

    told = tree.read(tmp_path / "group")
    assert told is not None
    assert {node.path for node in tree.consolidated(tmp_path / "group", told)} == {"good"}
    assert [node.path for node in tree.walk(tmp_path / "group", told)] == ["", "good"]


class Trap:
    """Makes a file when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> Any:
        return Path.touch, (self.path,)


@pytest.mark.parametrize("place", ["compressor", "filters"])
def test_pickled_chunks_are_not_read(tmp_path: Path, place: str) -> None:
    source, sprung = tmp_path / "in", tmp_path / "sprung"
    source.mkdir()
    codec = {"id": "pickle", "protocol": 5}
    metadata = {
        "zarr_format": 2, "shape": [4], "chunks": [4], "dtype": "<u2", "fill_value": 0, "order": "C",
        "compressor": codec if place == "compressor" else None, "filters": [codec] if place == "filters" else None,
    }  # fmt: skip
    (source / ".zarray").write_text(json.dumps(metadata))
    (source / "0").write_bytes(pickle.dumps(Trap(sprung)))
    with pytest.raises(UsageError, match="stored as Python pickles"):
        gridstride.gaussian(source, tmp_path / "out", 1.0)
    assert not sprung.exists()
    assert not (tmp_path / "out").exists()


@pytest.fixture(scope="module")
def made(tmp_path_factory: Any) -> Any:
    folder = tmp_path_factory.mktemp("made")
    source = zarr.create_array(str(folder / "in"), shape=(8, 8), chunks=(4, 4), dtype="u1")
    source[...] = np.arange(64, dtype=np.uint8).reshape(8, 8)
    gridstride.gaussian(folder / "in", folder / "out", 1.0, block=(4, 4), **SMALL)
    return folder


@pytest.fixture
def job(made: Path, tmp_path: Path) -> tuple[Path, Path]:
    """The input and the output of a job."""
    shutil.copytree(made / "out", tmp_path / "out")
    return made / "in", tmp_path / "out"


def test_kernels_and_operators_are_data(job: Any, tmp_path: Path) -> None:
    (source, out), sprung = job, tmp_path / "sprung"
    np.save(tmp_path / "k.npy", np.array([Trap(sprung)], object), allow_pickle=True)
    with pytest.raises(UsageError, match="cannot be read as a"):
        gridstride.convolve(source, tmp_path / "out2", tmp_path / "k.npy")
    folder = out / ".gridstride"
    np.savez(folder / "operator.npz", a0=np.array([Trap(sprung)], object))
    with pytest.raises(ValueError, match="Object arrays cannot be loaded"):
        saving.load(folder, "operator")
    (folder / "operator.json").write_text(json.dumps({"type": "os.system", "command": "true"}))
    np.savez(folder / "operator.npz")
    with pytest.raises(ValueError, match=r"os\.system is no class"):
        saving.load(folder, "operator")
    assert not sprung.exists()


@pytest.mark.parametrize("file", ["cluster.yaml", "case.yaml"])
def test_yaml_is_data(tmp_path: Path, file: str) -> None:
    sprung = tmp_path / "sprung"
    (tmp_path / file).write_text(
        f"!!python/object/apply:pathlib.Path.touch [!!python/object/apply:pathlib.Path ['{sprung}']]"
    )
    given = ["--cluster", str(tmp_path / file)] if file == "cluster.yaml" else []
    case = str(tmp_path / file) if file == "case.yaml" else "case"
    command = ["cluster", "check", *given] if given else ["simulate", case, str(tmp_path / "out")]
    result = CliRunner().invoke(main, command)
    assert result.exit_code == 2
    assert "is not YAML" in result.output
    assert not sprung.exists()


# --- a stranger's unfinished output -----------------------------------------------------------------------------


LINKS = ["c", "c/0", "c/0/1.__lock", ".gridstride/lock", ".gridstride/blocks", ".gridstride"]


@pytest.mark.parametrize("link", LINKS)
def test_an_output_with_links_in_it_is_not_written(job: Any, tmp_path: Path, link: str) -> None:
    source, out = job
    outside = tmp_path / "outside"
    for marker in Journal(out).blocks.iterdir():
        marker.unlink()
    (out / ".gridstride" / "lock").unlink(missing_ok=True)
    outside.mkdir()
    (outside / "victim").write_text("precious")
    place = out / link
    target = outside / "victim" if link.endswith("lock") else outside / "folder"
    if place.is_dir():
        place.rename(target)
    place.symlink_to(target)
    before = everything(outside)
    with pytest.raises(UsageError, match=r"is a link|to resume"):
        api.run(jobs.resume(out))
    if ".gridstride" in link:
        with pytest.raises(UsageError, match="is a link"):
            gridstride.gaussian(source, out, 1.0, overwrite=True, **SMALL)
    elif link == "c":  # what is deleted first does no harm
        gridstride.gaussian(source, out, 1.0, overwrite=True, **SMALL)
    assert everything(outside) == before


# --- TLS --------------------------------------------------------------------------------------------------------


def listening() -> list[tuple[str, int]]:
    """Addresses that this process and those it started listen at."""
    import psutil

    me = psutil.Process()
    processes = [me, *me.children(recursive=True)]
    return [
        (c.laddr.ip, c.laddr.port)
        for p in processes
        for c in p.net_connections("inet")
        if c.status == "LISTEN" or (c.type == 2 and not c.raddr)
    ]


@pytest.mark.parametrize("kind", ["none", "tls"])
def test_nothing_listens_beyond_loopback(kind: str) -> None:
    """Scheduler, dashboard, nannies and workers of a local cluster: all processes, all sockets."""
    if kind == "tls":
        pytest.importorskip("cryptography")
    before = set(listening())
    with cluster.start("cpu", Size(2, 1, 2_000_000_000), security=kind) as client:
        found = set(listening()) - before
        scheme = "tls" if kind == "tls" else "tcp"
        assert {a.split("://")[0] for a in client.scheduler_info(n_workers=-1)["workers"]} == {scheme}
    assert len(found) >= 8  # scheduler and dashboard; nanny, worker and worker's pages, twice
    assert {ip for ip, _ in found} == {"127.0.0.1"}


def test_who_has_no_certificate_is_not_let_in(tmp_path: Path) -> None:
    pytest.importorskip("cryptography")
    from distributed.comm import connect

    size = Size(1, 1, 2_000_000_000)
    with security.temporary_files(tmp_path) as ours, security.temporary_files(tmp_path) as others:
        with cluster.start("cpu", size, security="tls", tls=ours) as client:
            address = client.scheduler.address
            assert client.submit(lambda: 42).result() == 42
            # In the clear, without any certificate, and with one that another authority signed.
            for how in (None, security.make(ClusterConfig(security="tls", tls=others))):
                arguments = how.get_connection_args("client") if how else {}
                for at in (address, address.replace("tls://", "tcp://")):
                    with pytest.raises((OSError, TypeError, RuntimeError)):
                        client.sync(connect, at, timeout=2, **arguments)
            arguments = security.make(ClusterConfig(security="tls", tls=ours)).get_connection_args("client")
            client.sync(connect, address, timeout=10, **arguments).abort()
            joined = {"kind": "address", "address": address}
            with cluster.start("cpu", size, security="tls", tls=ours, **joined) as second:
                assert second.submit(lambda: 43).result() == 43
            # A process of its own: after a client whose handshake failed, Dask may not start the next in the same one.
            file = tmp_path / "stranger.yaml"
            file.write_text(yaml.safe_dump({**joined, "security": "tls", "tls": others.model_dump()}))
            command = [
                sys.executable,
                "-m",
                "gridstride.pipeline.commands.main",
                "cluster",
                "check",
                "--cluster",
                str(file),
            ]
            said = subprocess.run(command, capture_output=True, text=True, timeout=120)
            file.unlink()
            assert said.returncode == 2, said.stderr
            assert re.search(r"no Dask scheduler answers at tls://.* with these cert", said.stderr)
        for path in (ours.key, ours.cert):
            assert Path(path).stat().st_mode & 0o077 == 0
    assert not list(tmp_path.iterdir())


def test_certificates_are_checked_before_anything_starts(tmp_path: Path) -> None:
    pytest.importorskip("cryptography")
    with security.temporary_files(tmp_path) as a, security.temporary_files(tmp_path) as b:
        good = {"ca": a.ca, "cert": a.cert, "key": a.key}
        file = tmp_path / "cluster.yaml"

        def refused(**changed: str) -> str:
            file.write_text(yaml.safe_dump({"kind": "local", "security": "tls", "tls": {**good, **changed}}))
            result = CliRunner().invoke(main, ["cluster", "check", "--cluster", str(file)])
            assert result.exit_code == 2
            assert "\n" not in result.output.strip()
            return result.output

        assert "tls.cert is /nowhere: there is no such file" in refused(cert="/nowhere")
        assert "do not match" in refused(key=b.key)
        assert "do not match" in refused(cert=a.key, key=a.cert)
        Path(a.key).chmod(0o644)
        assert "which others may read: chmod 600" in refused()


@pytest.mark.slow
def test_no_secret_is_written_beside_a_result(tmp_path: Path, store: Any) -> None:
    """Keys and settings of a cluster with TLS: in no file of OUT, and not in what is printed."""
    pytest.importorskip("cryptography")
    source, out = store(np.arange(64, dtype=np.uint8).reshape(8, 8), (4, 4)), tmp_path / "out"
    with security.temporary_files(tmp_path) as files:
        file = tmp_path / "cluster.yaml"
        content = {
            "kind": "local",
            "workers": 1,
            "security": "tls",
            "tls": files.model_dump(),
            "dask": {"my": {"token": "hunter2"}},
        }
        file.write_text(yaml.safe_dump(content))
        said = CliRunner().invoke(
            main, ["filter", "gaussian", source, str(out), "--sigma", "1", "--cluster", str(file), "--debug"]
        )
        assert said.exit_code == 0, said.output
        secrets = ["hunter2", "PRIVATE KEY", Path(files.key).read_text().splitlines()[1]]
    written = b"".join(data for data in everything(out).values() if data)
    for secret in secrets:
        assert secret.encode() not in written
        assert secret not in said.output
