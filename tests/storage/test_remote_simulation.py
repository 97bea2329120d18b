"""Simulations from and to an object store: the local run's bytes, whenever the run is killed."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest
import yaml
from object_stores import Server, web_server
from remote_flows import CASE, assert_same, content
from remote_jobs import COMMAND, gridstride, out_of

from gridstride.pipeline.errors import JobFailed, UsageError
from gridstride.pipeline.options import RunOptions
from gridstride.pipeline.reports.status import status
from gridstride.pipeline.simulations import simulation, states
from gridstride.pipeline.simulations.case import load_case, make_case
from gridstride.pipeline.simulations.diagnostics import Diagnostics
from gridstride.pipeline.simulations.states import Checkpoint, read_checkpoint
from gridstride.pipeline.simulations.store import FlowStore
from gridstride.pipeline.storage import paths
from gridstride.pipeline.storage.journal import FOLDER, Journal
from gridstride.pipeline.storage.remote import parse

pytestmark = pytest.mark.slow

pytest.importorskip("obstore", reason="needs obstore: pip install 'gridstride[remote]'")
pytest.importorskip("moto", reason="needs moto's S3 server: pip install 'moto[s3]' flask flask-cors")

WAYS = {"memory": {"blocks": 2}, "store": {"from_store": True}}


def prepared(out: Any, case: dict[str, Any] = CASE, way: str = "memory", **changes: Any) -> simulation.Simulation:
    options = RunOptions(**{"device": "cpu", "workers": 1, **changes})
    return simulation.prepare(make_case(case), out, options, **WAYS[way])  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def local(client: Any, tmp_path_factory: Any) -> Path:
    out = tmp_path_factory.mktemp("local") / "out.zarr"
    simulation.run(prepared(out), client)
    return out


@pytest.fixture(scope="module")
def made(local: Path, client: Any) -> str:
    """The same run's output on s3://."""
    out = out_of("made.zarr")
    summary = simulation.run(prepared(out), client)
    assert (summary.first, summary.last) == (0, 30)
    return out


@pytest.mark.slow
def test_the_bytes_are_the_local_ones(local: Path, made: str, client: Any) -> None:
    assert_same(content(made), content(local))
    for out, left in ((made, {"state-30-1x12x10"}), (local, {"state-30-1x12x10", "state-24-1x12x10"})):
        assert {name for name in paths.names(paths.store_path(out) / FOLDER) if name.startswith("state-")} == left
    # From store to store; and the same again has nothing to do.
    out = out_of("passes.zarr")
    simulation.run(prepared(out, way="store"), client)
    assert_same(content(out), content(local))
    summary = simulation.run(prepared(out, way="store"), client)
    assert (summary.first, summary.last) == (30, 30)
    # Afresh, over what is there.
    simulation.run(prepared(out, overwrite=True), client)
    assert_same(content(out), content(local))
    with pytest.raises(UsageError, match=r"passes.zarr holds another case \(fluid.*viscosity differ\)"):
        prepared(out, {**CASE, "fluid": {**CASE["fluid"], "viscosity": 0.03}})


# A request that is never answered, and where the run stands when it is killed then.
MOMENTS = {
    "memory": [
        (r"PUT /data/[^/]+/zarr.json", "before the layout is whole", None),
        (r"PUT .*/v/c/1/", "in the snapshot of step 10", 8),
        (r"PUT .*/state-16-\w+/c/3/0/1/1", "in the state of step 16", 8),
        (r"PUT .*/checkpoint.json", "when the state of step 16 is whole, before its record", 8),
        (r"(POST|DELETE) .*", "when the state of step 8 is to be deleted", 16),
        (r"PUT .*/diagnostics.csv", "before the table is whole", 16),
    ],
    "store": [
        (r"PUT .*/state-\d+-\w+/.gridstride/blocks/", "in a pass", None),
        (r"PUT .*/u/c/1/", "in the snapshot of step 10", None),
        (r"PUT .*/checkpoint.json", "between two passes", None),
        (r"(POST|DELETE) .*", "when the last state is to be deleted", None),
    ],
}


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize("way", WAYS)
def test_killed_and_resumed_gives_the_same_bytes(way: str, local: Path, s3: Server, tmp_path: Path) -> None:
    out, case = out_of(f"killed-{way}.zarr"), tmp_path / "case.yaml"
    case.write_text(yaml.safe_dump(CASE))
    chosen = ["--blocks", "2"] if way == "memory" else ["--from-store"]
    first = [*COMMAND, "simulate", str(case), out, *chosen, "--device", "cpu", "--workers", "1", "--quiet"]
    again = [*COMMAND, "resume", out, "--quiet"]
    for number, (request, moment, step) in enumerate(MOMENTS[way]):
        known = len(s3.log())
        s3.fail(1, "hang", match=request)
        process = subprocess.Popen(again if number else first, start_new_session=True)
        try:
            while process.poll() is None and not any(code == 0 for _, _, code in s3.log()[known:]):
                time.sleep(0.05)
            assert process.poll() is None, f"it ended before the kill {moment}"
        finally:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            s3.fail(0)
        checkpoint = read_checkpoint(out)
        if step is not None:
            assert checkpoint is not None
            assert checkpoint.step == step, moment
        assert checkpoint is None or checkpoint.step < 30
    subprocess.run(again, check=True, timeout=120)
    assert_same(content(out), content(local))


@pytest.mark.slow
def test_it_is_looked_at(made: str, local: Path, tmp_path: Path) -> None:
    store, other = FlowStore.open(made), FlowStore.open(local)
    assert list(store.written(store.fields)) == list(other.written(other.fields)) == [0, 1, 2, 3]
    assert store.name == other.name
    found = status(made)
    assert (found.state, found.done, found.total) == ("finished", 30, 30)
    assert found.more["snapshots"] == "4 of 4 written"
    assert "checkpoint at step 30 of 30" in gridstride("info", made).output
    pictures = {}
    for out in (made, local):
        for command, file in (("preview", "a.png"), ("movie", "a.gif"), ("plot", "b.png")):
            result = gridstride(command, out, tmp_path / file, "--overwrite")
            assert result.exit_code == 0, result.output
            pictures[out, file] = (tmp_path / file).read_bytes()
    assert all(pictures[made, file] == pictures[local, file] for file in ("a.png", "a.gif", "b.png"))
    result = gridstride("report", made, tmp_path / "report.html")
    assert result.exit_code == 0, result.output
    page = (tmp_path / "report.html").read_text()
    assert "30 of 30" in page
    assert "Diagnostics: 8 samples" in page
    # A snapshot that lacks a chunk is not whole.
    chunk = parse(made) / "v/c/2/1/1"
    data = chunk.read_bytes()
    chunk.unlink()
    assert list(store.written(store.fields)) == [0, 1, 3]
    chunk.write_bytes(data)


@pytest.mark.slow
def test_a_run_begins_with_a_snapshot_on_s3(made: str, local: Path, client: Any, tmp_path: Path) -> None:
    for number, source in enumerate((made, str(local))):
        run = {**CASE["run"], "ramp": 0.0}
        initial = {"problem": "from-store", "path": source, "time": 0.02, "interpolate": True}
        case = {**CASE, "run": run, "initial": initial}
        simulation.run(prepared(tmp_path / f"{number}.zarr", case), client)
    one, other = (content(tmp_path / f"{number}.zarr") for number in range(2))
    roots = [json.loads(files.pop("zarr.json"))["attributes"]["gridstride"]["case"] for files in (one, other)]
    assert_same(one, other)
    assert [root["initial"]["path"] for root in roots] == [made, str(local)]
    assert one["u/c/0/0/0"] != content(local)["u/c/0/0/0"]
    given = tmp_path / "case.yaml"
    given.write_text(yaml.safe_dump({**CASE, "run": run, "initial": {"problem": "from-store", "path": made}}))
    assert load_case(given).initial.path == made, "an address in a file is no path beside it"  # type: ignore[union-attr]
    result = gridstride("simulate", given, tmp_path / "c.zarr", "--set", "initial.path=s3://data/nothing", "--dry-run")
    assert "s3://data/nothing does not exist" in result.output


@pytest.mark.slow
def test_a_client_that_was_asleep_spoils_nothing(client: Any) -> None:
    """While it was, another went on: neither record, table nor states are what it remembers."""
    out = out_of("asleep.zarr")
    job = prepared(out)
    simulation._create(job, Journal(out))

    def state(step: int) -> Checkpoint:
        return Checkpoint(states.create_state(out, job.setup.domain, step, job.plan.chunks, "lz4", None), step)

    asleep = Diagnostics(out)
    asleep.truncate(-1)
    before = states.switch(out, state(8), None)
    assert read_checkpoint(out) == before
    simulation.run(prepared(out, overwrite=True), client)
    finished = content(out)
    with pytest.raises(JobFailed, match=r"checkpoint\.json was written by another gridstride"):
        states.switch(out, state(16), before)
    with pytest.raises(JobFailed, match=r"checkpoint\.json was written by another gridstride"):
        states.switch(out, state(16), None)
    with pytest.raises(JobFailed, match=r"diagnostics\.csv was written by another gridstride"):
        asleep.append({"step": 0, **dict.fromkeys(asleep.columns[2:], 1.0)})
    checkpoint = read_checkpoint(out)
    assert checkpoint is not None
    assert checkpoint.step == 30
    assert parse(states.state_path(out, checkpoint.state)).is_dir()
    assert content(out) == finished
    # An answer that was lost on the way is no other client.
    assert states.switch(out, Checkpoint(checkpoint.state, 30), before) == checkpoint


def test_a_simulation_on_a_web_server_is_to_be_copied(local: Path, tmp_path: Path) -> None:
    with web_server(local.parent) as address:
        for command, file in (("preview", "a.png"), ("movie", "a.gif"), ("plot", "a.png")):
            result = gridstride(command, f"{address}/out.zarr", tmp_path / file)
            assert result.exit_code == 2
            line = "a web server does not list what a simulation has written: copy it first"
            assert result.output.strip().endswith(f"{address}/out.zarr: {line}")
