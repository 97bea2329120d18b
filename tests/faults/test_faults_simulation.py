"""A simulation whose workers die all at once, or hang, or whose scheduler, client or network goes: the same bytes."""

from __future__ import annotations

import dataclasses
import os
import re
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from dask_processes import dask_processes
from test_simulation import COMMAND, VORTEX, assert_same_files, files, make_case, prepared

from gridstride.pipeline.events.events import read_events
from gridstride.pipeline.simulations import in_memory as rounds
from gridstride.pipeline.simulations import simulation
from gridstride.pipeline.simulations.states import read_checkpoint
from gridstride.workers import cluster

pytestmark = pytest.mark.slow
WAYS = {"memory": ["--blocks", "2"], "store": ["--from-store", "--block", "8,10,12"]}
FEW = {
    **VORTEX,
    "run": {"until": 1.6, "substeps": 2},
    "output": {**VORTEX["output"], "checkpoints": {"steps": 4}},
}


def test_all_workers_die_and_then_one_hangs(tmp_path: Path, monkeypatch: Any) -> None:
    case = make_case(
        {**VORTEX, "run": {"until": 2.0, "substeps": 1}, "output": {**VORTEX["output"], "checkpoints": {"steps": 10}}}
    )
    faults = {25: signal.SIGKILL, 35: signal.SIGSTOP}
    send = rounds.Rounds.advance

    def spoil(self: Any, first: int, steps: int, due: Any) -> Any:
        if number := faults.pop(first, None):
            pids = [nanny.pid for nanny in client.cluster.workers.values()]
            for pid in pids if number == signal.SIGKILL else pids[:1]:
                os.kill(pid, number)
        return send(self, first, steps, due)

    with cluster.start("cpu", cluster.Size(2, 1, 4_000_000_000), worker_timeout=5.0) as client:
        simulation.run(prepared(case, tmp_path / "calm.zarr", 2), client)
        monkeypatch.setattr(rounds.Rounds, "advance", spoil)
        summary = simulation.run(prepared(case, tmp_path / "out.zarr", 2), client)
    assert not faults
    assert summary.recoveries >= 2
    assert_same_files(files(tmp_path / "calm.zarr"), files(tmp_path / "out.zarr"))
    lost = [e["text"] for e in read_events(tmp_path / "out.zarr" / ".gridstride") if e["event"] == "worker-lost"]
    assert len(lost) >= 3  # more where the scheduler has a slow nanny start the one that hangs twice
    assert "did not answer for too long" in " ".join(lost[2:])


@pytest.mark.slow
def test_a_worker_is_stuck_in_writing_a_state_and_then_in_reading_it(tmp_path: Path) -> None:
    from distributed.diagnostics.plugin import WorkerPlugin

    case = make_case({**VORTEX, "output": {**VORTEX["output"], "checkpoints": {"steps": 10}}})

    class Stuck(WorkerPlugin):
        """With the second block of the second state that is written, and then of the first state that is read."""

        def setup(self, worker: Any) -> None:
            import threading

            import tensorstore  # noqa: F401  which is part of no read then

            from gridstride.pipeline.simulations import states

            def spoilt(name: str, state: str) -> Any:
                whole, marker = getattr(states, name), tmp_path / name

                def call(path: str, block: Any) -> None:
                    if block.start[0] > 0 and f"/{state}-" in path and not marker.exists():
                        marker.touch()
                        threading.Event().wait()
                    whole(path, block)

                return call

            states.write_state = spoilt("write_state", "state-20")
            states.read_state = spoilt("read_state", "state-10")

    with cluster.start("cpu", cluster.Size(2, 1, 4_000_000_000)) as client:
        simulation.run(prepared(case, tmp_path / "calm.zarr", 2), client)
        client.register_plugin(Stuck())
        job = prepared(case, tmp_path / "out.zarr", 2)
        config = job.config.model_copy(update={"io_timeout": 4.0})
        summary = simulation.run(dataclasses.replace(job, config=config), client)
    assert summary.recoveries >= 2
    assert_same_files(files(tmp_path / "calm.zarr"), files(tmp_path / "out.zarr"))
    stuck = [e for e in read_events(tmp_path / "out.zarr" / ".gridstride") if e["event"] == "worker-stuck"]
    assert {(e["what"], e["stage"]) for e in stuck} >= {("block 1", "encode + write"), ("block 1", "read + decode")}


# --- a cluster of processes of its own --------------------------------------------------------------------------


@pytest.fixture(scope="module")
def case_file(tmp_path_factory: Any) -> Path:
    path = tmp_path_factory.mktemp("case") / "case.yaml"
    path.write_text(yaml.safe_dump(FEW))
    return path


@pytest.fixture(scope="module")
def calm(tmp_path_factory: Any) -> dict[str, bytes]:
    """The files of the undisturbed run."""
    out = tmp_path_factory.mktemp("calm") / "out.zarr"
    with cluster.start("cpu", cluster.Size(1, 1, 2_000_000_000)) as client:
        simulation.run(prepared(make_case(FEW), out, 1), client)
    return files(out)


def begin(case: Path, out: Path, *more: Any) -> subprocess.Popen[str]:
    command = [*COMMAND, "simulate", case, out, "--quiet", *more]
    return subprocess.Popen(list(map(str, command)), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


def step(out: Path) -> int:
    checkpoint = read_checkpoint(out) if out.exists() else None
    return -1 if checkpoint is None else checkpoint.step


def wait_for(process: subprocess.Popen[str], reached: Callable[[], bool]) -> None:
    while not reached():
        assert process.poll() is None, process.communicate()[0]
        time.sleep(0.005)


def end(process: subprocess.Popen[str]) -> tuple[int, list[str]]:
    """Exit code of a command, and its lines but for warnings of what is wrong with the flow."""
    said, _ = process.communicate(timeout=300)
    return process.returncode, [line for line in said.splitlines() if not line.startswith("warning: ")]


def resumed(out: Path) -> dict[str, bytes]:
    """The files after `gridstride resume` on a local cluster."""
    subprocess.run([*COMMAND, "resume", str(out), "--quiet", "--workers", "1"], check=True, timeout=300)
    return files(out)


@pytest.mark.parametrize(
    ("way", "when"),
    [("memory", "a checkpoint"), ("store", "a checkpoint"), ("store", "a snapshot")],
)
def test_the_scheduler_is_killed(way: str, when: str, case_file: Path, calm: dict[str, bytes], tmp_path: Path) -> None:
    """Just after a checkpoint steps are made; just after the first array of a snapshot the others are written."""
    out = tmp_path / "out.zarr"
    with dask_processes(tmp_path / "dask", seconds=0.02) as dask:
        command = begin(case_file, out, *WAYS[way], "--cluster", dask.file)
        wait_for(command, (lambda: step(out) >= 8) if when == "a checkpoint" else (out / "u/c/1").exists)
        dask.scheduler.kill()
        code, lines = end(command)
    assert (code, len(lines)) == (1, 1), lines
    assert re.fullmatch(
        rf"gridstride: the scheduler (at {dask.address} )?is gone; the checkpoint at step \d+ of \d+ is kept; "
        rf"go on with: gridstride resume {out} --cluster {dask.file}",
        lines[0],
    )
    assert 8 <= step(out) < 40
    assert_same_files(calm, resumed(out))


def test_the_client_is_killed(case_file: Path, calm: dict[str, bytes], tmp_path: Path) -> None:
    """Its cluster has rounds of it in flight while the next client goes on."""
    out = tmp_path / "out.zarr"
    with dask_processes(tmp_path / "dask", seconds=0.02) as dask:
        command = begin(case_file, out, *WAYS["memory"], "--cluster", dask.file)
        wait_for(command, lambda: step(out) >= 8)
        command.kill()
        assert end(command) == (-signal.SIGKILL, [])
        reached = step(out)
        assert reached < 40
        code, (line,) = end(begin(case_file, out, *WAYS["memory"], "--cluster", dask.file))
    assert code == 0
    assert f"steps {reached} to" in line
    assert_same_files(calm, files(out))


def test_the_network_between_workers_and_scheduler_is_cut(
    case_file: Path, calm: dict[str, bytes], tmp_path: Path
) -> None:
    """For a while: the run goes on. For good: it says so in one line, and can be resumed elsewhere."""
    once, out = tmp_path / "once.zarr", tmp_path / "out.zarr"
    with dask_processes(tmp_path / "dask", ttl=5, patience=8, proxy=True, seconds=0.02) as dask:
        command = begin(case_file, once, *WAYS["memory"], "--cluster", dask.file)
        wait_for(command, lambda: step(once) >= 8)
        dask.proxy.send_signal(signal.SIGSTOP)
        time.sleep(3)
        dask.proxy.send_signal(signal.SIGCONT)
        code, lines = end(command)
        assert code == 0, lines
        assert_same_files(calm, files(once))
        command = begin(case_file, out, *WAYS["memory"], "--cluster", dask.file)
        wait_for(command, lambda: step(out) >= 8)
        dask.proxy.send_signal(signal.SIGSTOP)
        code, lines = end(command)
    assert code == 1
    assert re.fullmatch(
        r"gridstride: no worker has been heard of for 8 s; the checkpoint at step \d+ of \d+ is kept; "
        rf"go on with: gridstride resume {out} --cluster {dask.file}",
        lines[-1],
    )
    assert_same_files(calm, resumed(out))
