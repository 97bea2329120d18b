"""A private SLURM cluster of one node on loopback, with two GPUs that are none, for one test session.

Everything lives in one folder, on ports of its own: a SLURM that the machine may have is neither used nor touched.
"""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import pytest
from ssh_server import free_port, source_path

PLACES = f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin"
LACKING = [p for p in ("munged", "slurmctld", "slurmd", "sbatch", "srun") if shutil.which(p, path=PLACES) is None]
WHY = (
    f"no {', '.join(LACKING)} (Debian: apt-get install slurmctld slurmd slurm-client munge)" if LACKING
    else "the daemons of SLURM need root" if os.getuid() else ""
)  # fmt: skip
CORES = 8  # which the node says it has: jobs are many and do little


@dataclass(frozen=True)
class SlurmServer:
    folder: Path

    def squeue(self, form: str = "%i %T") -> list[str]:
        return subprocess.run(
            ["squeue", "--noheader", f"--format={form}"], capture_output=True, text=True, check=True
        ).stdout.splitlines()

    def cancel_all(self) -> None:
        jobs = [line.split()[0] for line in self.squeue()]
        if jobs:
            subprocess.run(["scancel", *jobs], check=False)


def serve(folder: Path) -> Iterator[SlurmServer]:
    host = socket.gethostname().split(".")[0]
    (folder / "munge.key").write_bytes(os.urandom(1024))
    (folder / "munge.key").chmod(0o400)
    for name in ("state", "spool", "munge"):
        (folder / name).mkdir(mode=0o755)
    sock = folder / "munge" / "socket"
    (folder / "slurm.conf").write_text(
        f"""ClusterName=gridstride
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={free_port()}
SlurmdPort={free_port()}
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
AuthInfo=socket={sock}
CredType=cred/munge
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SwitchType=switch/none
MpiDefault=none
ReturnToService=2
SlurmdParameters=config_overrides
SchedulerType=sched/backfill
SchedulerParameters=bf_interval=1,sched_min_interval=500000
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
KillWait=2
MinJobAge=60
GresTypes=gpu
NodeName={host} NodeAddr=127.0.0.1 CPUs={CORES} RealMemory=16000 Gres=gpu:2 State=UNKNOWN
PartitionName=debug Nodes={host} Default=YES MaxTime=INFINITE State=UP
PartitionName=closed Nodes={host} MaxTime=INFINITE State=DOWN
"""
    )
    (folder / "gres.conf").write_text("Name=gpu File=/dev/null\nName=gpu File=/dev/zero\n")
    (folder / "cgroup.conf").write_text("")
    environment = {**os.environ, "SLURM_CONF": str(folder / "slurm.conf"), "PATH": PLACES}
    with ExitStack() as stack:

        def start(*command: object) -> None:
            log = (folder / f"{Path(str(command[0])).name}.out").open("w")
            daemon = subprocess.Popen([str(c) for c in command], env=environment, stdout=log, stderr=log)
            stack.callback(daemon.wait)
            stack.callback(daemon.terminate)

        start("munged", "--foreground", "--force", f"--key-file={folder}/munge.key", f"--socket={sock}",
              f"--pid-file={folder}/munge/pid", f"--log-file={folder}/munge.log",
              f"--seed-file={folder}/munge/seed")  # fmt: skip
        _until(sock.exists, folder, "munged")
        start("slurmctld", "-D")
        start("slurmd", "-D", "-N", host)

        def ready() -> bool:
            said = subprocess.run(
                ["sinfo", "-h", "-p", "debug", "-o", "%T"], env=environment, capture_output=True, text=True
            )
            return said.stdout.strip() == "idle"

        _until(ready, folder, "slurmd")
        yield SlurmServer(folder)


def _until(ready: object, folder: Path, what: str) -> None:
    for _ in range(600):
        if ready():  # type: ignore[operator]
            return
        time.sleep(0.1)
    logs = "".join(path.read_text(errors="replace")[-400:] for path in sorted(folder.glob("*.log")))
    pytest.skip(f"{what} does not start here: {' '.join(logs.split())[-400:]}")


@pytest.fixture(scope="session")
def slurm_session() -> Iterator[SlurmServer]:
    if WHY:
        pytest.skip(WHY)
    pytest.importorskip("dask_jobqueue")
    with tempfile.TemporaryDirectory(prefix="gridstride-slurm-") as folder:
        yield from serve(Path(folder))


@pytest.fixture
def slurm(slurm_session: SlurmServer, monkeypatch: pytest.MonkeyPatch) -> Iterator[SlurmServer]:
    """The server, with this process's commands turned to it, and no job left over afterwards."""
    monkeypatch.setenv("SLURM_CONF", str(slurm_session.folder / "slurm.conf"))
    if path := source_path():
        monkeypatch.setenv("PYTHONPATH", path)
    try:
        yield slurm_session
    finally:
        slurm_session.cancel_all()
