"""Jobs that run programs of the user's: faults, going on, and who names the program."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import zarr
from scipy import ndimage
from skimage.restoration import denoise_tv_chambolle

import gridstride
from gridstride.pipeline import api, runner
from gridstride.pipeline import job as jobs
from gridstride.pipeline.errors import JobFailed, UsageError
from gridstride.pipeline.reports.status import resume_command
from gridstride.pipeline.storage.journal import Journal
from gridstride.pipeline.sweep.sweep import Sweep
from gridstride.workers import cluster
from gridstride.workers import code as codes

RIGHT = "def smooth(b, gain=1):\n    return (b[:-2] + b[2:]) * gain\n"
WRONG = "def smooth(b, gain=1, *, origin):\n    return (b[:-2] + b[2:]) * (gain // (8 - origin[0]) and gain)\n"


def smooth(array: np.ndarray, gain: int = 1) -> np.ndarray:
    padded = np.pad(array, [(1, 1)], "symmetric")
    return (padded[:-2] + padded[2:]) * gain


@pytest.fixture(scope="module")
def client() -> Any:
    with cluster.start("cpu", cluster.Size(1, 2, 4_000_000_000)) as client:
        yield client


@pytest.fixture
def array() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 99, 24).astype("int32")


@pytest.fixture
def source(store: Any, array: np.ndarray) -> str:
    return store(array, (4,))


@pytest.fixture
def file(tmp_path: Path) -> Path:
    (tmp_path / "own.py").write_text(RIGHT)
    return tmp_path / "own.py"


@pytest.fixture
def begun(source: str, file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An output that was begun, and of which no block is done; the process has forgotten which programs it may run."""
    out = tmp_path / "begun"
    with monkeypatch.context() as patched:
        patched.setattr(runner, "_with_cluster", lambda *_: None)
        gridstride.apply(f"{file}:smooth", source, out, halo=1, params={"gain": 3}, device="cpu")
    monkeypatch.setattr(codes, "_allowed", set())
    monkeypatch.setattr(codes, "_modules", {})
    return out


def test_a_fault_ends_the_job_in_one_line_and_finished_blocks_are_kept(
    source: str, file: Path, tmp_path: Path, array: np.ndarray, client: Any
) -> None:
    file.write_text(WRONG)
    out = tmp_path / "out"
    terms = {"halo": 1, "block": (4,), "device": "cpu"}
    with pytest.raises(JobFailed, match=r"^own\.py:2: ZeroDivisionError: .* \(block 8:12\)$"):
        api.run(api.prepare(file, source, out, **terms), client)
    file.write_text(RIGHT)
    with pytest.raises(UsageError, match=r"own\.py has changed since .*: put back what it was, or --overwrite"):
        api.prepare(file, source, out, **terms)
    job = api.prepare(file, source, out, overwrite=True, **terms)
    assert api.run(job, client).computed == 6
    np.testing.assert_array_equal(zarr.open_array(str(out))[...], smooth(array))


def test_a_program_in_an_output_is_not_run_unless_it_is_named(
    begun: Path, file: Path, array: np.ndarray, client: Any
) -> None:
    assert Journal(begun).exists()
    with pytest.raises(UsageError, match=f"not run unless you name it: gridstride resume {begun} --code own.py"):
        jobs.resume(begun)
    with pytest.raises(UsageError, match=r"code is 'gone\.py': gone\.py cannot be read"):
        api.resume(begun, code="gone.py")
    text = file.read_text()
    file.write_text(text + "\n")
    with pytest.raises(UsageError, match=r"was begun by own\.py, and .* is another program or has changed"):
        api.resume(begun, code=file)
    file.write_text(text)
    with pytest.raises(UsageError, match=r"calls own\.py:smooth, which is not what --code names"):
        api.resume(begun, code=f"{file}:other")
    assert resume_command(begun) == f"gridstride resume {begun} --code {file}"
    assert not codes._allowed
    api.run(jobs.resume(begun, code=[file]), client)
    np.testing.assert_array_equal(zarr.open_array(str(begun))[...], smooth(array, 3))


def test_a_function_from_python_is_named_there_to_go_on(
    source: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runner, "_with_cluster", lambda *_: None)
    gridstride.apply(smooth, source, tmp_path / "out", halo=0, device="cpu")
    assert resume_command(tmp_path / "out") == f"gridstride.resume('{tmp_path / 'out'}', code=[smooth]) in Python"
    jobs.resume(tmp_path / "out", code=[smooth])


def test_a_task_runs_no_program_that_its_client_has_not_sent(begun: Path, client: Any) -> None:
    """Whoever can write the output cannot make workers run a program."""
    job = jobs.resume(begun, code=[begun.parent / "own.py"])
    other = job.operator.but(code=codes.Code("own.py", RIGHT + "# another\n", "smooth"))
    runs = []

    def changed(work: Any, write: Any = runner.write_work) -> None:
        runs.append(work)
        write(type(work)(**{**vars(work), "operator": other}))

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(runner, "write_work", changed)
        with pytest.raises(JobFailed, match="not run unless you name it"):
            api.run(job, client)
    assert runs


def test_iterations_go_through_stores_that_are_gone_afterwards(
    source: str, file: Path, tmp_path: Path, array: np.ndarray, client: Any
) -> None:
    out = tmp_path / "out"
    terms = {"halo": 1, "iterations": 35, "block": (8,), "device": "cpu"}
    job = api.prepare(f"{file}:smooth", source, out, **terms)
    assert job.disk == 2 * array.nbytes  # what is read and what is written
    with pytest.MonkeyPatch.context() as patched:  # killed between the sweeps
        patched.setattr(runner, "Sweep", lambda *a: Sweep(*a) if a[1].part == "first-0" else pytest.fail("killed"))
        with pytest.raises(pytest.fail.Exception):
            api.run(job, client)
    api.run(api.prepare(f"{file}:smooth", source, out, **terms), client)
    wanted = array
    for _ in range(35):
        wanted = smooth(wanted)
    np.testing.assert_array_equal(zarr.open_array(str(out))[...], wanted)
    assert sorted(path.name for path in (out / ".gridstride").glob("first-*")) == ["first-0", "first-1"]
    assert not list((out / ".gridstride").glob("first-*/data"))


def test_several_values_for_each_element_of_five_axes_go_through_stores(tmp_path: Path, client: Any) -> None:
    """On an axis more than arrays may have."""
    array = np.random.default_rng(1).random((2, 1, 3, 9, 8), "float32")
    names = list("tczyx")
    zarr.create_array(str(tmp_path / "in"), data=array, chunks=(1, 1, 3, 4, 4), dimension_names=names)
    terms = {"iterations": 36, "block": (1, 1, 3, 4, 8), "device": "cpu"}
    api.run(api.prepare("denoise-tv", str(tmp_path / "in"), tmp_path / "out", **terms), client)
    wanted = [denoise_tv_chambolle(frame[0], 0.1, eps=0, max_num_iter=36)[None] for frame in array]
    np.testing.assert_allclose(zarr.open_array(str(tmp_path / "out"))[...], wanted, atol=1e-6)


@pytest.mark.parametrize("mode", ["nearest", "wrap"])
def test_the_example_in_time_is_fishers_equation(mode: str, store: Any, tmp_path: Path, client: Any) -> None:
    rng = np.random.default_rng(0)
    array = rng.random((11, 21)).astype("float32")
    terms = {"halo": 1, "iterations": 40, "mode": mode, "params": {"dt": 0.2, "rate": 0.5}}
    step = Path(__file__).parents[2] / "examples" / "kernels" / "fisher.py"
    u = array.astype(float)
    for _ in range(40):
        laplace = sum(ndimage.convolve1d(u, [1.0, -2.0, 1.0], axis, mode=mode) for axis in range(2))
        u = u + 0.2 * (laplace + 0.5 * u * (1 - u))
    found = []
    for name, block in (("cut", (4, 8)), ("whole", (12, 24))):
        job = api.prepare(step, store(array, (4, 8)), tmp_path / name, block=block, device="cpu", **terms)
        assert api.run(job, client).failed == {}
        found.append(zarr.open_array(str(tmp_path / name))[...])
    np.testing.assert_allclose(found[0], u, atol=2e-6)
    np.testing.assert_array_equal(*found, strict=True)
    with pytest.raises(UsageError, match=r"fisher\.py:\d+: ValueError: dt is 0\.3: this grid needs 0\.25 or less"):
        api.prepare(step, store(array, (4, 8)), tmp_path / "not", halo=1, params={"dt": 0.3})


def half(block: np.ndarray, by: int = 2) -> np.ndarray:
    return block // np.int32(by)


def test_functions_are_steps_of_a_chain(
    source: str, file: Path, tmp_path: Path, array: np.ndarray, client: Any
) -> None:
    steps = [("apply", {"file": half, "halo": 0, "param": {"by": 3}}), ("apply", {"file": file, "halo": 1})]
    job = api.prepare(steps, source, tmp_path / "out", device="cpu")
    assert [step["file"] for step in job.request["steps"]] == ["half", str(file)]
    api.run(job, client)
    np.testing.assert_array_equal(zarr.open_array(str(tmp_path / "out"))[...], smooth(array // 3))


def test_what_does_not_go_together_is_refused(source: str, file: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="cannot leave out elements without data"):
        api.prepare(file, source, tmp_path / "out", halo=1, nodata=3)
    with pytest.raises(UsageError, match="halo is missing"):
        api.prepare(half, source, tmp_path / "out")
    assert not (tmp_path / "out").exists()
