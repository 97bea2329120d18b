"""Slabs, store to store, restart and checkpoints know nothing of the physics: heat goes the same ways as a flow."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import zarr

from gridstride.pipeline.errors import JobFailed, UsageError
from gridstride.pipeline.options import RunOptions
from gridstride.pipeline.simulations import simulation
from gridstride.pipeline.simulations.case import make_case
from gridstride.workers import cluster

OPTIONS = RunOptions(device="cpu", workers=2, memory=4_000_000_000)
BOX: dict[str, Any] = {
    "name": "warm box",
    "model": "heat",
    "grid": {"cells": {"x": 12, "y": 10, "z": 24}, "size": {"x": 1.0, "y": 1.0, "z": 2.0}},
    "diffusivity": 0.1,
    "source": 0.5,
    "boundaries": {"x": "insulated", "z-": "insulated", "z+": {"kind": "fixed", "value": 1.0}},
    "initial": {"problem": "gaussian", "width": 0.3},
    "run": {"until": 0.2},
    "output": {
        "snapshots": {"time": 0.1},
        "diagnostics": {"steps": 10},
        "checkpoints": {"steps": 8},
        "chunks": {"x": 12, "y": 10, "z": 4},
    },
}


@pytest.fixture(scope="module")
def client() -> Any:
    with cluster.start("cpu", cluster.Size(2, 2, 4_000_000_000)) as client:
        yield client


def files(out: Path) -> dict[str, bytes]:
    found = (p for p in sorted(out.rglob("*")) if p.is_file() and ".gridstride" not in p.parts)
    return {str(file.relative_to(out)): file.read_bytes() for file in found if file != out / "zarr.json"}


def run(content: dict[str, Any], out: Path, client: Any, blocks: int | None = None) -> simulation.FlowSummary:
    return simulation.run(simulation.prepare(make_case(content), out, OPTIONS, blocks), client)


@pytest.mark.slow
@pytest.mark.parametrize("boundaries", [BOX["boundaries"], {}], ids=["faces", "periodic"])
def test_the_bytes_are_the_same_in_slabs_and_from_store_to_store(boundaries: Any, client: Any, tmp_path: Path) -> None:
    content = {**BOX, "boundaries": boundaries}
    summary = run(content, tmp_path / "one.zarr", client, 1)
    assert summary.last > 15
    for number, (blocks, substeps) in enumerate([(2, 3), (6, 2)]):
        out = tmp_path / f"{number}.zarr"
        run({**content, "run": {**content["run"], "substeps": substeps}}, out, client, blocks)
        assert files(out) == files(tmp_path / "one.zarr")
    done = simulation.prepare(make_case(content), tmp_path / "store.zarr", OPTIONS)
    plan = replace(done.plan, in_memory=False, substeps=4, edges=(0, 24))
    simulation.run(replace(done, plan=plan, options=OPTIONS.but(block=(8, 10, 12))), client)
    assert files(tmp_path / "store.zarr") == files(tmp_path / "one.zarr")
    u: Any = zarr.open_group(str(tmp_path / "one.zarr"), mode="r")["temperature"]
    assert u.shape == (3, 24, 10, 12)
    assert np.isfinite(u[...]).all()
    assert 0.2 < np.ptp(u[2]) < np.ptp(u[0])


@pytest.mark.slow
def test_a_run_begins_with_anothers_snapshot(client: Any, tmp_path: Path) -> None:
    run(BOX, tmp_path / "whole.zarr", client)
    later = {**BOX, "initial": {"problem": "from-store", "path": str(tmp_path / "whole.zarr"), "time": 0.1}}
    run({**later, "run": {"until": 0.1}}, tmp_path / "later.zarr", client, 2)
    whole, half = (zarr.open_group(str(tmp_path / name), mode="r") for name in ("whole.zarr", "later.zarr"))
    np.testing.assert_array_equal(half["temperature"][0], whole["temperature"][1])
    np.testing.assert_allclose(half["temperature"][-1], whole["temperature"][2], atol=1e-6)
    flow = {"grid": BOX["grid"], "fluid": {"viscosity": 0.1}, "run": {"until": 1.0}, "initial": later["initial"]}
    with pytest.raises(UsageError, match="is of model heat: expected edac"):
        simulation.prepare(make_case(flow), tmp_path / "flow.zarr", OPTIONS)


def test_a_model_s_limit_ends_the_run_in_one_line(client: Any, tmp_path: Path, monkeypatch: Any) -> None:
    from gridstride.workers.models.heat.case import HeatCase

    monkeypatch.setattr(HeatCase, "stable_step", lambda self: 1.0)
    content = {**BOX, "run": {"until": 400.0, "dt": 1.0}}
    with pytest.raises(
        JobFailed, match=r"blew up at step \d+: \|temperature\| is .* at cell x \d+, .* run.cfl smaller"
    ):
        run(content, tmp_path / "out.zarr", client)
