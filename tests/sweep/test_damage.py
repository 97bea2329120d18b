"""What once did damage: channels that were cut, tasks of a replaced job, results marked before they were on disk."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import zarr
from scipy import ndimage

from gridstride.pipeline import api
from gridstride.pipeline.errors import UsageError
from gridstride.pipeline.job import make_job
from gridstride.pipeline.options import RunOptions
from gridstride.pipeline.planning import blocks
from gridstride.pipeline.storage.journal import Journal
from gridstride.pipeline.storage.regions import Regions, open_regions
from gridstride.pipeline.sweep import block_task
from gridstride.workers import cluster
from gridstride.workers.device import _visible_gpus


@pytest.fixture(scope="module")
def client() -> Any:
    with cluster.start("cpu", cluster.Size(1, 2, 4_000_000_000)) as client:
        yield client


@pytest.mark.parametrize("halos", ["exchange", "read"])
def test_as_many_outputs_as_inputs_leave_channels_whole(
    store: Any, tmp_path: Path, client: Any, monkeypatch: Any, halos: str
) -> None:
    """With the default block shape, where the planner is free to cut any axis."""
    monkeypatch.setattr(blocks, "LARGEST_BLOCK", 60_000)
    rng = np.random.default_rng(1)
    array, kernel = rng.normal(size=(3, 160, 150)).astype(np.float32), rng.normal(size=(3, 3, 3, 3))
    source = store(array, (1, 32, 32), dimension_names=["c", "y", "x"])
    options = RunOptions(device="cpu", halos=halos)
    job = api.prepare(
        "correlate", source, tmp_path / "out", kernel=kernel, channels="c", precision="double", dtype="float64",
        options=options,
    )  # fmt: skip
    assert job.plan.blocks > 1
    assert job.plan.grid[0] == 1
    assert api.run(job, client).failed == {}
    wanted = [sum(ndimage.correlate(array[c].astype(float), kernel[o, c]) for c in range(3)) for o in range(3)]
    np.testing.assert_allclose(zarr.open_array(str(tmp_path / "out"))[...], wanted, rtol=1e-12, atol=1e-12)
    with pytest.raises(UsageError, match="must have whole"):
        api.prepare(
            "correlate",
            source,
            tmp_path / "cut",
            kernel=kernel,
            channels="c",
            options=options.but(block=(1, 32, 32)),
        )


def test_a_task_of_a_replaced_job_writes_nothing(store: Any, tmp_path: Path, client: Any) -> None:
    """A client dies on a joined cluster; its task runs on while another job takes the output."""
    array = np.random.default_rng(0).random((32, 16)).astype(np.float32)
    source, out = store(array, (8, 16)), tmp_path / "out"

    def job(sigma: float, overwrite: bool = False) -> Any:
        options = RunOptions(device="cpu", block=(8, 16), overwrite=overwrite)
        return make_job([("gaussian", {"sigma": sigma})], source, out, options=options)

    api.run(job(0.5), client)
    old = block_task.open_work(str(out.resolve()), "", "old run")
    Journal(out).marker((1, 0)).unlink()
    api.run(job(0.8, overwrite=True), client)
    with pytest.raises(block_task.JobReplaced, match="belongs to another job"):
        block_task.compute_boxes(old.out, "", "old run", [((1, 0), (1, 0))])
    np.testing.assert_allclose(zarr.open_array(str(out))[...], ndimage.gaussian_filter(array, 0.8), rtol=1e-5)
    assert len(Journal(out).done()) == 4


def test_zarr_pythons_chunks_are_on_disk_before_a_write_returns(tmp_path: Path, monkeypatch: Any) -> None:
    zarr.create_array(str(tmp_path / "a"), shape=(8, 8), chunks=(4, 4), dtype="f4")
    array = Regions(str(tmp_path / "a"))
    array.engine, array._array = "zarr-python", zarr.open_array(str(tmp_path / "a"), mode="r+")
    synced: list[str] = []
    fsync = os.fsync

    def watched(handle: int) -> None:
        synced.append(str(Path(f"/proc/self/fd/{handle}").readlink().relative_to(tmp_path / "a")))
        fsync(handle)

    monkeypatch.setattr(os, "fsync", watched)
    array.write((4, 0), np.ones((4, 8), np.float32))
    assert sorted(synced) == ["c/1/0", "c/1/1"]
    assert open_regions(str(tmp_path / "a")).read((4, 0), (8, 8)).all()


class Nvml:
    """As pynvml, for a machine of four GPUs."""

    nvmlDeviceGetCount = staticmethod(lambda: 4)
    nvmlDeviceGetHandleByIndex = staticmethod(lambda number: number)
    nvmlDeviceGetUUID = staticmethod(lambda number: f"GPU-{'abcd'[number]}0f")


@pytest.mark.parametrize(
    ("visible", "handles"),
    [(None, [0, 1, 2, 3]), ("2,0", [2, 0]), ("GPU-b0f", [1]), ("GPU-c", [2]), ("1,9,0", [1]), ("3, 1", [3, 1])],
)
def test_only_visible_gpus_are_asked_for_their_memory(visible: Any, handles: Any, monkeypatch: Any) -> None:
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    if visible is not None:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    assert _visible_gpus(Nvml) == handles
