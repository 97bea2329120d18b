"""Every kind of operator from Zarr to Zarr: ranks, boxes, two sweeps, channels, chains; cut, killed and resumed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import zarr
from scipy import ndimage
from skimage.filters import threshold_otsu

from gridstride.pipeline import api
from gridstride.pipeline import job as jobs
from gridstride.pipeline.options import RunOptions
from gridstride.pipeline.planning import blocks
from gridstride.pipeline.storage.journal import Journal
from gridstride.workers import cluster

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def client() -> Any:
    with cluster.start("cpu", cluster.Size(2, 1, 4_000_000_000)) as client:
        yield client


@pytest.fixture
def image() -> np.ndarray:
    rng = np.random.default_rng(4)
    blobs = ndimage.gaussian_filter((rng.random((40, 50, 45)) > 0.999).astype(float), 3)
    return (2000 + 40000 * blobs / blobs.max() + 500 * rng.random(blobs.shape)).astype(np.uint16)


def result(job: Any, client: Any) -> np.ndarray:
    summary = api.run(job, client)
    assert (summary.computed, summary.failed) == (summary.plan.blocks, {})
    return zarr.open_array(str(job.out), mode="r")[...]


@pytest.mark.parametrize("halos", ["exchange", "read"])
def test_median(image: np.ndarray, store: Any, tmp_path: Path, client: Any, halos: str) -> None:
    options = RunOptions(device="cpu", block=(16, 16, 48), halos=halos)
    job = api.prepare(
        "median", store(image, (8, 16, 16)), tmp_path / "out", size=[3, 5, 3], mode="wrap", options=options
    )
    assert job.plan.halos == halos
    np.testing.assert_array_equal(result(job, client), ndimage.median_filter(image, (3, 5, 3), mode="wrap"))


def test_downsample_reads_its_own_boxes(image: np.ndarray, store: Any, tmp_path: Path, client: Any) -> None:
    options = RunOptions(device="cpu", block=(8, 8, 23))
    source = store(image, (8, 16, 16))
    job = api.prepare(
        "downsample", source, tmp_path / "out", factors=[2, 3, 2], method="max", chunks=(4, 8, 8), options=options
    )
    assert (job.plan.halos, job.plan.blocks) == ("read", 9)
    padded = np.pad(image, [(0, -n % f) for n, f in zip(image.shape, (2, 3, 2), strict=True)])
    boxes = padded.reshape(20, 2, 17, 3, 23, 2).max(axis=(1, 3, 5))
    np.testing.assert_array_equal(result(job, client), boxes)


@pytest.mark.parametrize("smoothed", [False, True])
def test_otsus_threshold_takes_two_sweeps_and_resumes_in_either(
    image: np.ndarray, store: Any, tmp_path: Path, client: Any, smoothed: bool, monkeypatch: Any
) -> None:
    monkeypatch.setattr(blocks, "SMALLEST_USEFUL_BLOCK", 50_000)  # several blocks in the first sweep too
    steps: Any = [("gaussian", {"sigma": 1.5})] * smoothed + [("threshold", {"method": "otsu"})]
    source, options = store(image, (8, 16, 16)), RunOptions(device="cpu", block=(16, 32, 48))
    job = api.prepare(steps, source, tmp_path / "out", options=options)
    whole = result(job, client)
    before = image
    if smoothed:
        calm = api.prepare("gaussian", source, tmp_path / "smooth", sigma=1.5, options=RunOptions(device="cpu"))
        before = result(calm, client)
    assert whole.dtype == bool
    np.testing.assert_array_equal(whole, before > threshold_otsu(before))
    # Killed in the first sweep, and in the second.
    first, last = Journal(tmp_path / "out", "first-0"), Journal(tmp_path / "out")
    assert len(first.done()) > 1
    monkeypatch.setattr(blocks, "SMALLEST_USEFUL_BLOCK", 10_000)  # and other ones, if the planner had its way again
    for journal in (first, last):
        names = sorted(journal.markers())
        for name in names[::2]:
            (journal.blocks / name).unlink()
        for name in sorted(last.markers())[:1]:
            (last.blocks / name).unlink()
        summary = api.run(jobs.resume(tmp_path / "out", RunOptions(device="cpu")), client)
        assert (summary.failed, summary.computed > 0) == ({}, True)
        np.testing.assert_array_equal(zarr.open_array(str(tmp_path / "out"), mode="r")[...], whole)


@pytest.mark.parametrize("halos", ["exchange", "read"])
def test_a_chain_has_the_bytes_of_its_operators_one_after_another(
    image: np.ndarray, store: Any, tmp_path: Path, client: Any, halos: str
) -> None:
    source = store(image, (8, 16, 16))
    steps: Any = [
        ("median", {"size": 3, "mode": "mirror"}),
        ("gaussian", {"sigma": [1.0, 1.5, 0.8], "mode": "wrap"}),
        ("sobel", {"axis": 1, "mode": "nearest", "dtype": "float32"}),
    ]
    after = source
    for number, (name, terms) in enumerate(steps):
        out = tmp_path / str(number)
        result(api.prepare(name, after, out, options=RunOptions(device="cpu", block=(16, 32, 48)), **terms), client)
        after = str(out)
    job = api.prepare(
        steps, source, tmp_path / "chain", options=RunOptions(device="cpu", block=(16, 16, 32), halos=halos)
    )
    assert job.plan.halos == halos
    chained = result(job, client)
    np.testing.assert_array_equal(chained, zarr.open_array(after, mode="r")[...])
    assert chained.dtype == np.float32
