"""A simulation whose workers die all at once, or hang: the same bytes."""

from __future__ import annotations

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
