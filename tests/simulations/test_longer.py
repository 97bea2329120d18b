"""Simulations that are made longer: the bytes of a run that was so long from the beginning."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import zarr
from click.testing import CliRunner
from flow_stores import CHANNEL
from test_simulation import VORTEX, assert_same_files, case, from_store_to_store, options, prepared

import gridstride
from gridstride.pipeline.commands.main import main
from gridstride.pipeline.errors import UsageError
from gridstride.pipeline.events.events import read_events
from gridstride.pipeline.reports.status import status
from gridstride.pipeline.simulations import simulation
from gridstride.pipeline.simulations import store as flow_store
from gridstride.pipeline.simulations.recorder import Recorder
from gridstride.pipeline.simulations.states import read_checkpoint
from gridstride.workers import cluster

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def client() -> Any:
    with cluster.start("cpu", cluster.Size(2, 2, 4_000_000_000)) as client:
        yield client


def everything(out: Path) -> dict[str, bytes]:
    """Every file of the result but for the journal, attributes included."""
    return {
        str(file.relative_to(out)): file.read_bytes()
        for file in sorted(out.rglob("*"))
        if file.is_file() and ".gridstride" not in file.parts
    }


def short_run(out: Path, client: Any, until: float = 0.4, **output: Any) -> None:
    content = {**VORTEX, "output": {**VORTEX["output"], **output}}
    simulation.run(prepared(case(content, until=until), out, 2), client)


@pytest.fixture(scope="module")
def at_once(client: Any, tmp_path_factory: Any) -> dict[str, bytes]:
    out = tmp_path_factory.mktemp("at once") / "out.zarr"
    simulation.run(prepared(case(until=1.2), out, 2), client)
    return everything(out)


@pytest.mark.parametrize("way", ["memory", "another file", "store to store", "twice"])
def test_the_bytes_are_those_of_one_run(way: str, client: Any, at_once: dict[str, bytes], tmp_path: Path) -> None:
    out = tmp_path / "out.zarr"
    short_run(out, client)
    if way == "twice":
        simulation.run(simulation.resume(out, options(), 0.8), client)
    longer = simulation.resume(out, options(), 1.2)
    if way == "another file":
        longer = prepared(case(until=1.2), out)
    if way == "store to store":
        longer = from_store_to_store(longer, 4, (8, 10, 12))
    summary = simulation.run(longer, client)
    assert summary.first > 0
    assert summary.last == longer.timeline.last
    assert_same_files(at_once, everything(out))
    runs = [e["event"] for e in read_events(out / ".gridstride") if e["event"] in ("started", "resumed", "finished")]
    assert runs == ["started", "finished"] + ["resumed", "finished"] * (2 if way == "twice" else 1)
    found = status(out)
    assert (found.state, found.done, found.total) == ("finished", summary.last, summary.last)
    with pytest.raises(UsageError, match=r"is a run to t = 1.2: run.until 0.8 is before that"):
        simulation.resume(out, options(), 0.8)


def test_a_longer_run_that_is_killed_goes_on(
    client: Any, at_once: dict[str, bytes], tmp_path: Path, monkeypatch: Any
) -> None:
    out, take = tmp_path / "out.zarr", Recorder.take
    short_run(out, client)
    first = read_checkpoint(out)

    def die(self: Recorder, step: int, *more: Any) -> None:
        take(self, step, *more)
        if first is not None and step > first.step + 12:
            raise KeyboardInterrupt

    monkeypatch.setattr(Recorder, "take", die)
    with pytest.raises(KeyboardInterrupt):
        simulation.run(simulation.resume(out, options(), 1.2), client)
    monkeypatch.undo()
    simulation.run(simulation.resume(out, options()), client)
    assert_same_files(at_once, everything(out))


def test_a_layout_that_is_killed_while_it_grows_is_completed(
    client: Any, at_once: dict[str, bytes], tmp_path: Path, monkeypatch: Any
) -> None:
    out, write, left = tmp_path / "out.zarr", flow_store.durable_write, iter(range(200))
    short_run(out, client)
    killed = 0

    def die(path: Any, data: bytes) -> None:
        if next(left) % 5 == 4:
            raise KeyboardInterrupt
        write(path, data)

    monkeypatch.setattr(flow_store, "durable_write", die)
    while True:
        try:
            simulation.run(simulation.resume(out, options(), 1.2), client)
            break
        except KeyboardInterrupt:
            killed += 1
    assert killed > 3
    assert_same_files(at_once, everything(out))


def test_an_end_between_two_snapshots_stays_one(client: Any, tmp_path: Path) -> None:
    out = tmp_path / "out.zarr"
    short_run(out, client, until=0.5)
    before = zarr.open_group(str(out), mode="r")
    end, flow = float(before["time"][-1]), before["u"][-1]
    longer = simulation.resume(out, options(), 0.8)
    simulation.run(longer, client)
    group = zarr.open_group(str(out), mode="r")
    np.testing.assert_allclose(group["time"][...], [0, 0.4, end, 0.8], atol=longer.timeline.dt / 2)
    np.testing.assert_array_equal(group["u"][2], flow)
    assert np.isfinite(group["u"][...]).all()
    assert np.isfinite(group["diagnostics/kinetic_energy"][...]).all()


def test_what_cannot_be_made_longer_is_one_line(store: Any, tmp_path: Path) -> None:
    source, filtered = store(np.zeros((4, 4)), (4, 4)), tmp_path / "filtered.zarr"
    gridstride.uniform(source, filtered, 3, device="cpu", workers=1, quiet=True)
    with pytest.raises(UsageError, match="is not the output of a simulation, which alone is made longer by until"):
        gridstride.resume(filtered, until=2.0)
    result = CliRunner().invoke(main, ["resume", str(tmp_path / "none.zarr"), "--until", "2"])
    assert result.exit_code == 2
    assert "does not exist" in result.output


def test_the_command_makes_a_run_longer(tmp_path: Path) -> None:
    file, out = tmp_path / "case.yaml", tmp_path / "out.zarr"
    file.write_text(json.dumps({**CHANNEL, "run": {**CHANNEL["run"], "until": 0.1}}))
    for command in (["simulate", str(file), str(out)], ["resume", str(out), "--until", "0.3"]):
        done = CliRunner().invoke(main, [*command, "--device", "cpu", "--workers", "1", "--quiet"])
        assert done.exit_code == 0, done.output
    assert "t = 0.3" in done.output
    np.testing.assert_array_equal(zarr.open_group(str(out), mode="r")["time"][...], [0, 0.1, 0.2, 0.3])
    for until in ("0.2", "-1", "nan"):
        done = CliRunner().invoke(main, ["resume", str(out), "--until", until])
        assert done.exit_code == 2
        assert len(done.output.splitlines()) == 1, done.output
