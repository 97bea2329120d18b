"""Warnings reach people on every way: the dry run, the run, Python, and the log of events."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import CliRunner
from flow_cases import DUCT

import gridstride
from gridstride.pipeline.commands.main import main
from gridstride.pipeline.errors import JobFailed
from gridstride.pipeline.events.events import read_events
from gridstride.workers.models.edac import watch

SHORT: dict[str, Any] = {  # a duct of a few cells, whose run ends before the flow is through
    **DUCT,
    "grid": {"cells": {"x": 40, "y": 16}, "size": {"x": 1.0, "y": 0.4}},
    "obstacles": [{"shape": "box", "low": {"x": 0.3, "y": 0.1}, "high": {"x": 0.6, "y": 0.325}}],
    "run": {"until": 0.3, "ramp": 0.2},
    "output": {"diagnostics": {"steps": 5}},
}
SAID = "run.until 0.3 is shorter than the flow takes through the grid, 1: "


def test_the_dry_run_gives_figures_and_warnings_and_writes_nothing(tmp_path: Path) -> None:
    (tmp_path / "case.yaml").write_text(yaml.safe_dump(SHORT))
    done = CliRunner().invoke(main, ["simulate", f"{tmp_path}/case.yaml", f"{tmp_path}/out.zarr", "--dry-run"])
    assert done.exit_code == 0
    plan = " ".join(done.stdout.replace("│", " ").split())
    assert "Reynolds number 100 (speed 1, mean of the inflow at x-; length 0.4; viscosity 0.004)" in plan
    assert "1 snapshots of u, v, p, 7.68 kB, and up to two checkpoints, 30.7 kB" in plan
    assert "estimate" in plan
    assert f"warning: {SAID}" in done.stderr
    assert not (tmp_path / "out.zarr").exists()


@pytest.mark.slow
def test_a_run_warns_in_python_and_in_the_log_and_says_what_came_of_it(tmp_path: Path) -> None:
    with pytest.warns(UserWarning, match="run.until 0.3 is shorter"):
        summary = gridstride.simulate(SHORT, tmp_path / "out.zarr", device="cpu", workers=1, quiet=True)
    assert any(line.startswith(SAID) for line in summary.warnings)
    assert summary.findings[0].startswith("still changing by ")
    assert summary.findings[1].startswith("drag coefficient ")
    assert "speed 1 (mean of the inflow at x-), length 0.225" in summary.findings[1]
    logged = [e for e in read_events(tmp_path / "out.zarr") if e["event"] == "case-warning"]
    assert [e["text"] for e in logged][: len(logged)] == summary.warnings[: len(logged)]
    with (tmp_path / "out.zarr" / "diagnostics.csv").open() as file:
        last = list(csv.DictReader(file))[-1]
    assert float(last["drag_coefficient"]) == pytest.approx(float(last["force_x"]) / (0.5 * 0.225))
    assert 0 < float(last["compressibility"]) < 0.1


@pytest.mark.slow
def test_a_run_ends_with_the_sample_that_its_model_stops_at(tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.setattr(watch, "TOO_COMPRESSIBLE", 1e-6)
    with (
        pytest.warns(UserWarning, match="run.until 0.3 is shorter"),
        pytest.raises(JobFailed, match=r"make fluid.mach smaller than 0.1; good from the beginning"),
    ):
        gridstride.simulate(SHORT, tmp_path / "out.zarr", device="cpu", workers=1, quiet=True)
    rows = (tmp_path / "out.zarr" / "diagnostics.csv").read_text().splitlines()
    assert 2 < len(rows) < 6  # the header, the start, and the sample that it stopped at among the first
