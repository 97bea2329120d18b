"""Simulations on a real local cluster: whatever the cut and whatever dies, the bytes are the same."""

from __future__ import annotations

import os
import random
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
import zarr
from click.testing import CliRunner

from gridstride.pipeline.commands.main import main
from gridstride.pipeline.errors import JobFailed, UsageError
from gridstride.pipeline.events.events import read_events
from gridstride.pipeline.options import RunOptions
from gridstride.pipeline.simulations import in_memory as rounds
from gridstride.pipeline.simulations import simulation
from gridstride.pipeline.simulations.case import make_case
from gridstride.pipeline.simulations.states import read_checkpoint
from gridstride.workers import cluster
from gridstride.workers.models.edac import problems

pytestmark = pytest.mark.slow

COMMAND = [sys.executable, "-m", "gridstride.pipeline.commands.main"]

VORTEX: dict[str, Any] = {
    "name": "decaying vortices",
    "grid": {"cells": {"x": 12, "y": 10, "z": 24}, "size": {"x": 6.283185307179586, "y": 5.0, "z": 7.0}},
    "fluid": {"viscosity": 0.05, "speed": 1.0, "mach": 0.2},
    "initial": {"problem": "random", "seed": 3, "peak": 1},
    "run": {"until": 0.8},
    "output": {
        "fields": ["velocity", "pressure", "vorticity", "q-criterion"],
        "snapshots": {"time": 0.4},
        "diagnostics": {"steps": 5},
        "chunks": {"x": 12, "y": 10, "z": 4},
    },
}
CHANNEL: dict[str, Any] = {
    "name": "post in a channel",
    "grid": {"cells": {"x": 40, "y": 24}, "size": {"x": 2.0, "y": 1.0}},
    "fluid": {"viscosity": 0.02, "speed": 1.5, "mach": 0.2},
    "boundaries": {
        "x-": {"kind": "inflow", "velocity": {"x": 1.0}, "profile": "parabolic"},
        "x+": "outflow",
        "y": "wall",
    },
    "obstacles": [{"shape": "cylinder", "center": {"x": 0.5, "y": 0.5}, "radius": 0.15}],
    "run": {"until": 0.3, "ramp": 0.1},
    "output": {"snapshots": {"time": 0.1}, "diagnostics": {"steps": 10}, "chunks": {"x": 20, "y": 6}},
}


@pytest.fixture(scope="module")
def client() -> Any:
    with cluster.start("cpu", cluster.Size(2, 2, 4_000_000_000)) as client:
        yield client


def case(base: dict[str, Any] = VORTEX, **run: Any) -> Any:
    return make_case({**base, "run": {**base["run"], **run}})


def options(**changes: Any) -> RunOptions:
    return RunOptions(**{"device": "cpu", "workers": 2, "memory": 4_000_000_000, **changes})


def prepared(a_case: Any, out: Path, blocks: int | None = None, **changes: Any) -> simulation.Simulation:
    return simulation.prepare(a_case, out, options(**changes), blocks)


def from_store_to_store(done: simulation.Simulation, steps: int, block: tuple[int, ...]) -> simulation.Simulation:
    plan = replace(done.plan, in_memory=False, substeps=steps, edges=(0, done.plan.edges[-1]))
    return replace(done, plan=plan, options=done.options.but(block=block))


def files(out: Path) -> dict[str, bytes]:
    """Every file of the result but for the journal; the attributes name the steps of an exchange."""
    found = {}
    for file in sorted(p for p in out.rglob("*") if p.is_file() and ".gridstride" not in p.parts):
        data = file.read_bytes()
        found[str(file.relative_to(out))] = b"" if file == out / "zarr.json" else data
    return found


def assert_same_files(one: dict[str, bytes], other: dict[str, bytes]) -> None:
    assert list(one) == list(other)
    assert [name for name in one if one[name] != other[name]] == []


@pytest.mark.parametrize(
    ("base", "until"), [(VORTEX, 0.8), (CHANNEL, 0.1)], ids=["periodic, 3-D", "post in a channel, 2-D"]
)
def test_the_bytes_are_the_same_whatever_the_cut_and_the_steps_an_exchange(
    base: Any, until: float, client: Any, tmp_path: Path
) -> None:
    ways = [(1, "auto"), (2, 3), (4, 1), (3, 2)]
    expected: dict[str, bytes] = {}
    for number, (blocks, substeps) in enumerate(ways):
        out = tmp_path / f"{number}.zarr"
        done = prepared(case(base, substeps=substeps, until=until), out, blocks)
        assert done.plan.in_memory
        assert done.plan.blocks == blocks
        summary = simulation.run(done, client)
        assert summary.recoveries == 0
        assert summary.last == done.timeline.last > 20
        expected = expected or files(out)
        assert_same_files(expected, files(out))
    group = zarr.open_group(str(tmp_path / "0.zarr"), mode="r")
    assert np.isfinite(group["u"][...]).all()
    assert np.ptp(group["u"][-1]) > 0.1
    assert (np.diff(group["u"][...], axis=0) != 0).any(axis=tuple(range(1, group["u"].ndim))).all()


@pytest.mark.parametrize(
    ("base", "until", "block"), [(VORTEX, 0.8, (8, 10, 12)), (CHANNEL, 0.1, (1, 12, 20))], ids=["3-D", "2-D"]
)
def test_from_store_to_store_gives_the_same_bytes(
    base: Any, until: float, block: Any, client: Any, tmp_path: Path
) -> None:
    simulation.run(prepared(case(base, until=until), tmp_path / "memory.zarr", 1), client)
    done = from_store_to_store(prepared(case(base, until=until), tmp_path / "store.zarr"), 4, block)
    simulation.run(done, client)
    assert_same_files(files(tmp_path / "memory.zarr"), files(tmp_path / "store.zarr"))


@pytest.mark.slow
def test_a_periodic_exact_flow_is_followed(client: Any, tmp_path: Path) -> None:
    """The whole way from case to store: a vortex that travels through both cuts of the grid and back."""
    content = {
        "grid": {"cells": {"x": 32, "y": 32}, "size": {"x": 1.0, "y": 1.0}},
        "fluid": {"viscosity": 0.01, "speed": 2.0, "mach": 0.1},
        "initial": {"problem": "travelling-taylor-green", "background": {"x": 1.0, "y": 1.0}},
        "run": {"until": 1.0, "precision": "double"},
        "output": {"snapshots": {"time": 0.5}, "chunks": {"x": 32, "y": 8}},
    }
    made = make_case(content)
    simulation.run(prepared(made, tmp_path / "out.zarr", 4), client)
    group = zarr.open_group(str(tmp_path / "out.zarr"), mode="r")
    problem = made.setup(1.0).problem
    assert isinstance(problem, problems.TravellingTaylorGreen)
    x, y = group["x"][...][None], group["y"][...][:, None]
    for number, t in enumerate(group["time"][...]):
        exact = problem.velocity(0, x, y, None, float(t))
        assert np.abs(group["u"][number] - exact).max() < 0.05
        assert np.abs(group["p"][number] - problem.pressure(x, y, None, float(t))).max() < 0.05
    assert np.abs(group["u"][0] - exact).max() > 0.1  # it has decayed meanwhile


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize("way", ["memory", "store"])
def test_killed_and_resumed_gives_the_same_bytes(way: str, tmp_path: Path) -> None:
    """SIGKILL of client, scheduler and workers together, at random moments."""
    content = {
        **VORTEX,
        "run": {"until": 4.0, "substeps": 2},
        "output": {**VORTEX["output"], "checkpoints": {"time": 0.4}},
    }
    (tmp_path / "case.yaml").write_text(yaml.safe_dump(content))
    more = ["--blocks", "2"] if way == "memory" else ["--from-store"]
    calm, out = tmp_path / "calm.zarr", tmp_path / "out.zarr"
    first = ["simulate", tmp_path / "case.yaml"]
    rest = [*more, "--workers", "1", "--quiet"]
    subprocess.run(list(map(str, [*COMMAND, *first, calm, *rest])), check=True, timeout=300)
    last = zarr.open_group(str(calm), mode="r").attrs["gridstride"]["steps"]  # type: ignore[index,call-overload]
    chance = random.Random(5)
    kills = between = 0
    while kills < 6:
        checkpoint = read_checkpoint(out) if out.exists() else None
        step = 0 if checkpoint is None else checkpoint.step
        if step == last:
            break
        resume = checkpoint is not None and way == "memory" and chance.random() < 0.5
        command = [*COMMAND, "resume", out, "--quiet"] if resume else [*COMMAND, *first, out, *rest]
        process = subprocess.Popen(list(map(str, command)), start_new_session=True)
        wanted = step + chance.randint(1, last // 4)
        while process.poll() is None:
            checkpoint = read_checkpoint(out) if out.exists() else None
            if checkpoint is not None and checkpoint.step >= wanted:
                break
            time.sleep(0.005)
        time.sleep(chance.uniform(0, 0.1))
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            kills += 1
            between += checkpoint is not None
        process.wait()
        assert process.returncode in (0, -signal.SIGKILL)
    assert between >= 2
    subprocess.run(list(map(str, [*COMMAND, *first, out, *rest])), check=True, timeout=300)
    assert_same_files(files(calm), files(out))


@pytest.mark.slow
def test_a_dead_worker_is_survived(tmp_path: Path, monkeypatch: Any) -> None:
    a_case = make_case(
        {**VORTEX, "run": {"until": 0.8, "substeps": 1}, "output": {**VORTEX["output"], "checkpoints": {"steps": 10}}}
    )
    with cluster.start("cpu", cluster.Size(2, 1, 4_000_000_000)) as client:
        simulation.run(prepared(a_case, tmp_path / "calm.zarr", 2), client)
        send = rounds.Rounds.advance
        killed = []

        def kill_at_step_25(self: Any, first: int, steps: int, due: Any) -> Any:
            if first == 25 and not killed:
                addresses = sorted(client.scheduler_info()["workers"])
                killed.append(addresses[0])
                pids = client.run(os.getpid)
                os.kill(pids[addresses[0]], signal.SIGKILL)
                while addresses[0] in client.scheduler_info()["workers"]:  # the rest may take less time than a kill
                    time.sleep(0.01)
            return send(self, first, steps, due)

        monkeypatch.setattr(rounds.Rounds, "advance", kill_at_step_25)
        summary = simulation.run(prepared(a_case, tmp_path / "out.zarr", 2), client)
    assert killed
    assert summary.recoveries >= 1
    story = [event["event"] for event in read_events(tmp_path / "out.zarr" / ".gridstride")]
    assert {"worker-lost", "worker-restarted", "state-lost"} <= set(story)
    assert_same_files(files(tmp_path / "calm.zarr"), files(tmp_path / "out.zarr"))


def test_long_runs_begin_new_histories(client: Any, tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.setattr(rounds, "ROUNDS_OF_HISTORY", 3)
    simulation.run(prepared(case(), tmp_path / "one.zarr", 1), client)
    simulation.run(prepared(case(substeps=2), tmp_path / "two.zarr", 3), client)
    assert_same_files(files(tmp_path / "one.zarr"), files(tmp_path / "two.zarr"))


@pytest.mark.parametrize("way", ["one block", "two blocks", "store"])
def test_a_flow_that_blows_up_is_stopped_and_the_last_good_state_kept(way: str, client: Any, tmp_path: Path) -> None:
    content = {
        **VORTEX,
        "fluid": {"viscosity": 1e-4, "speed": 0.01, "mach": 0.2},  # the flow is 100 times as fast
        "initial": {"problem": "random", "seed": 3, "peak": 1, "speed": 1.0},
        "run": {"until": 400.0},
        "output": {**VORTEX["output"], "snapshots": {"time": 100.0}, "checkpoints": {"steps": 2}},
    }
    done = prepared(make_case(content), tmp_path / "out.zarr", 1 if way == "one block" else 2)
    if way == "store":
        done = from_store_to_store(done, 1, (12, 10, 12))
    with pytest.raises(
        JobFailed, match=r"blew up at step \d+: \|[uvw]\| is .* at cell x \d+, y \d+, z \d+ .*raise fluid.speed"
    ):
        simulation.run(done, client)
    checkpoint = read_checkpoint(tmp_path / "out.zarr")
    assert checkpoint is None or checkpoint.step < 400


def test_the_force_on_a_post_is_along_the_stream_and_the_store_opens_in_xarray(client: Any, tmp_path: Path) -> None:
    xarray = pytest.importorskip("xarray")
    simulation.run(prepared(case(CHANNEL), tmp_path / "out.zarr", 2), client)
    data = xarray.open_zarr(str(tmp_path / "out.zarr"), consolidated=False)
    assert data.u.dims == ("time", "y", "x")
    np.testing.assert_allclose(data.time, [0.0, 0.1, 0.2, 0.3])
    inside = (data.x - 0.5) ** 2 + (data.y - 0.5) ** 2 < 0.1**2
    assert float(abs(data.u.where(inside)).max()) < 0.02
    assert float(data.solid.where(inside).min()) == 1
    rows = np.genfromtxt(tmp_path / "out.zarr" / "diagnostics.csv", delimiter=",", names=True)
    assert rows["force_x"][-1] > 0.1
    assert abs(rows["force_y"][-1]) < 0.01 * rows["force_x"][-1]


def test_nothing_of_another_run_is_overwritten(client: Any, tmp_path: Path) -> None:
    out = tmp_path / "out.zarr"
    simulation.run(prepared(case(), out, 1), client)
    before = files(out)
    with pytest.raises(UsageError, match=r"holds another case \(fluid.mach differ\)"):
        prepared(make_case({**VORTEX, "fluid": {**VORTEX["fluid"], "mach": 0.1}}), out)
    assert simulation.run(prepared(case(), out, 2), client).first == simulation.run(prepared(case(), out), client).last
    assert files(out) == before
    shutil.rmtree(out)
    out.mkdir()
    (out / "mine.txt").write_text("mine")
    with pytest.raises(UsageError, match="exists: give another place, or --overwrite"):
        prepared(case(), out)


def command(*words: Any) -> subprocess.CompletedProcess[str]:
    return subprocess.run([*COMMAND, *map(str, words)], capture_output=True, text=True, timeout=300)


def test_the_command_plans_runs_and_says_what_it_did(tmp_path: Path) -> None:
    (tmp_path / "case.yaml").write_text(yaml.safe_dump(VORTEX))
    words = ["simulate", tmp_path / "case.yaml", tmp_path / "out.zarr", "--set", "run.until=0.4", "--workers", 1]
    dry = command(*words, "--dry-run")
    assert dry.returncode == 0
    assert "12 x 10 x 24 (x, y, z)" in dry.stdout
    assert not (tmp_path / "out.zarr").exists()
    done = command(*words)
    assert done.returncode == 0, done.stderr
    assert "out.zarr: steps 0 to 17, t = 0.4" in done.stdout
    assert "Mcell-steps/s" in done.stdout
    assert "kernel" in done.stderr
    again = command("resume", tmp_path / "out.zarr")
    assert "already finished" in again.stdout
    info = " ".join(command("info", tmp_path / "out.zarr").stdout.split())
    assert "checkpoint at step 17 of 17, t = 0.4; 2 of 2 snapshots written" in info


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--set", "fluid.mech=1"], "fluid: unknown key 'mech': did you mean 'mach'?"),
        (["--set", "fluid.mach=2"], "fluid.mach"),
        (["--blocks", "9"], "9 blocks for 24 planes written 4 at a time: expected 1 to 6"),
        (["--set", "run.dt=1"], "run.dt is 1: expected at most"),
    ],
)
def test_a_wrong_argument_is_one_line_and_writes_nothing(words: Any, said: str, tmp_path: Path) -> None:
    (tmp_path / "case.yaml").write_text(yaml.safe_dump(VORTEX))
    done = CliRunner().invoke(main, ["simulate", f"{tmp_path}/case.yaml", f"{tmp_path}/out.zarr", *words])
    assert done.exit_code == 2
    assert said in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1
    assert not (tmp_path / "out.zarr").exists()
