"""Disks that fill up, folders that can be written no more, chunks that are damaged: one line, and the same bytes after
the disk was mended."""

from __future__ import annotations

import errno
import os
import shutil
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import zarr

from gridstride.pipeline import api
from gridstride.pipeline import job as jobs
from gridstride.pipeline.errors import JobFailed
from gridstride.pipeline.options import RunOptions
from gridstride.pipeline.simulations import simulation
from gridstride.pipeline.simulations.case import load_case
from gridstride.pipeline.simulations.diagnostics import Diagnostics
from gridstride.pipeline.storage.journal import Journal
from gridstride.workers import cluster

pytestmark = pytest.mark.slow

CHUNKS, BLOCK = (8, 32, 32), (8, 64, 64)
BLOCKS = 12


@pytest.fixture(scope="module")
def client() -> Iterator[Any]:
    with cluster.start("cpu", cluster.Size(1, 2, 4_000_000_000)) as client:
        yield client


@pytest.fixture(scope="module")
def source(tmp_path_factory: Any) -> Path:
    path = tmp_path_factory.mktemp("in") / "in.zarr"
    array = np.random.default_rng(0).integers(0, 60000, (96, 64, 64)).astype(np.uint16)
    zarr.create_array(str(path), data=array, chunks=CHUNKS)
    return path


@pytest.fixture(scope="module")
def calm(source: Path, client: Any) -> dict[str, bytes]:
    out = source.with_name("calm.zarr")
    api.run(prepared(source, out), client)
    return chunks(out)


def prepared(source: Path, out: Path, chunks: Any = None, **changes: Any) -> Any:
    options = {"device": "cpu", "workers": 1, "block": BLOCK, "halos": "exchange", "ignore_disk": True, **changes}
    # Not compressed, so that the disk fills up where it should.
    layout = {"codec": "none", "chunks": chunks}
    return api.prepare("gaussian", source, out, sigma=1.0, **layout, options=RunOptions(**options))


def chunks(out: Path) -> dict[str, bytes]:
    return {str(p.relative_to(out)): p.read_bytes() for p in sorted((out / "c").rglob("*")) if p.is_file()}


def files(out: Path) -> dict[str, bytes]:
    """Every file of a result but for the journal."""
    found = (p for p in sorted(out.rglob("*")) if p.is_file() and ".gridstride" not in p.parts)
    return {str(p.relative_to(out)): p.read_bytes() for p in found}


@contextmanager
def small_disk(folder: Path, size: str) -> Iterator[Callable[..., None]]:
    """A file system in memory; what is given changes its options."""
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(folder)]
    if os.geteuid() != 0 or subprocess.run(command, capture_output=True).returncode:
        pytest.skip("needs root, and the right to mount a small file system")

    def change(options: str) -> None:
        subprocess.run(["mount", "-o", f"remount,{options}", str(folder)], check=True)

    try:
        yield change
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)


@pytest.mark.parametrize("halos", ["exchange", "read"])
def test_a_full_disk_ends_the_job_with_one_line_and_it_goes_on_later(
    halos: str, source: Path, calm: Any, client: Any, tmp_path: Path
) -> None:
    out = tmp_path / "disk" / "out.zarr"
    with small_disk(tmp_path / "disk", "500k") as change:
        with pytest.raises(JobFailed) as caught:
            api.run(prepared(source, out, halos=halos), client)
        line = str(caught.value)
        assert f"{out} cannot be written (No space left on device): free some space" in line
        assert "gridstride resume" in line
        assert "\n" not in line
        assert len(Journal(out).done()) < BLOCKS
        # Still full: the same line again, and nothing is lost.
        with pytest.raises(JobFailed, match="No space left on device"):
            api.run(jobs.resume(out, RunOptions(device="cpu", workers=1, ignore_disk=True, halos=halos)), client)
        change("size=4m")
        summary = api.run(jobs.resume(out, RunOptions(device="cpu", workers=1, halos=halos)), client)
        assert summary.failed == {}
        assert chunks(out) == calm
        assert not list(out.rglob("*.__lock"))


@pytest.mark.slow
def test_a_simulation_on_a_full_disk_goes_on_later(client: Any, tmp_path: Path, monkeypatch: Any) -> None:
    case = Path(__file__).parents[2] / "examples" / "cases" / "shear-layer.yaml"
    short = ["run.until=0.1", "output.snapshots.time=0.01", "output.checkpoints.time=0.05", "grid.cells.x=64"]
    short += ["grid.cells.y=64", "output.codec=none"]
    options: dict[str, Any] = {"device": "cpu", "workers": 1, "ignore_disk": True}
    simulation.run(simulation.prepare(load_case(case, short), tmp_path / "calm", RunOptions(**options)), client)
    out = tmp_path / "disk" / "out"
    with small_disk(tmp_path / "disk", "700k") as change:
        with pytest.raises(JobFailed, match=r"cannot be written \(No space left on device\): free some space"):
            simulation.run(simulation.prepare(load_case(case, short), out, RunOptions(**options)), client)
        assert (out / "zarr.json").is_file()
        change("size=8m")
        # The table of diagnostics is written by the client itself, as a plain file.
        full = OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        with monkeypatch.context() as patch:
            patch.setattr(Diagnostics, "flush", lambda self: (_ for _ in ()).throw(full))
            with pytest.raises(JobFailed, match=r"cannot be written \(No space left on device\)"):
                simulation.run(simulation.resume(out, RunOptions(**options)), client)
        simulation.run(simulation.resume(out, RunOptions(**options)), client)
        assert files(out) == files(tmp_path / "calm")


def when(done: int, out: Path, act: Callable[[], Any]) -> threading.Thread:
    """Does something once so many blocks are done."""

    def wait() -> None:
        deadline = time.monotonic() + 60
        while len(Journal(out).done()) < done and time.monotonic() < deadline:
            time.sleep(0.001)
        act()

    thread = threading.Thread(target=wait)
    thread.start()
    return thread


def slowly(client: Any) -> None:
    """Each block's write takes a little longer, so that something can happen meanwhile."""

    def patch() -> None:
        import time

        from gridstride.pipeline.storage.regions import Regions

        write = Regions.write
        if not hasattr(write, "slow"):

            def slow(self: Any, *args: Any) -> None:
                time.sleep(0.15)
                write(self, *args)

            slow.slow = True  # type: ignore[attr-defined]
            Regions.write = slow  # type: ignore[method-assign]

    client.run(patch)


@pytest.mark.slow
def test_an_output_that_becomes_read_only_ends_the_job(source: Path, calm: Any, client: Any, tmp_path: Path) -> None:
    out = tmp_path / "disk" / "out.zarr"
    slowly(client)
    with small_disk(tmp_path / "disk", "4m"):
        data = str(out / "c")

        def mount() -> None:
            # A whole disk with open files cannot be made read only by hand; the folder of the chunks can.
            subprocess.run(["mount", "--bind", data, data], check=True)
            subprocess.run(["mount", "-o", "remount,bind,ro", data], check=True)

        thread = when(3, out, mount)
        try:
            with pytest.raises(JobFailed, match=r"out\.zarr cannot be written \(Read-only file system\): make it"):
                api.run(prepared(source, out), client)
        finally:
            thread.join()
            subprocess.run(["umount", "-l", data], check=True)
        done = Journal(out).done()
        assert 3 <= len(done) < BLOCKS
        summary = api.run(jobs.resume(out, RunOptions(device="cpu", workers=1)), client)
        assert summary.failed == {}
        # What ran when the job ended may have been written since; the rest was not begun.
        assert len(done) <= summary.skipped <= len(done) + 2
        assert chunks(out) == calm


@pytest.mark.slow
def test_an_output_that_may_not_be_changed_ends_the_job(source: Path, calm: Any, client: Any, tmp_path: Path) -> None:
    """As a folder that its owner, or an administrator, takes away: root needs a flag of the file system for that."""
    out = tmp_path / "out.zarr"
    if shutil.which("chattr") is None or subprocess.run(["chattr", "+i", tmp_path], capture_output=True).returncode:
        pytest.skip("needs root and a file system with chattr +i")
    subprocess.run(["chattr", "-i", tmp_path], check=True)
    slowly(client)
    thread = when(3, out, lambda: subprocess.run(["chattr", "+i", Journal(out).blocks], check=True))
    try:
        with pytest.raises(
            JobFailed, match=r"out\.zarr cannot be written \(Operation not permitted\): make it writable"
        ):
            api.run(prepared(source, out), client)
        thread.join()
    finally:
        thread.join()
        subprocess.run(["chattr", "-i", Journal(out).blocks], check=True)
    assert 3 <= len(Journal(out).done()) < BLOCKS
    assert api.run(jobs.resume(out, RunOptions(device="cpu", workers=1)), client).failed == {}
    assert chunks(out) == calm


@pytest.mark.slow
@pytest.mark.parametrize("layout", ["compressed", "plain", "sharded"])
def test_a_truncated_chunk_is_named_and_the_other_blocks_are_written(
    layout: str, source: Path, calm: Any, client: Any, tmp_path: Path
) -> None:
    array = zarr.open_array(str(source))[:]
    kinds: dict[str, dict[str, Any]] = {
        "compressed": {},
        "plain": {"compressors": None},
        "sharded": {"chunks": (4, 16, 16), "shards": CHUNKS},
    }
    damaged = tmp_path / "in.zarr"
    zarr.create_array(str(damaged), data=array, **{"chunks": CHUNKS, **kinds[layout]})
    chunk = damaged / "c" / "11" / "1" / "1"
    whole = chunk.read_bytes()
    out = tmp_path / "out.zarr"
    for cut in (len(whole) - 1, len(whole) // 2, 0):
        chunk.write_bytes(whole[:cut])
        shutil.rmtree(out, ignore_errors=True)
        summary = api.run(prepared(damaged, out, chunks=CHUNKS), client)
        # The halo of 4 of block 10 takes it in too.
        assert sorted(summary.failed) == ["10.0.0", "11.0.0"]
        for reasons in summary.failed.values():
            assert len(reasons) == 1
            assert reasons[0].startswith("chunk c/11/1/1: ")
        assert summary.computed == BLOCKS - 2
    chunk.write_bytes(whole)
    summary = api.run(jobs.resume(out, RunOptions(device="cpu", workers=1)), client)
    assert (summary.computed, summary.skipped, summary.failed) == (2, BLOCKS - 2, {})
    assert chunks(out) == calm
