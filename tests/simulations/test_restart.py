"""A simulation that begins with another one's state goes on as that one would have."""

from __future__ import annotations

import csv
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import zarr

from gridstride.pipeline.errors import JobFailed, UsageError
from gridstride.pipeline.options import RunOptions
from gridstride.pipeline.reports.simulations import plan_lines
from gridstride.pipeline.simulations import recorder, simulation
from gridstride.pipeline.simulations.case import make_case
from gridstride.workers import cluster

OPTIONS = RunOptions(device="cpu", workers=1, memory=4_000_000_000)
POST: dict[str, Any] = {
    "grid": {"cells": {"x": 24, "y": 12}, "size": {"x": 2.0, "y": 1.0}, "origin": {"x": -0.5}},
    "fluid": {"viscosity": 0.02, "speed": 1.5, "mach": 0.2},
    "force": {"y": -1.0},
    "boundaries": {"x-": {"kind": "inflow", "velocity": {"x": 1.0}}, "x+": "outflow", "y": "wall"},
    "obstacles": [{"shape": "cylinder", "center": {"x": 0.0, "y": 0.48}, "radius": 0.15}],
    "run": {"until": 0.2},
    "output": {"snapshots": {"time": 0.1}, "diagnostics": {"steps": 1}, "chunks": {"x": 12, "y": 4}},
}
BOX: dict[str, Any] = {
    "grid": {"cells": {"x": 12, "y": 10, "z": 16}, "size": {"x": 1.0, "y": 1.0, "z": 1.0}},
    "fluid": {"viscosity": 0.01, "speed": 3.0},
    "boundaries": {"y": "slip"},
    "initial": {"problem": "uniform", "velocity": {"x": 0.5, "y": 0.1}},
    "obstacles": [{"shape": "sphere", "center": {"x": 0.5, "y": 0.5, "z": 0.0}, "radius": 0.2}],
    "run": {"until": 0.1, "precision": "double"},
    "output": {"snapshots": {"time": 0.05}, "diagnostics": {"steps": 1}, "chunks": {"z": 4}},
}
NOISE: dict[str, Any] = {
    "grid": {"cells": {"x": 20, "y": 22}, "size": {"x": 1.0, "y": 1.0}},
    "fluid": {"viscosity": 1e-3, "speed": 3.0},
    "initial": {"problem": "random", "peak": 3},
    "run": {"until": 0.1},
    "output": {"snapshots": {"time": 0.05}, "diagnostics": {"steps": 1}, "chunks": {"y": 8}},
}


@pytest.fixture(scope="module")
def client() -> Any:
    with cluster.start("cpu", cluster.Size(1, 1, 2_000_000_000)) as client:
        yield client


def run(content: dict[str, Any], out: Path, client: Any, blocks: int = 1) -> Path:
    simulation.run(simulation.prepare(make_case(content), out, OPTIONS, blocks), client)
    return out


def changed(content: dict[str, Any], **sections: Any) -> dict[str, Any]:
    return {**content, **{key: {**content.get(key, {}), **value} for key, value in sections.items()}}


def begins_with(path: Path, **more: Any) -> dict[str, Any]:
    return {"problem": "from-store", "path": str(path), **more}


def later(content: dict[str, Any], path: Path, until: float, **more: Any) -> dict[str, Any]:
    return {**changed(content, run={"until": until}), "initial": begins_with(path, **more)}


def rows(out: Path) -> list[list[str]]:
    with (out / "diagnostics.csv").open() as file:
        skipped = ("step", "time", "drag_coefficient", "lift_coefficient_y", "lift_coefficient_z")
        return [[value for name, value in row.items() if name not in skipped] for row in csv.DictReader(file)]


def last(out: Path, name: str, back: int = 1) -> np.ndarray:
    array: Any = zarr.open_array(str(out / name), mode="r")
    return array[-back]


@pytest.mark.parametrize("content", [POST, BOX, NOISE], ids=["post", "box", "noise"])
@pytest.mark.slow
def test_what_follows_is_what_would_have_followed(content: dict[str, Any], client: Any, tmp_path: Path) -> None:
    """To the bit: from the end of another run, and from a snapshot with its state."""
    until = content["run"]["until"]
    fields = ["velocity", "pressure", "state"]
    whole = run(changed(content, output={"fields": fields}), tmp_path / "whole.zarr", client)
    half = run(changed(content, run={"until": until / 2}), tmp_path / "half.zarr", client)
    ways = {"end": later(content, half, until / 2), "snapshot": later(content, whole, until / 2, time=until / 2)}
    for number, (name, case) in enumerate(ways.items()):
        out = run(case, tmp_path / f"{name}.zarr", client, 1 + number)
        for array in ("u", "v", "p"):
            np.testing.assert_array_equal(last(out, array), last(whole, array))
        kept = rows(whole)[-len(rows(out)) + 1 :]
        assert rows(out)[1:] == kept
        assert len(kept) > 4


@pytest.mark.slow
def test_begun_from_store_to_store(client: Any, tmp_path: Path) -> None:
    half = run(changed(BOX, run={"until": 0.05}), tmp_path / "half.zarr", client)
    one = run(later(BOX, half, 0.05), tmp_path / "one.zarr", client)
    done = simulation.prepare(make_case(later(BOX, half, 0.05)), tmp_path / "other.zarr", OPTIONS, None, True)
    simulation.run(replace(done, options=OPTIONS.but(block=(8, 10, 12))), client)
    np.testing.assert_array_equal(last(tmp_path / "other.zarr", "u"), last(one, "u"))


def test_a_solid_that_was_not_there_is_at_rest(client: Any, tmp_path: Path) -> None:
    first = run({**NOISE, "output": {"snapshots": {"time": 0.1}}}, tmp_path / "first.zarr", client)
    body = {"shape": "box", "low": {"x": 0.2, "y": 0.2}, "high": {"x": 0.6, "y": 0.6}}
    out = run({**later(NOISE, first, 0.05), "obstacles": [body]}, tmp_path / "out.zarr", client)
    begin: Any = zarr.open_array(str(out / "u"), mode="r")[0]
    assert not begin[5:10, 5:11].any()
    np.testing.assert_array_equal(begin[15:], last(first, "u")[15:])


def test_cell_centres_alone_are_refused_or_interpolated_with_a_word(client: Any, tmp_path: Path) -> None:
    first = run(NOISE, tmp_path / "first.zarr", client)
    with pytest.raises(
        UsageError,
        match=r"has velocities at cell centres alone at time 0.05, and .* loses energy: begin at its time 0.1, or "
        r"write it with state in output.fields, or accept that with initial.interpolate: true",
    ):
        simulation.prepare(make_case(later(NOISE, first, 0.05, time=0.05)), tmp_path / "out.zarr", OPTIONS)
    rough = later(NOISE, first, 0.05, time=0.05, interpolate=True)
    prepared = simulation.prepare(make_case(rough), tmp_path / "rough.zarr", OPTIONS)
    simulation.run(prepared, client)
    # Faces are means of cells and cells means of faces.
    u: Any = zarr.open_array(str(first / "u"), mode="r")[1]
    smooth = (np.roll(u, 1, -1) + 2 * u + np.roll(u, -1, -1)) / 4
    np.testing.assert_allclose(zarr.open_array(str(tmp_path / "rough.zarr/u"), mode="r")[0], smooth, atol=1e-6)
    energies = [float(row[0]) for row in rows(first)]
    lost = 1 - float(rows(tmp_path / "rough.zarr")[0][0]) / energies[len(energies) // 2]
    said = next(line for line in plan_lines(prepared) if line.startswith("begins with"))
    assert "first.zarr at its time 0.05, interpolated from cell centres, which loses" in said
    told = float(said.split("loses ")[1].split()[0])
    assert 0.05 < 0.8 * lost < told < 1.01 * lost
    # Where there is more, it is taken.
    exact = simulation.prepare(make_case(later(NOISE, first, 0.05, interpolate=True)), tmp_path / "e.zarr", OPTIONS)
    assert "at its time 0.1, exactly" in " ".join(plan_lines(exact))


@pytest.mark.parametrize("content", [POST, BOX, NOISE], ids=["post", "box", "noise"])
@pytest.mark.parametrize("fields", [["velocity", "pressure"], ["velocity", "pressure", "state"]], ids=["end", "state"])
@pytest.mark.slow
def test_a_snapshot_that_was_changed_is_what_is_begun_with(
    content: dict[str, Any], fields: list[str], client: Any, tmp_path: Path
) -> None:
    first = run(changed(content, output={"fields": fields}), tmp_path / "first.zarr", client)
    case = later(content, first, content["run"]["until"])
    p: Any = zarr.open_array(str(first / "p"), mode="r+")
    cell = (-1,) + (3,) * (p.ndim - 1)
    p[cell] += 1e-5 * np.abs(p[-1]).max()
    prepared = simulation.prepare(make_case(case), tmp_path / "out.zarr", OPTIONS)
    said = next(line for line in plan_lines(prepared) if line.startswith("begins with"))
    assert "interpolated from cell centres that were changed since they were written, which loses" in said
    simulation.run(prepared, client)
    begin: Any = zarr.open_array(str(tmp_path / "out.zarr" / "p"), mode="r")[0]
    np.testing.assert_allclose(begin, p[-1], atol=2e-6 * np.abs(p[-1]).max())
    p[cell] = np.nan
    spoilt = simulation.prepare(make_case(case), tmp_path / "spoilt.zarr", OPTIONS)
    assert "that were changed since they were written" in " ".join(plan_lines(spoilt))


def test_what_does_not_fit_is_refused(client: Any, tmp_path: Path) -> None:
    first = run(NOISE, tmp_path / "first.zarr", client)

    def refused(content: dict[str, Any], match: str) -> None:
        with pytest.raises(UsageError, match=match):
            simulation.prepare(make_case(content), tmp_path / "out.zarr", OPTIONS)
        assert not (tmp_path / "out.zarr").exists()

    case = later(NOISE, first, 0.05)
    refused(later(NOISE, first, 0.05, time=0.07), r"has no snapshot at time 0.07: expected one of 0, 0.05, 0.1")
    refused(changed(case, grid={"size": {"x": 2.0, "y": 1.0}}), r"from 0 to 1 along x: expected the case's own grid")
    refused(changed(case, grid={"cells": {"x": 20, "y": 20}}), r"22 x 20 cells \(y, x\): expected the case's own grid")
    heat = {"model": "heat", "diffusivity": 1.0, **{key: case[key] for key in ("grid", "run", "initial")}}
    refused(heat, "is of model edac: expected heat")
    with pytest.raises(UsageError, match=r"run.ramp is 0.1: .* the inflow .* would stop, and rise again: leave out"):
        make_case(changed(later(POST, first, 0.1), run={"ramp": 0.1}))


def test_a_store_that_goes_on_meanwhile_is_noticed(client: Any, tmp_path: Path, monkeypatch: Any) -> None:
    first = run(NOISE, tmp_path / "first.zarr", client)
    done = simulation.prepare(make_case(later(NOISE, first, 0.05)), tmp_path / "out.zarr", OPTIONS)
    check = recorder.check_unchanged

    def overtaken(out: str) -> None:
        state = next((first / ".gridstride").glob("state-*"))
        chunk = next(path for path in (state / "c").rglob("*") if path.is_file())
        chunk.write_bytes(chunk.read_bytes())
        check(out)

    monkeypatch.setattr(recorder, "check_unchanged", overtaken)
    with pytest.raises(JobFailed, match=r"first.zarr was written while .*out.zarr began with it: start again"):
        simulation.run(done, client)
