"""Clusters of SLURM jobs, on a real SLURM of our own with GPUs that are none: bytes, lost jobs, reasons, `submit`."""

from __future__ import annotations

import re
import subprocess
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
import zarr
from click.testing import CliRunner
from test_ssh import chunks, refused

import gridstride
from gridstride.pipeline.clusters import deployment
from gridstride.pipeline.commands.main import main
from gridstride.pipeline.errors import JobFailed
from gridstride.pipeline.options import RunOptions
from gridstride.workers.clusters import slurm_jobs

pytestmark = pytest.mark.slow


@pytest.fixture
def cluster_file(slurm: Any, tmp_path: Path) -> Any:
    def write(more: dict[str, Any] | None = None, **section: Any) -> str:
        file = tmp_path / "slurm.yaml"
        usual = {"partition": "debug", "cores": 1, "memory": "2GB", "jobs": 2, "log_directory": str(tmp_path / "logs")}
        file.write_text(yaml.safe_dump({"kind": "slurm", "slurm": {**usual, **section}, **(more or {})}))
        return str(file)

    return write


@pytest.fixture(scope="module")
def made_here(tmp_path_factory: Any) -> Any:
    """An input, and the chunks that a filter of it has on this machine."""
    folder = tmp_path_factory.mktemp("here")
    source = zarr.create_array(str(folder / "input"), shape=(32, 64, 64), chunks=(8, 16, 16), dtype="u2")
    source[...] = np.random.default_rng(1).integers(0, 4000, (32, 64, 64))
    gridstride.gaussian(folder / "input", folder / "out", 2.0, block=(8, 16, 16), workers=1)
    return str(folder / "input"), chunks(folder / "out")


@pytest.fixture
def job(made_here: Any, tmp_path: Path) -> Any:
    """A command that writes `there`, and the chunks that it is to write."""
    source, expected = made_here
    return ["filter", "gaussian", source, str(tmp_path / "there"), "--sigma", "2", "--block", "8,16,16"], expected


def test_the_same_bytes_as_here(cluster_file: Any, job: Any, slurm: Any, tmp_path: Path) -> None:
    """With TLS; the next ones are without."""
    words, expected = job
    result = CliRunner().invoke(main, [*words, "--cluster", cluster_file({"security": "tls"})])
    assert result.exit_code == 0, result.output
    assert "2 workers, 1 thread each" in result.output
    assert chunks(tmp_path / "there") == expected
    assert not [line for line in slurm.squeue() if "COMPLETING" not in line]  # no job is left in the queue
    logs = "".join(path.read_text() for path in (tmp_path / "logs").glob("*.err"))
    assert "tls://127.0.0.1:" in logs
    assert "tcp://" not in logs
    assert "//0.0.0.0" not in logs
    assert not list((tmp_path / "logs").glob("*tls*"))  # the certificates are gone


def cancel_one(slurm: Any, running: int) -> str | None:
    """Cancel the first job once so many run: its number."""
    for _ in range(600):
        ids = [line.split()[0] for line in slurm.squeue() if line.endswith("RUNNING")]
        if len(ids) >= running:
            subprocess.run(["scancel", ids[0]], check=True)
            return ids[0]
        time.sleep(0.05)
    return None


def test_cancelled_jobs_are_replaced_in_the_middle_of_a_command(
    cluster_file: Any, job: Any, slurm: Any, tmp_path: Path, monkeypatch: Any
) -> None:
    """Which dask-jobqueue does not do (#611): all jobs are cancelled once the first chunks are there."""
    words, expected = job
    monkeypatch.setattr(slurm_jobs, "POLL_SECONDS", 0.5)
    stop, gone = threading.Event(), []

    def cancel() -> None:
        while not stop.is_set() and not (tmp_path / "there" / "c").exists():
            time.sleep(0.05)
        gone.extend(line.split()[0] for line in slurm.squeue())
        subprocess.run(["scancel", *gone], check=False)

    thread = threading.Thread(target=cancel)
    thread.start()
    try:
        result = CliRunner().invoke(main, [*words, "--cluster", cluster_file()])
    finally:
        stop.set()
        thread.join()
    assert result.exit_code == 0, result.output
    assert chunks(tmp_path / "there") == expected
    assert len(gone) == 2
    # One of them may end later than the other, and the command may be done with one new job before that is seen.
    said = re.findall(
        r"warning: SLURM job (\d+) is gone \(CANCELLED\): a new one replaces it \((\d+) of", result.output
    )
    assert said, result.output
    assert {job for job, _ in said} <= set(gone)
    assert [number for _, number in said] == [str(i + 1) for i in range(len(said))]


def test_replacements_have_an_end(cluster_file: Any, slurm: Any, monkeypatch: Any) -> None:
    monkeypatch.setattr(slurm_jobs, "POLL_SECONDS", 0.5)
    options = RunOptions(cluster=cluster_file(jobs=1, replacements=1))

    def lose_two() -> None:
        with deployment.open_cluster(options) as (client, _):
            waiting = client.submit(time.sleep, 3600)
            first = cancel_one(slurm, 1)
            for _ in range(600):
                if any(line.endswith("RUNNING") and line.split()[0] != first for line in slurm.squeue()):
                    break
                time.sleep(0.05)
            cancel_one(slurm, 1)
            waiting.result()

    with pytest.raises(JobFailed, match=r"SLURM job \d+ is gone \(CANCELLED\) and 1 were replaced before: no job"):
        lose_two()


def test_what_is_wrong_is_said(cluster_file: Any, slurm: Any, tmp_path: Path, monkeypatch: Any) -> None:
    """Before a job is sent."""
    assert "SLURM has no partition 'debgu': did you mean 'debug'?" in refused(cluster_file(partition="debgu"))
    assert "SLURM has no partition 'xyz': expected one of debug" in refused(cluster_file(partition="xyz"))
    assert "partition 'closed' is down" in refused(cluster_file(partition="closed"))
    assert "would not take the job: Requested node configuration is not available" in refused(cluster_file(cores=99))
    assert "would not take the job" in refused(cluster_file(gpus=9, cores=1))
    assert "would not take the job: sbatch: error: Invalid --time" in refused(cluster_file(walltime="soon"))
    assert "slurm.python is no-python: there is no such program" in refused(cluster_file(python="no-python"))
    bare = "/usr/bin/env PYTHONPATH= /usr/bin/python3"
    if Path("/usr/bin/python3").exists():
        assert f"slurm.python ({bare}) cannot import gridstride" in refused(cluster_file(python=bare))
    assert not (tmp_path / "logs").exists()
    (tmp_path / "file").write_text("")
    assert "slurm.log_directory" in refused(cluster_file(log_directory=str(tmp_path / "file" / "logs")))
    from dask_jobqueue.slurm import SLURMJob

    monkeypatch.setattr(SLURMJob, "submit_command", "sbatch --no-such-option")
    assert "sbatch refused the job: " in (said := refused(cluster_file()))
    assert "no-such-option" in said
    assert not slurm.squeue()


def test_why_workers_do_not_come(cluster_file: Any, slurm: Any) -> None:
    """At once if no job is left that could bring them, else when the time is over."""
    said = refused(cluster_file({"timeout": 60}, python="/no/bin/python"))
    assert "ended (FAILED, NonZeroExitCode); its log ends: " in said
    assert "/no/bin/python: No such file or directory" in said
    said = refused(cluster_file({"timeout": 60}, prologue=["echo 'OSError: quota' >&2", "exit 3"]))
    assert "its log ends: OSError: quota" in said
    said = refused(cluster_file({"timeout": 2}, job_extra=["--begin=now+1hour"]))
    assert "no worker connected within 2 s: job " in said
    assert "waits in the queue: BeginTime" in said
    said = refused(cluster_file({"timeout": 4}, prologue=["sleep 100"]))
    assert "is RUNNING but its worker has not connected" in said


def _listening() -> Any:
    """A function that travels whole: workers cannot import this file."""

    def listening() -> set[str]:
        """Where a worker and the process that started it listen."""
        import psutil

        worker = psutil.Process()
        sockets = [c for process in (worker, worker.parent()) for c in process.net_connections("inet")]
        return {c.laddr.ip for c in sockets if c.status == "LISTEN"}

    return listening


def test_a_worker_for_each_gpu(cluster_file: Any, slurm: Any, monkeypatch: Any) -> None:
    """dask-cuda's workers in a job with two GPUs (its switch for tests leaves the devices alone)."""
    pytest.importorskip("dask_cuda")
    monkeypatch.setenv("DASK_CUDA_TEST_DISABLE_DEVICE_SPECIFIC", "1")
    options = RunOptions(cluster=cluster_file({"rmm_pool": 0}, jobs=1, gpus=2, cores=2))
    with deployment.open_cluster(options) as (client, reason):
        assert reason == "GPU: 2 workers of kind slurm"
        seen = client.run(lambda: __import__("os").environ["CUDA_VISIBLE_DEVICES"].split(",")[0])
        assert sorted(seen.values()) == ["0", "1"]
        assert all(ips == {"127.0.0.1"} for ips in client.run(_listening()).values())


def wait_for_job(slurm: Any, job: str) -> None:
    for _ in range(600):
        if not any(line.split()[0] == job for line in slurm.squeue()):
            return
        time.sleep(0.1)
    raise AssertionError(f"job {job} does not end")


@pytest.mark.parametrize(
    ("section", "more"),
    [({"processes": 2}, {"security": "tls"}), ({"gpus": 2}, {"rmm_pool": 0})],
    ids=["cpu-tls", "gpu"],
)
def test_one_batch_job_for_all(
    cluster_file: Any, job: Any, slurm: Any, tmp_path: Path, monkeypatch: Any, section: Any, more: Any
) -> None:
    """Client, scheduler and workers in one job. With GPUs only the placing is real: the blocks are computed on CPUs."""
    words, expected = job
    if "gpus" in section:
        pytest.importorskip("dask_cuda")
        monkeypatch.setenv("DASK_CUDA_TEST_DISABLE_DEVICE_SPECIFIC", "1")
        words = [*words, "--device", "cpu"]
    sent = CliRunner().invoke(main, ["submit", "--cluster", cluster_file(more, jobs=1, cores=2, **section), *words])
    assert sent.exit_code == 0, sent.output
    number = sent.output.split()[3].rstrip(";")
    log = tmp_path / "logs" / f"gridstride-{number}.out"
    assert f"sent as job {number}; its log: {log}" in sent.output
    wait_for_job(slurm, number)
    said = log.read_text()
    assert "there: 48 blocks computed" in said
    assert "2 workers, " in said
    if "gpus" not in section:  # dask-cuda complains of GPUs that are none
        assert "distributed" not in said
    assert chunks(tmp_path / "there") == expected
    assert {path.name for path in (tmp_path / "logs").iterdir()} == {log.name}  # its folder with the keys is gone


def test_a_batch_job_that_fails_says_so(cluster_file: Any, job: Any, slurm: Any, tmp_path: Path) -> None:
    words, _ = job
    (tmp_path / "there").mkdir()
    (tmp_path / "there" / "mine").write_text("")
    sent = CliRunner().invoke(main, ["submit", "--cluster", cluster_file(jobs=1), *words])
    number = sent.output.split()[3].rstrip(";")
    wait_for_job(slurm, number)
    assert (
        f"gridstride: {tmp_path / 'there'} exists: give another place"
        in (tmp_path / "logs" / f"gridstride-{number}.out").read_text()
    )
    state = subprocess.run(["scontrol", "show", "job", number], capture_output=True, text=True).stdout
    assert "JobState=FAILED" in state
    assert "ExitCode=2:0" in state


def test_a_batch_job_whose_workers_do_not_come_says_so(cluster_file: Any, job: Any, slurm: Any, tmp_path: Path) -> None:
    words, _ = job
    only_there = '[ -z "$SLURM_STEP_ID" ] || exit 3'
    sent = CliRunner().invoke(main, ["submit", "--cluster", cluster_file(jobs=1, prologue=[only_there]), *words])
    number = sent.output.split()[3].rstrip(";")
    wait_for_job(slurm, number)
    said = (tmp_path / "logs" / f"gridstride-{number}.out").read_text()
    assert "gridstride: srun ended with exit code 3 before its workers connected" in said
