"""Jobs on a cluster of real GPUs, end to end: right, resumable, in too little memory, and two at once."""

from __future__ import annotations

import hashlib
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import zarr
from scipy import ndimage

import gridstride
from gridstride.pipeline import api
from gridstride.pipeline.job import RunOptions
from gridstride.pipeline.storage.journal import Journal
from gridstride.workers import cluster, device


def missing() -> str:
    """Why there can be no GPU cluster here; nothing if there can. (CuPy is not asked: that would make a context.)"""
    try:
        device.resolve("gpu")
    except ValueError as error:
        return str(error)
    return ""


pytestmark = [pytest.mark.gpu, pytest.mark.skipif(bool(missing()), reason=missing()), pytest.mark.slow]

BLOCK = (64, 64, 64)


@pytest.fixture(scope="module")
def cells() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 60000, (160, 140, 150)).astype(np.uint16)


@pytest.fixture
def cluster_file(tmp_path: Path) -> str:
    """One GPU, whose memory is left to CuPy: nothing is reserved."""
    path = tmp_path / "cluster.yaml"
    path.write_text("kind: local-cuda\nworkers: 1\nthreads: 4\nrmm_pool: 0\n")
    return str(path)


def digest(out: Path) -> str:
    """A hash of every file of the result, names and bytes, but for the journal."""
    total = hashlib.sha256()
    for file in sorted(p for p in out.rglob("*") if p.is_file() and ".gridstride" not in p.parts):
        total.update(str(file.relative_to(out)).encode() + file.read_bytes())
    return total.hexdigest()


@pytest.mark.parametrize("mode", ["reflect", "mirror", "nearest", "wrap", "constant"])
def test_gaussian_is_scipys(store: Any, tmp_path: Path, cells: np.ndarray, cluster_file: str, mode: str) -> None:
    source, out = store(cells, (32, 32, 32)), tmp_path / "out.zarr"
    options = {"mode": mode, "dtype": "float32", "block": BLOCK, "cluster": cluster_file}
    summary = gridstride.gaussian(source, out, 2.0, device="gpu", **options)
    assert (summary.device, summary.computed, summary.failed, summary.retried) == ("gpu", 27, {}, 0)
    assert {"upload", "kernel", "download"} <= set(summary.stages)
    wanted = ndimage.gaussian_filter(cells.astype(np.float64), 2.0, mode=mode)
    # Three passes of 17 taps, in float32.
    np.testing.assert_allclose(zarr.open_array(out)[:], wanted, rtol=0, atol=60000 * 60 * 2.0**-24)


def test_in_float64_the_bits_are_scipys(store: Any, tmp_path: Path, cells: np.ndarray, cluster_file: str) -> None:
    source, out = store(cells, (32, 32, 32)), tmp_path / "out.zarr"
    options = {"dtype": "float64", "precision": "double", "block": BLOCK, "cluster": cluster_file}
    gridstride.gaussian(source, out, 1.5, device="gpu", **options)
    np.testing.assert_array_equal(zarr.open_array(out)[:], ndimage.gaussian_filter(cells.astype(np.float64), 1.5))


def test_a_dense_kernel_and_an_fft(store: Any, tmp_path: Path, cells: np.ndarray, cluster_file: str) -> None:
    source = store(cells, (32, 32, 32))
    kernel = np.random.default_rng(1).random((3, 4, 5))
    wanted = ndimage.convolve(cells.astype(np.float64), kernel, mode="mirror")
    for algorithm in ("direct", "fft"):
        out = tmp_path / algorithm
        options = {"mode": "mirror", "dtype": "float64", "precision": "double", "cluster": cluster_file}
        gridstride.convolve(source, out, kernel, algorithm=algorithm, device="gpu", block=BLOCK, **options)
        np.testing.assert_allclose(zarr.open_array(out)[:], wanted, rtol=0, atol=1e-6, err_msg=algorithm)


def test_the_cluster_that_comes_by_default(store: Any, tmp_path: Path, cells: np.ndarray) -> None:
    """With what cluster.yaml reserves, where RMM is installed, and blocks of the planner's choice."""
    source, out = store(cells, (32, 32, 32)), tmp_path / "out.zarr"
    summary = gridstride.gaussian(source, out, 1.0, dtype="float32", device="gpu")
    assert not summary.failed
    wanted = ndimage.gaussian_filter(cells.astype(np.float64), 1.0)
    np.testing.assert_allclose(zarr.open_array(out)[:], wanted, rtol=0, atol=60000 * 40 * 2.0**-24)


def test_resumed_the_bytes_are_the_same(store: Any, tmp_path: Path, cells: np.ndarray, cluster_file: str) -> None:
    source, out = store(cells, (32, 32, 32)), tmp_path / "out.zarr"
    options = {"dtype": "float32", "block": BLOCK, "chunks": BLOCK, "cluster": cluster_file}
    gridstride.gaussian(source, out, 2.0, device="gpu", **options)
    expected = digest(out)
    for index in ((0, 0, 0), (1, 2, 1), (2, 2, 2)):
        Journal(out).marker(index).unlink()
        out.joinpath("c", *map(str, index)).unlink()
    assert digest(out) != expected
    summary = gridstride.resume(out, device="gpu", cluster=cluster_file)
    assert (summary.computed, summary.skipped, summary.failed) == (3, 24, {})
    assert digest(out) == expected


def splits() -> int:
    from gridstride.workers import device

    return device.places.splits


def test_in_too_little_memory_blocks_are_cut_and_the_bytes_are_the_same(
    store: Any, tmp_path: Path, cells: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = store(cells, (32, 32, 32))
    results = {}
    for limit in (None, 1_500_000):
        if limit:
            # Read by CuPy in the workers. A block with its halo and its result are 2 MB, sums aside.
            monkeypatch.setenv("CUPY_GPU_MEMORY_LIMIT", str(limit))
        out = tmp_path / f"out-{limit}.zarr"
        options = RunOptions(device="gpu", block=BLOCK, workers=1)
        prepared = api.prepare("gaussian", source, out, sigma=2.0, dtype="float32", options=options)
        with cluster.start("gpu", prepared.size, rmm_pool=0) as client:
            summary = api.run(prepared, client)
            cut = sum(client.run(splits).values())
        assert (summary.computed, summary.failed, summary.retried) == (27, {}, 0)
        assert (cut > 0) == bool(limit)
        results[limit] = zarr.open_array(out)[:]
    np.testing.assert_array_equal(results[None], results[1_500_000])


def test_two_jobs_at_once_on_one_gpu(store: Any, tmp_path: Path, cells: np.ndarray, cluster_file: str) -> None:
    source = store(cells, (32, 32, 32))
    command = [sys.executable, "-m", "gridstride.pipeline.commands.main", "filter", "gaussian", source]
    options = ["--sigma", "2", "--dtype", "float32", "--block", "64,64,64", "--device", "gpu", "--quiet"]
    options += ["--cluster", cluster_file]
    outs = [tmp_path / name for name in ("one.zarr", "two.zarr")]
    running = [
        subprocess.Popen([*command, str(out), *options], stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        for out in outs
    ]
    for process in running:
        text = process.communicate(timeout=300)[0].decode()
        assert process.returncode == 0, text
    wanted = ndimage.gaussian_filter(cells.astype(np.float64), 2.0)
    for out in outs:
        np.testing.assert_allclose(zarr.open_array(out)[:], wanted, rtol=0, atol=60000 * 60 * 2.0**-24)
