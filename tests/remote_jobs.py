"""Filter jobs on a local S3 server, for tests: fixtures (this is a plugin of `conftest`) and what goes with them."""

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
from click.testing import CliRunner
from object_stores import Server, s3_server

from gridstride.pipeline import api
from gridstride.pipeline.commands.main import main
from gridstride.pipeline.options import RunOptions
from gridstride.pipeline.storage import paths
from gridstride.pipeline.storage.create import create
from gridstride.pipeline.storage.journal import Journal
from gridstride.pipeline.storage.regions import open_regions
from gridstride.pipeline.storage.remote import Remote, parse
from gridstride.workers import cluster

SHAPE, CHUNKS, BLOCK = (48, 64, 64), (16, 16, 16), (16, 32, 32)
BLOCKS = 12
COMMAND = [sys.executable, "-m", "gridstride.pipeline.commands.main"]


@pytest.fixture(scope="session")
def s3_process() -> Iterator[Server]:
    """One for all files: what a process has open it knows by address, and another server would have the same."""
    with s3_server() as server:
        yield server


@pytest.fixture(scope="module")
def s3(s3_process: Server) -> Iterator[Server]:
    """The server, with its keys in the environment."""
    with pytest.MonkeyPatch.context() as patch:
        for name in [n for n in os.environ if n.startswith("AWS_")]:
            patch.delenv(name)
        for name, value in s3_process.environment.items():
            patch.setenv(name, value)
        yield s3_process


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
    api.run(prepared(folder / "in.zarr", folder / "out.zarr"), client)
    return folder / "out.zarr"


@pytest.fixture
def source(s3: Server, image: np.ndarray) -> str:
    s3.fail(0)
    where = parse("s3://data/in.zarr")
    where.clear()
    put(str(where), image)
    return str(where)


def put(where: str, array: np.ndarray) -> None:
    info = create(where, array.shape, array.dtype, CHUNKS)
    open_regions(info.path).write((0, 0, 0), array)


def prepared(source: Any, out: Any, **changes: Any) -> Any:
    options = {"device": "cpu", "workers": 1, "block": BLOCK, "halos": "exchange", **changes}
    return api.prepare("gaussian", source, out, sigma=1.5, options=RunOptions(**options))


def chunks(out: str | Path) -> dict[str, bytes]:
    """Every chunk of a result, by key."""
    root = paths.store_path(out)
    if isinstance(root, Path):
        return {str(p.relative_to(root)): p.read_bytes() for p in sorted((root / "c").rglob("*")) if p.is_file()}
    keys = [f"c/{i}/{j}/{k}" for i, j, k in np.ndindex(3, 4, 4)]
    return {key: (root / key).read_bytes() for key in keys}


def out_of(name: str) -> str:
    parse(f"s3://data/{name}").clear()
    return f"s3://data/{name}"


def gridstride(*arguments: Any) -> Any:
    return CliRunner().invoke(main, [str(a) for a in arguments])


def kill_in_the_sweep(out: str, runs: list[tuple[int, list[str]]]) -> None:
    """Run each command until so many blocks are written, and kill it."""
    journal = Journal(out)
    for wanted, command in runs:
        process = subprocess.Popen([*COMMAND, *command], start_new_session=True)
        while process.poll() is None and len(journal.done()) < wanted:
            time.sleep(0.01)
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    assert (journal.folder / "lock").is_file(), "the killed client left its lock"
    assert wanted <= len(journal.done()) < BLOCKS, "the last kill fell out of the sweep: the test proves too little"


def assert_puts_are_conditional(file: Remote) -> None:
    """Of an object that is not there yet: put where there is none, and after a tag, once each."""
    assert file.write_bytes(b"1", after="")
    assert not file.write_bytes(b"2", after="")
    tag = file.head().tag
    assert file.write_bytes(b"3", after=tag)
    assert not file.write_bytes(b"4", after=tag)
    assert file.read_bytes() == b"3"
