"""What a simulation reads belongs to it: a mask or a source that was changed between runs is refused."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import zarr
from flow_stores import CHANNEL

from gridstride.pipeline.errors import UsageError
from gridstride.pipeline.options import RunOptions
from gridstride.pipeline.simulations import simulation
from gridstride.pipeline.simulations.case import make_case
from gridstride.pipeline.simulations.job import identity
from gridstride.workers import cluster

OPTIONS = RunOptions(device="cpu", workers=1, memory=4_000_000_000)


@pytest.fixture(scope="module")
def client() -> Any:
    with cluster.start("cpu", cluster.Size(1, 1, 2_000_000_000)) as client:
        yield client


def run(content: dict[str, Any], out: Path, client: Any) -> simulation.FlowSummary:
    return simulation.run(simulation.prepare(make_case(content), out, OPTIONS), client)


def write_mask(path: Path, solid: np.ndarray) -> None:
    if path.suffix == ".npy":
        np.save(path, solid)
        return
    shutil.rmtree(path, ignore_errors=True)
    zarr.create_array(str(path), data=solid, chunks=(4, 4))


@pytest.mark.parametrize("kind", ["npy", "zarr"])
def test_a_mask_that_was_changed_is_refused(kind: str, client: Any, tmp_path: Path) -> None:
    path, out = tmp_path / f"mask.{kind}", tmp_path / "out.zarr"
    solid = np.zeros((12, 16))
    solid[4:6, 6:8] = 1
    write_mask(path, solid)
    content = {**CHANNEL, "obstacles": [{"shape": "mask", "path": str(path)}]}
    run(content, out, client)
    assert simulation.prepare(make_case(content), out, OPTIONS).timeline.last > 0  # as it was, it goes on
    solid[5, 7] = 0.5
    write_mask(path, solid)
    with pytest.raises(UsageError, match=r"what obstacles.0.path names has changed since .*: use --overwrite"):
        simulation.prepare(make_case(content), out, OPTIONS)
    with pytest.raises(UsageError, match="has changed since"):
        simulation.resume(out, OPTIONS)


def test_chunks_of_a_mask_that_are_absent_are_said(tmp_path: Path) -> None:
    path, out = tmp_path / "mask.zarr", tmp_path / "out.zarr"
    solid = np.zeros((12, 16))
    solid[4:6, 6:8] = 1
    write_mask(path, solid)
    case = make_case({**CHANNEL, "obstacles": [{"shape": "mask", "path": str(path)}]})
    said = "obstacles.0.path: input: 11 of 12 chunks absent, read as fill value 0.0"
    assert said in simulation.prepare(case, out, OPTIONS).warnings
    with pytest.raises(UsageError, match="11 of 12 chunks absent, such as c/0/0"):
        simulation.prepare(case, out, OPTIONS.but(missing="error"))
    (path / "c/1/1").rename(path / "c/1/9")
    with pytest.raises(UsageError, match="none of its chunks is where its metadata says"):
        simulation.prepare(case, out, OPTIONS)


def test_a_run_that_was_begun_before_inputs_counted_is_resumed(client: Any, tmp_path: Path) -> None:
    path, out = tmp_path / "mask.npy", tmp_path / "out.zarr"
    write_mask(path, np.zeros((12, 16)))
    run({**CHANNEL, "obstacles": [{"shape": "mask", "path": str(path)}]}, out, client)
    job = out / ".gridstride" / "job.json"
    record = json.loads(job.read_text())
    del record["identity"]["inputs"]
    job.write_text(json.dumps(record))
    assert simulation.resume(out, OPTIONS).timeline.last > 0


def test_a_source_that_was_changed_is_refused_and_one_that_is_gone_is_not_needed(client: Any, tmp_path: Path) -> None:
    first, out = tmp_path / "first.zarr", tmp_path / "out.zarr"
    run(CHANNEL, first, client)
    content = {**CHANNEL, "initial": {"problem": "from-store", "path": str(first), "time": 0.1, "interpolate": True}}
    run(content, out, client)
    simulation.resume(out, OPTIONS)
    zarr.open_array(str(first / "u"))[2] = 0.0  # another snapshot: of no concern
    simulation.resume(out, OPTIONS)
    zarr.open_array(str(first / "u"))[1] = 0.0
    with pytest.raises(UsageError, match=r"what initial.path names has changed since .*: use --overwrite"):
        simulation.resume(out, OPTIONS)
    shutil.rmtree(first)
    begun = simulation.resume(out, OPTIONS).begins_with
    assert begun is not None
    assert begun.snapshot == 1


def test_a_case_without_inputs_has_the_identity_it_always_had(tmp_path: Path) -> None:
    """So that a run that was begun by an earlier version can be resumed."""
    found = identity(simulation.prepare(make_case(CHANNEL), tmp_path / "out.zarr", OPTIONS))
    assert set(found) == {"result_version", "case", "device"}
    assert "model" not in found["case"]
