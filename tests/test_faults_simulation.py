"""A simulation whose workers die all at once, or hang: the same bytes."""

from __future__ import annotations

import dataclasses
import os
import signal
from pathlib import Path
from typing import Any

import pytest
from test_simulation import VORTEX, assert_same_files, files, make_case, prepared

from gridstride.pipeline.flows import rounds, simulation
from gridstride.pipeline.reports.events import read_events
from gridstride.workers import cluster


@pytest.mark.slow
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
    assert len(lost) == 3
    assert "did not answer for too long" in lost[2]


@pytest.mark.slow
def test_a_worker_is_stuck_in_writing_a_state_and_then_in_reading_it(tmp_path: Path) -> None:
    from distributed.diagnostics.plugin import WorkerPlugin

    case = make_case({**VORTEX, "output": {**VORTEX["output"], "checkpoints": {"steps": 10}}})

    class Stuck(WorkerPlugin):
        """With the second block of the second state that is written, and then of the first state that is read."""

        def setup(self, worker: Any) -> None:
            import threading

            import tensorstore  # noqa: F401  which is part of no read then

            from gridstride.pipeline.flows import states

            def spoilt(name: str, state: str) -> Any:
                whole, marker = getattr(states, name), tmp_path / name

                def call(path: str, block: Any) -> None:
                    if block.start[0] > 0 and path.endswith(state) and not marker.exists():
                        marker.touch()
                        threading.Event().wait()
                    whole(path, block)

                return call

            states.write_state = spoilt("write_state", "state-1")
            states.read_state = spoilt("read_state", "state-0")

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
