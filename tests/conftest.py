"""What several test files use."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import hypothesis
import numpy as np
import pytest
import zarr

from gridstride.workers import compiling

pytest_plugins = ["kubernetes_server", "ssh_server", "slurm_server", "remote_jobs"]

# CI tries the same examples each time; everyone else keeps looking for new ones. A loaded machine may take its time.
hypothesis.settings.register_profile("ours", deadline=None, derandomize=bool(os.environ.get("CI")))
hypothesis.settings.load_profile("ours")


def pytest_configure() -> None:
    compiling.forget_stale()


# The files that take longest come first: of several workers, none is left alone with one of them at the end. The first
# compiles most kernels, while those after it mostly wait; then what needs the kernels comes.
LONG = ("test_twins.py", "test_faults", "test_resume.py", "test_simulation", "test_fluids_cuda", "test_scipy_replay.py",
        "test_registry.py")  # fmt: skip


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The order of files, which `--dist loadfile --no-loadscope-reorder` keeps."""
    places = {path: place(path) for path in {item.path for item in items}}
    items.sort(key=lambda item: places[item.path])


def place(path: Path) -> int:
    return next((i for i, name in enumerate(LONG) if path.name.startswith(name)), len(LONG))


@pytest.fixture
def default_hangup() -> Iterator[None]:
    """SIGHUP ends this process and those it starts, also where tests run under nohup."""
    before = signal.signal(signal.SIGHUP, signal.SIG_DFL)
    yield
    signal.signal(signal.SIGHUP, before)


@pytest.fixture
def store(tmp_path: Any) -> Any:
    """A function that writes an array to a new Zarr store and returns its path."""
    made = 0

    def make(array: np.ndarray, chunks: Any, name: str | None = None, **options: Any) -> str:
        nonlocal made
        made += 1
        path = tmp_path / (name or f"input{made}.zarr")
        node = zarr.create_array(str(path), shape=array.shape, chunks=chunks, dtype=array.dtype, **options)
        if array.size:
            node[...] = array
        return str(path)

    return make


@pytest.fixture(scope="session", autouse=True)
def kept_programs(tmp_path_factory: Any) -> Any:
    """What is kept of users' programs goes with the tests."""
    with pytest.MonkeyPatch.context() as patched:
        patched.setenv("GRIDSTRIDE_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield
