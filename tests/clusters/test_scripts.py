"""Programs of users: their worker processes do not run them again, and end with them."""

from __future__ import annotations

import re
import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import numpy as np
import psutil
import pytest
import zarr
from scipy import ndimage

import gridstride

README = Path(gridstride.__file__).parent / "README.md"
PROGRAM = """
import gridstride
with open("ran.txt", "a") as file:
    file.write("once ")
for name in ("one", "two"):
    gridstride.gaussian("cells.zarr", name, sigma=2.0, dtype="float64", workers=2, device="cpu", quiet=True)
"""
# What a program does with a cluster that was started for it.
CLUSTER = """
import os, signal, sys, time
from gridstride.workers import cluster
print("ran", flush=True)
with cluster.start("cpu", cluster.Size(2, 1, 2_000_000_000), kind="local") as client:
    print(*client.run(os.getpid).values(), flush=True)
    {}
"""


def run(program: str, folder: Path, *words: str, text: str | None = None) -> str:
    """The output of a program, which must succeed without a word on stderr."""
    (folder / "script.py").write_text(program)
    command = [sys.executable, *(words or ["script.py"])]
    done = subprocess.run(command, cwd=folder, input=text, capture_output=True, text=True, timeout=240)
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


@pytest.mark.parametrize(
    "way", ["script", *(pytest.param(w, marks=pytest.mark.slow) for w in ("guarded", "-m", "-", "-c"))]
)
@pytest.mark.slow
def test_a_program_runs_once(way: str, tmp_path: Path) -> None:
    array = np.random.default_rng(1).integers(0, 60000, (8, 12, 14)).astype(np.uint16)
    zarr.create_array(str(tmp_path / "cells.zarr"), data=array, chunks=(4, 6, 7))
    guarded = "if __name__ == '__main__':\n" + textwrap.indent(PROGRAM, "    ")
    words = {"-m": ["-m", "script"], "-": ["-"], "-c": ["-c", PROGRAM]}.get(way, [])
    run(guarded if way == "guarded" else PROGRAM, tmp_path, *words, text=PROGRAM if way == "-" else None)
    assert (tmp_path / "ran.txt").read_text() == "once "
    for name in ("one", "two"):
        found = zarr.open_array(str(tmp_path / name), mode="r")[...]
        np.testing.assert_allclose(found, ndimage.gaussian_filter(array.astype(float), 2.0), rtol=1e-12)


@pytest.mark.slow
def test_the_example_of_the_readme_is_a_script(tmp_path: Path) -> None:
    found = re.search(r"```python\n(import gridstride\n.*?)```", README.read_text(), re.DOTALL)
    assert found
    array = np.random.default_rng(1).integers(0, 60000, (8, 12, 14)).astype(np.uint16)
    zarr.create_array(str(tmp_path / "cells.zarr"), data=array, chunks=(4, 6, 7))
    (tmp_path / "examples").symlink_to(README.parent / "examples")
    text = found[1].replace('"fluid.reynolds=400"', '"grid.cells.x=16", "grid.cells.y=16", "run.until=0.1"')
    (tmp_path / "script.py").write_text(text)
    done = subprocess.run([sys.executable, "script.py"], cwd=tmp_path, capture_output=True, text=True, timeout=240)
    assert done.returncode == 0, done.stderr
    assert len(done.stdout.splitlines()) == 3


@pytest.mark.slow
def test_a_worker_that_was_killed_comes_back_without_the_program(tmp_path: Path) -> None:
    killed = """
    def pids():
        return set(client.run(os.getpid, on_error="ignore").values())
    before = pids()
    os.kill(min(before), signal.SIGKILL)
    while len(now := pids()) < 2 or now == before:
        time.sleep(0.1)
    """
    assert run(CLUSTER.format(killed), tmp_path).count("ran") == 1


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT])
@pytest.mark.slow
def test_all_processes_end_with_the_program(number: int, tmp_path: Path) -> None:
    (tmp_path / "script.py").write_text(CLUSTER.format("time.sleep(600)"))
    process = subprocess.Popen(
        [sys.executable, "script.py"], cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "ran\n"
    assert len(process.stdout.readline().split()) == 2
    parts = psutil.Process(process.pid).children(recursive=True)
    assert len(parts) >= 3  # what is between, and two workers
    process.send_signal(number)
    _, alive = psutil.wait_procs(parts, timeout=30)
    assert not alive
    assert process.wait(30) == -number


def test_a_cluster_that_does_not_start_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "cluster.yaml").write_text("kind: local\nhost: 192.0.2.1\n")
    zarr.create_array(str(tmp_path / "cells.zarr"), data=np.zeros((4, 4)), chunks=(4, 4))
    program = textwrap.dedent(
        """
        import gridstride
        try:
            gridstride.gaussian("cells.zarr", "out", sigma=1, cluster="cluster.yaml", quiet=True)
        except ValueError as error:
            print(error)
        """
    )
    said = run(program, tmp_path)
    assert said.startswith("the cluster does not start on 192.0.2.1: ")
    assert said.count("\n") == 1


def test_certificates_reach_the_process_between(tmp_path: Path) -> None:
    pytest.importorskip("cryptography")
    program = CLUSTER.format("print(client.scheduler.address)").replace('kind="local"', 'kind="local", security="tls"')
    assert run(program, tmp_path).splitlines()[-1].startswith("tls://127.0.0.1:")
