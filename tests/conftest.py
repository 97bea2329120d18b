"""What several test files use."""

from __future__ import annotations

import os
from typing import Any

import hypothesis
import numpy as np
import pytest
import zarr

pytest_plugins = ["kubernetes_server", "ssh_server", "slurm_server", "remote_jobs"]

# CI tries the same examples each time; everyone else keeps looking for new ones. A loaded machine may take its time.
hypothesis.settings.register_profile("ours", deadline=None, derandomize=bool(os.environ.get("CI")))
hypothesis.settings.load_profile("ours")


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
