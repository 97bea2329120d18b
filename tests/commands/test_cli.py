# ruff: noqa: E501  (the table of bad input reads best a line each)
"""The commands: what a person types, what they see, and what bad input gets: one line, exit code 2, nothing written."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import zarr
from click.testing import CliRunner
from scipy import ndimage

from gridstride.pipeline.commands.main import main
from gridstride.pipeline.stopping import Stopped
from gridstride.pipeline.sweep.record import Record


def gridstride(*arguments: Any) -> Any:
    return CliRunner().invoke(main, [str(a) for a in arguments])


@pytest.fixture
def image(store: Any) -> str:
    array = np.random.default_rng(0).integers(0, 60000, (24, 20, 22)).astype(np.uint16)
    return store(array, (8, 10, 11), name="image.zarr", dimension_names=["z", "y", "x"])


def test_filter_resume_info_preview_end_to_end(image: str, tmp_path: Path) -> None:
    out = tmp_path / "out.zarr"
    result = gridstride(
        "filter",
        "gaussian",
        image,
        out,
        "--sigma",
        "1,2,2",
        "--precision",
        "double",
        "--cast",
        "scipy",
        "--block",
        "8,10,22",
    )
    assert result.exit_code == 0, result.output
    array = zarr.open_array(image)[...]
    np.testing.assert_array_equal(zarr.open_array(str(out))[...], ndimage.gaussian_filter(array, [1, 2, 2]))
    assert "6 blocks computed, 0 skipped (already done), 0 retried, 0 failed" in result.output
    assert "kernel" in result.output  # the stage table
    result = gridstride("resume", out)
    assert result.exit_code == 0, result.output
    assert "0 blocks computed, 6 skipped (already done)" in result.output
    result = gridstride("info", out)
    assert result.exit_code == 0
    for word in ("24 x 20 x 22 (z, y, x)", "uint16", "sigma=[1.0, 2.0, 2.0]", "6 blocks of 8 x 10 x 22 written"):
        assert word in result.output
    png = tmp_path / "look.png"
    result = gridstride("preview", image, png, "--compare", out)
    assert result.exit_code == 0, result.output
    assert png.read_bytes()[:4] == b"\x89PNG"


def test_convolve_with_a_file_and_modes_per_axis(image: str, tmp_path: Path) -> None:
    kernel = np.random.default_rng(1).normal(size=(3, 2))
    np.save(tmp_path / "k.npy", kernel)
    result = gridstride(
        "convolve", image, tmp_path / "out", "--kernel", tmp_path / "k.npy", "--axes", "z,x", "--mode", "wrap", "--origin",
        "1,0", "--dtype", "float64",
    )  # fmt: skip
    assert result.exit_code == 0, result.output
    array = zarr.open_array(image)[...].astype(float)
    expected = ndimage.convolve(array, kernel, mode="wrap", origin=(1, 0), axes=(0, 2))
    np.testing.assert_allclose(zarr.open_array(str(tmp_path / "out"))[...], expected, rtol=1e-12, atol=1e-9)


def test_dry_run_shows_the_plan_and_writes_nothing(image: str, tmp_path: Path) -> None:
    result = gridstride("convolve", image, tmp_path / "out", "--kernel", "gaussian", "--sigma", "2", "--dry-run")
    assert result.exit_code == 0, result.output
    for word in ("separable", "blocks", "batches", "halo overhead", "memory per worker", "tasks", "CPU"):
        assert word in result.output
    assert not (tmp_path / "out").exists()


def npy(folder: Path, name: str, array: Any) -> Path:
    np.save(folder / name, array)
    return folder / name


BAD = {
    "missing input": (["filter", "gaussian", "{tmp}/nothing", "{out}", "--sigma", "1"], "does not exist"),
    "no zarr": (["filter", "gaussian", "{tmp}", "{out}", "--sigma", "1"], "is not a Zarr store"),
    "group": (["filter", "gaussian", "{group}", "{out}", "--sigma", "1"], "name an array with --array (it holds a, b/c)"),
    "no such array": (["filter", "gaussian", "{group}", "{out}", "--sigma", "1", "--array", "d"], "has no array 'd'"),
    "array of array": (["filter", "gaussian", "{in}", "{out}", "--sigma", "1", "--array", "d"], "is an array, not a group"),
    "complex": (["filter", "gaussian", "{complex}", "{out}", "--sigma", "1"], "dtype complex64: expected"),
    "too many axes": (["filter", "gaussian", "{six}", "{out}", "--sigma", "1"], "has 6 axes: expected 1 to 5"),
    "sigma 0": (["filter", "gaussian", "{in}", "{out}", "--sigma", "0"], "sigma is 0.0: expected a number above 0"),
    "sigma -1": (["filter", "gaussian", "{in}", "{out}", "--sigma=-1"], "expected a number above 0"),
    "sigma nan": (["filter", "gaussian", "{in}", "{out}", "--sigma", "nan"], "expected a finite number"),
    "sigma word": (["filter", "gaussian", "{in}", "{out}", "--sigma", "big"], "expected numbers with commas"),
    "sigma count": (["filter", "gaussian", "{in}", "{out}", "--sigma", "1,2"], "2 values for 3 filtered axes"),
    "truncate": (["filter", "gaussian", "{in}", "{out}", "--sigma", "1", "--truncate", "0"], "truncate is 0.0"),
    "size 0": (["filter", "uniform", "{in}", "{out}", "--size", "0"], "size is 0"),
    "mode": (["filter", "gaussian", "{in}", "{out}", "--sigma", "1", "--mode", "torus"], "unknown mode 'torus'"),
    "axis": (["filter", "gaussian", "{in}", "{out}", "--sigma", "1", "--axes", "w"], "unknown axis 'w'"),
    "axis twice": (["filter", "gaussian", "{in}", "{out}", "--sigma", "1", "--axes", "x,2"], "given twice"),
    "axes and spatial": (["filter", "gaussian", "{in}", "{out}", "--sigma", "1", "--axes", "x", "--spatial", "2"], "not both"),
    "spatial": (["filter", "gaussian", "{in}", "{out}", "--sigma", "1", "--spatial", "4"], "spatial is 4"),
    "kernel ndim": (["convolve", "{in}", "{out}", "--kernel", "{k4}"], "the kernel has 4 dimensions"),
    "kernel ndim 2": (["convolve", "{in}", "{out}", "--kernel", "{k4}", "--axes", "z,y"], "has 4 dimensions: expected 2"),
    "kernel empty": (["convolve", "{in}", "{out}", "--kernel", "{empty}"], "the kernel is empty"),
    "kernel nan": (["convolve", "{in}", "{out}", "--kernel", "{nan}"], "NaN or infinite"),
    "kernel object": (["convolve", "{in}", "{out}", "--kernel", "{object}"], "cannot be read as a .npy file"),
    "kernel complex": (["convolve", "{in}", "{out}", "--kernel", "{kcomplex}"], "expected real numbers"),
    "kernel name": (["convolve", "{in}", "{out}", "--kernel", "sobol"], "unknown kernel 'sobol'"),
    "kernel missing": (["convolve", "{in}", "{out}", "--kernel", "{tmp}/k.npy"], "k.npy does not exist"),
    "origin": (["convolve", "{in}", "{out}", "--kernel", "{even}", "--origin", "2"], "origin out of range for a kernel of 4"),
    "not rank one": (["convolve", "{in}", "{out}", "--kernel", "laplace", "--algorithm", "separable"], "is not separable: use direct or fft"),
    "channels": (["convolve", "{in}", "{out}", "--kernel", "{k4}", "--channels", "z"], "input channels, the array 24"),
    "bias alone": (["convolve", "{in}", "{out}", "--kernel", "box", "--bias", "{nan}"], "NaN or infinite"),
    "same": (["filter", "gaussian", "{in}", "{in}", "--sigma", "1"], "the output is the input"),
    "inside": (["filter", "gaussian", "{in}", "{in}/c", "--sigma", "1"], "lies inside the input"),
    "around": (["filter", "gaussian", "{group}/a", "{group}", "--sigma", "1", "--overwrite"], "the input lies inside"),
    "exists": (["filter", "gaussian", "{in}", "{other}", "--sigma", "1"], "exists: give another place, or --overwrite"),
    "overwrite what": (["filter", "gaussian", "{in}", "{plain}", "--sigma", "1", "--overwrite"], "does not delete it"),
    "below a file": (["filter", "gaussian", "{in}", "{file}/out", "--sigma", "1"], "is a file"),
    "block": (["filter", "gaussian", "{in}", "{out}", "--sigma", "1", "--block", "7,10,11"], "expected a multiple of 8"),
    "block 0": (["filter", "gaussian", "{in}", "{out}", "--sigma", "1", "--block", "0,10,11"], "block is (0, 10, 11): expected a whole number, 1 or more"),
    "thin": (["filter", "gaussian", "{in}", "{out}", "--sigma", "3", "--block", "8,20,22", "--halos", "exchange"], "thinner than the halo"),
    "chunks": (["filter", "gaussian", "{in}", "{out}", "--sigma", "1", "--chunks", "4,4"], "expected 3 numbers"),
    "shards": (["filter", "gaussian", "{in}", "{out}", "--sigma", "1", "--chunks", "4,4,4", "--shards", "6,4,4"], "not whole chunks"),
    "codec": (["filter", "gaussian", "{in}", "{out}", "--sigma", "1", "--codec", "rar"], "unknown codec 'rar'"),
    "dtype": (["filter", "gaussian", "{in}", "{out}", "--sigma", "1", "--dtype", "complex64"], "expected bool, an integer"),
    "memory": (["filter", "gaussian", "{in}", "{out}", "--sigma", "1", "--memory", "100MB"], "make --memory at least"),
    "memory word": (["filter", "gaussian", "{in}", "{out}", "--sigma", "1", "--memory", "lots"], "is no size"),
    "gpu": (["filter", "gaussian", "{in}", "{out}", "--sigma", "1", "--device", "gpu"], "no CUDA device was found"),
    "cluster file": (["filter", "gaussian", "{in}", "{out}", "--sigma", "1", "--cluster", "{tmp}/no.yaml"], "cannot be read"),
    "resume nothing": (["resume", "{tmp}/nothing"], "does not exist"),
    "resume other": (["resume", "{other}"], "holds no gridstride job"),
    "info": (["info", "{tmp}"], "is not a Zarr store"),
    "preview": (["preview", "{in}", "{tmp}/a.gif"], ".png"),
}  # fmt: skip


def places(tmp_path: Path, image: str) -> dict[str, str]:
    group = zarr.create_group(str(tmp_path / "group.zarr"))
    group.create_array("a", shape=(4, 4), dtype="u1")
    group.create_array("b/c", shape=(4, 4), dtype="u1")
    for name, shape, dtype in (("complex", (4, 4), "c8"), ("six", (1,) * 6, "u1"), ("other", (4,), "u1")):
        zarr.create_array(str(tmp_path / name), shape=shape, dtype=dtype)
    (tmp_path / "plain").mkdir()
    (tmp_path / "plain" / "thesis.txt").write_text("years of work")
    (tmp_path / "file").write_text("a file")
    return {
        "tmp": str(tmp_path),
        "in": image,
        "out": str(tmp_path / "out.zarr"),
        "group": str(tmp_path / "group.zarr"),
        **{name: str(tmp_path / name) for name in ("complex", "six", "other", "plain", "file")},
        "k4": str(npy(tmp_path, "k4.npy", np.ones((1, 2, 3, 3)))),
        "empty": str(npy(tmp_path, "empty.npy", np.ones((0, 3, 3)))),
        "nan": str(npy(tmp_path, "nan.npy", np.full((3, 3, 3), np.nan))),
        "even": str(npy(tmp_path, "even.npy", np.ones((4, 4, 4)))),
        "object": str(npy(tmp_path, "object.npy", np.array([{}]))),
        "kcomplex": str(npy(tmp_path, "kcomplex.npy", np.ones((3, 3, 3), complex))),
    }


def files(folder: Path) -> dict[str, bytes]:
    return {str(p): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


@pytest.mark.parametrize("name", BAD)
def test_bad_input_gets_one_line_and_writes_nothing(name: str, image: str, tmp_path: Path) -> None:
    arguments, words = BAD[name]
    where = places(tmp_path, image)
    before = files(tmp_path)
    result = gridstride(*(argument.format(**where) for argument in arguments))
    assert result.exit_code == 2, result.output
    assert words in result.output
    assert "Traceback" not in result.output
    assert len(result.output.splitlines()) == 1, result.output
    assert files(tmp_path) == before


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_an_unwritable_folder_is_refused(image: str, tmp_path: Path) -> None:
    locked = tmp_path / "locked"
    locked.mkdir(mode=0o555)
    result = gridstride("filter", "gaussian", image, locked / "out", "--sigma", "1")
    assert result.exit_code == 2
    assert "is not writable" in result.output


def test_an_unwritable_folder_is_refused_to_root_too(image: str, tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.setattr(os, "access", lambda path, mode: False)
    result = gridstride("filter", "gaussian", image, tmp_path / "out", "--sigma", "1")
    assert result.exit_code == 2
    assert "is not writable" in result.output


def test_too_little_disk_is_seen_first(image: str, tmp_path: Path, monkeypatch: Any) -> None:
    usage = type("usage", (), {"free": 1000})
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage)
    result = gridstride("filter", "gaussian", image, tmp_path / "out", "--sigma", "1")
    assert result.exit_code == 2
    assert "has 1 kB free and the result takes up to 21.1 kB" in result.output
    assert not (tmp_path / "out").exists()


def test_overwrite_that_is_refused_deletes_nothing(image: str, tmp_path: Path) -> None:
    out = tmp_path / "out"
    assert gridstride("filter", "gaussian", image, out, "--sigma", "1").exit_code == 0
    before = files(out)
    result = gridstride("filter", "gaussian", image, out, "--sigma", "0", "--overwrite")
    assert result.exit_code == 2
    assert files(out) == before
    result = gridstride("filter", "gaussian", image, out, "--sigma", "1", "--overwrite", "--memory", "50MB")
    assert result.exit_code == 2
    assert files(out) == before


def test_failed_blocks_are_listed_and_the_exit_code_is_1(image: str, tmp_path: Path) -> None:
    Path(image, "c", "0", "0", "0").write_bytes(b"broken")
    result = gridstride("filter", "gaussian", image, tmp_path / "out", "--sigma", "0.5", "--block", "8,10,11")
    assert result.exit_code == 1
    told = [line for line in result.output.splitlines() if line.startswith("failed: ")]
    assert len(told) == 1
    assert told[0].startswith("failed: blocks 0.0.0, 0.0.1, 0.1.0 and 5 more: chunk c/0/0/0:")
    assert "blocks failed; the others are written" in result.output
    assert "Traceback" not in result.output


def test_help_is_quick_because_it_imports_nothing_heavy() -> None:
    code = (
        "import sys; import gridstride.pipeline.commands.main as c\n"
        "heavy = {'dask', 'distributed', 'zarr', 'numba', 'cupy', 'numpy', 'matplotlib', 'tensorstore', 'pydantic'}\n"
        "print(sorted(heavy & set(sys.modules)))"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "[]"


def test_cluster_check_shows_its_workers() -> None:
    result = gridstride("cluster", "check", "--workers", "2", "--device", "cpu")
    assert result.exit_code == 0, result.output
    assert "2 workers: CPU, as asked" in result.output
    assert result.output.count("tcp://127.0.0.1:") == 2


def test_progress_prints_plain_lines_where_there_is_no_terminal(capsys: Any, monkeypatch: Any) -> None:
    from gridstride.pipeline.events import bar
    from gridstride.pipeline.reports.progress import Progress

    clock = [100.0]
    monkeypatch.setattr(bar.time, "monotonic", lambda: clock[0])
    record = Record(((0,), (0,)), voxels=2_000_000, bytes_in=40_000_000, bytes_out=80_000_000)
    with Progress(10, 4, every=3.0) as progress:
        for further in (record, replace(record, skipped=True), record):  # the first comes too soon for a line
            clock[0] += 2.0
            progress.report(further)
    assert capsys.readouterr().err == "6/10 blocks, 0.5 Mvoxel/s, 0.01 GB/s in, 0.02 GB/s out, 8 s left\n"


def test_the_stage_table_shows_what_went_on_at_a_time(capsys: Any) -> None:
    from rich.console import Console

    from gridstride.pipeline.reports.progress import summary_table

    stages = {"read + decode": 6.0, "kernel": 3.0, "download": 1.5}
    Console(width=80).print(summary_table(stages, idle=1.5, seconds=4.0))
    rows = [line.replace("│", " ").split() for line in capsys.readouterr().out.splitlines() if "%" in line]
    assert rows == [
        ["read", "+", "decode", "6.00", "50%", "1.50"],
        ["kernel", "3.00", "25%", "0.75"],
        ["download", "1.50", "12%", "0.38"],
        ["idle", "1.50", "12%", "0.38"],
    ]


def test_a_stopped_job_says_with_which_cluster_to_go_on(tmp_path: Path, monkeypatch: Any) -> None:
    def stop(*_: Any, **__: Any) -> None:
        raise Stopped(signal.SIGTERM)

    monkeypatch.setattr("gridstride.pipeline.api.prepare", stop)
    monkeypatch.setattr("gridstride.pipeline.reports.status.kept", lambda out: f"; go on with: gridstride resume {out}")
    arguments = ["filter", "gaussian", "in.zarr", "out.zarr", "--sigma", "1", "--cluster", "my cluster.yaml"]
    result = CliRunner().invoke(main, arguments)
    assert result.exit_code == 143
    assert result.output == (
        "gridstride: stopped by SIGTERM; go on with: gridstride resume out.zarr --cluster 'my cluster.yaml'\n"
    )
