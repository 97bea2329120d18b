"""A pipeline has the bytes of its steps one after another, fused or cut into stages, wherever blocks and stages are cut
and whenever it is killed; and it is cut where that takes less time."""

from __future__ import annotations

import shutil
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import zarr

from gridstride.pipeline import api, runner
from gridstride.pipeline import job as jobs
from gridstride.pipeline.errors import UsageError
from gridstride.pipeline.options import RunOptions
from gridstride.pipeline.pipelines.bind import bind
from gridstride.pipeline.pipelines.file import load_pipeline
from gridstride.pipeline.pipelines.staging import Stager
from gridstride.pipeline.planning import blocks
from gridstride.pipeline.reports.status import kept, status
from gridstride.pipeline.storage.journal import FOLDER, Journal
from gridstride.pipeline.sweep.block_task import Work, begun_work, write_work
from gridstride.workers import cluster
from gridstride.workers.operators import registry
from gridstride.workers.operators.graph import Graph
from gridstride.workers.operators.staged import Staged, cuttable
from tests.blockwise import apply, grid_of
from tests.cases import NAMES, case, mirror
from tests.cuda_host import table

TAIL = [("uniform", {"size": 3, "mode": "wrap", "dtype": "float32"}), ("threshold", {"method": "otsu"}),
        ("uniform", {"size": 2, "dtype": "float32"}), ("threshold", {"method": "otsu"})]  # fmt: skip


def one_after_another(pipeline: Any, array: np.ndarray) -> np.ndarray:
    for step in bind(pipeline, grid_of(array)).steps:
        array = apply(step.operator, array)
    return array


@pytest.mark.parametrize("name", NAMES)
def test_any_operator_in_a_pipeline_gives_what_the_steps_give_one_after_another(name: str) -> None:
    rng = np.random.default_rng(zlib.crc32(name.encode()))
    of = mirror(name)
    exact = [n for n in range(len(of.EXAMPLES)) if case(name, n).operator.exact]  # an FFT's last bits depend on the cut
    fields, shape, dtype = of.EXAMPLES[rng.choice(exact)]
    fields = {"method": "otsu"} if name == "threshold" else fields
    array = getattr(of, "array", table.numbers)(rng, shape, dtype)
    if array.dtype.kind == "f":
        array = np.nan_to_num(array, posinf=9, neginf=-9)
    labels = registry.find(name)(**fields).bind(grid_of(array)).meaning().labels  # which no mean may be of
    tail = [("median", {"size": 3, "mode": "wrap"}), *TAIL[1:]] if labels else TAIL
    pipeline = load_pipeline([(name, fields), *tail[: rng.integers(2, len(tail) + 1)]])
    try:
        wanted = one_after_another(pipeline, array)
    except ValueError as error:  # Otsu's threshold is of values that differ by more than rounding
        assert str(error).startswith("otsu: the array's values")  # noqa: PT017
        pipeline = load_pipeline([(name, fields), *tail[::2]])
        wanted = one_after_another(pipeline, array)
    graph = bind(pipeline, grid_of(array)).operator
    assert isinstance(graph, Graph)
    assert graph.exact
    block = [int(rng.integers(max(2, n // 4), max(3, n))) for n in wanted.shape]
    cuts = tuple(cut for cut in cuttable(graph) if rng.random() < 0.5)
    for operator in (graph, Staged(graph, cuts) if cuts else graph, Staged(graph, (1,))):
        np.testing.assert_array_equal(apply(operator, array, block), wanted, strict=True)


STEPS: Any = [
    {"median": {"size": 3, "name": "calm"}},
    {"uniform": {"size": [3, 5], "mode": "mirror", "dtype": "float32"}},
    {"threshold": {"method": "otsu"}},
    {"uniform": {"size": 3, "dtype": "float32"}},
    {"threshold": {"method": "otsu"}},
]


def image() -> np.ndarray:
    return (np.random.default_rng(3).random((40, 36)) ** 4 * 60000).astype(np.uint16)


def cut_at(monkeypatch: Any, *cuts: int) -> None:
    monkeypatch.setattr(Stager, "best", lambda self: cuts)


@pytest.fixture(scope="module")
def client() -> Iterator[Any]:
    with cluster.start("cpu", cluster.Size(1, 2, 2_000_000_000)) as client:
        yield client


@pytest.mark.slow
@pytest.mark.parametrize("cuts", [(), (1, 2, 3)])
def test_killed_after_any_block_it_goes_on_to_the_same_bytes(
    cuts: tuple[int, ...], store: Any, tmp_path: Path, client: Any, monkeypatch: Any
) -> None:
    monkeypatch.setattr(blocks, "SMALLEST_USEFUL_BLOCK", 1500)  # several blocks in the sweeps before the last one too
    cut_at(monkeypatch, *cuts)
    array, out, options = image(), tmp_path / "out", RunOptions(device="cpu", block=(16, 36), halos="read")
    job = api.prepare(load_pipeline(STEPS), store(array, (8, 12)), out, options=options)

    @contextmanager
    def killed(total: int, done: int, story: Any) -> Iterator[Any]:
        def report(record: Any) -> None:
            raise KeyboardInterrupt

        yield report

    runs = 0
    while True:
        try:
            summary = runner.run(job, client, killed)
            break
        except KeyboardInterrupt:
            runs += 1
            found = status(out)
            assert found.done == found.total or found.more["sweeps before"][0] != "0"
            cut_at(monkeypatch)  # what a job was begun with holds
            job = jobs.resume(out, RunOptions(device="cpu"))
    assert runs >= 5  # in each sweep
    assert summary.failed == {}
    np.testing.assert_array_equal(
        zarr.open_array(str(out), mode="r")[...], one_after_another(load_pipeline(STEPS), array)
    )
    assert not list((out / FOLDER).glob("first-*/data"))
    assert len(job.groups) == 2 * len(cuts) + (1 if cuts else 2)


def planned(steps: Any, where: Path, memory: int, shape: Any = (512, 1024, 1024), dtype: str = "uint16") -> Any:
    """The job of a pipeline on an array without chunks."""
    if not where.exists():
        zarr.create_array(str(where), shape=shape, chunks=(64, 128, 128), dtype=dtype)
    pipeline = load_pipeline([{name: terms} for name, terms in steps])
    return api.prepare(pipeline, where, where.with_name("out"), device="cpu", workers=2, memory=memory)


def test_steps_are_fused_where_a_stored_result_saves_no_time(tmp_path: Path) -> None:
    job = planned([("gaussian", {"sigma": 2}), ("median", {"size": 3})], tmp_path / "in", 8_000_000_000)
    assert len(job.stages.groups) == 1
    assert job.groups[1].startswith("fused: a result that is stored between takes 2.15 GB more")
    assert job.disk == job.plan.bytes_out


def test_a_result_is_stored_where_halos_would_be_computed_again_and_again(tmp_path: Path) -> None:
    steps = [("uniform", {"size": 101, "dtype": "float32"}), ("uniform", {"size": 101}), ("uniform", {"size": 101})]
    job = planned(steps, tmp_path / "in", 3_500_000_000)
    assert [group.last for group in job.stages.groups] == [2, 3]
    assert "more elements than there are, which saves about" in job.groups[1]
    assert job.disk == 2 * job.plan.bytes_out
    assert len(planned(steps, tmp_path / "in", 64_000_000_000).stages.groups) == 1  # with memory for larger blocks


def test_a_result_is_stored_where_fused_steps_do_not_fit_the_memory(tmp_path: Path) -> None:
    steps = [("uniform", {"size": 201, "dtype": "float32"}), ("uniform", {"size": 201})]
    job = planned(steps, tmp_path / "in", 2_500_000_000)
    assert [group.last for group in job.stages.groups] == [1, 2]
    assert "stored (2.15 GB): fused, one block of 256 x 256 x 256 needs 1.55 GB in each worker" in job.groups[1]


def test_a_mask_is_stored_where_sweeps_would_compute_it_again(tmp_path: Path) -> None:
    steps: Any = [
        ("median", {"size": 9}),
        ("threshold", {"method": "otsu"}),
        ("gaussian", {"sigma": 2, "dtype": "float32"}),
    ]
    job = planned([*steps, ("threshold", {"method": "otsu"})], tmp_path / "in", 8_000_000_000)
    assert [(group.first, group.last) for group in job.stages.groups] == [(0, 1), (1, 2), (2, 4)]
    assert "sweeps that a later step asks for read it" in job.groups[1]
    assert job.groups[2].startswith("step 2 (threshold): 2 sweeps, of which the last one writes; halo 0+0, 0+0, ")
    assert job.groups[4].startswith("steps 3 to 4 (gaussian, threshold): 3 sweeps, ")


def iterating(
    tmp_path: Path, memory: int = 8_000_000_000, times: int = 200, dtype: str = "uint16", **terms: Any
) -> Any:
    (tmp_path / "own.py").write_text("def lap(block):\n    return block[1:-1, 1:-1, 1:-1]\n")
    step = {"file": f"{tmp_path}/own.py:lap", "halo": 1, "iterations": times, **terms}
    return planned([("median", {"size": 3}), ("apply", step)], tmp_path / "in", memory, (64, 128, 128), dtype)


def test_each_sweep_of_many_times_is_counted_in_time_and_on_disk(tmp_path: Path) -> None:
    job, few = iterating(tmp_path), iterating(tmp_path, times=32)
    size = job.plan.bytes_out
    assert job.disk == few.disk == 2 * size  # what a sweep reads and what it writes
    text = "\n".join(job.groups)
    assert "13 sweeps, each of which writes" in text
    assert "and do not compute it again" not in text
    last = job.stages.groups[-1]
    operator = last.operator.steps[-1].operator if isinstance(last.operator, Graph) else last.operator
    assert operator.sweeps() == 12
    assert operator.element_time(last.grid) > 5 * few.stages.groups[-1].operator.element_time(last.grid) > 0
    assert sum(group.total for group in job.stages.groups) > 2 * sum(group.total for group in few.stages.groups)


def test_a_job_whose_first_sweep_does_not_fit_is_refused_before_anything_is_written(tmp_path: Path) -> None:
    """Its first sweep goes through wide numbers twice, and the last one, whose plan is the job's, once."""
    zarr.create_array(str(tmp_path / "in"), shape=(64,) * 3, chunks=(64,) * 3, dtype="float64")
    (tmp_path / "own.py").write_text("def f(b):\n    return b[8:-8, 8:-8, 8:-8].astype('float32')\n")
    terms: Any = {"halo": 8, "iterations": 3, "device": "cpu", "workers": 1}
    fits = []
    for memory in range(702_000_000, 724_000_000, 4_000_000):
        try:
            job = api.prepare(f"{tmp_path}/own.py", tmp_path / "in", tmp_path / "out", memory=memory, **terms)
        except UsageError as error:
            assert "make --memory at least" in str(error)  # noqa: PT017
            continue
        fits.append(memory)
        job.plan_sweep(job.operator.first_sweep(), job.grid, job.input.chunks, "first-0", None)
    assert 0 < len(fits) < 6


def test_what_another_client_began_meanwhile_with_other_blocks_or_cuts_is_left_alone(
    store: Any, tmp_path: Path, monkeypatch: Any
) -> None:
    monkeypatch.setattr(runner, "_with_cluster", lambda *_: None)
    source, out = store(image(), (8, 12)), tmp_path / "out"
    pipeline = load_pipeline(STEPS)
    for cuts, block in (((2,), (16, 36)), ((), (24, 36))):
        cut_at(monkeypatch, *cuts)
        late = api.prepare(pipeline, source, out, device="cpu", block=block)
        cut_at(monkeypatch)
        api.run(api.prepare(pipeline, source, out, device="cpu", block=(16, 36)))
        begun = (out / FOLDER / "job.json").read_bytes()
        with pytest.raises(UsageError, match="out was begun by another gridstride meanwhile: give the command again"):
            api.run(late)
        assert (out / FOLDER / "job.json").read_bytes() == begun
        (out / FOLDER / "job.json").write_bytes(begun.replace(b'"cuts"', b'"was"'))  # as another edition has it
        with pytest.raises(UsageError, match="out was begun by an earlier gridstride: use --overwrite"):
            jobs.resume(out)
        shutil.rmtree(out)


def test_a_finished_sweep_whose_result_is_gone_is_not_made_again(store: Any, tmp_path: Path, monkeypatch: Any) -> None:
    """Two sweeps were made, and the first one's result was deleted, when the job was killed."""
    cut_at(monkeypatch, 1)
    source, out = store(image(), (8, 12)), tmp_path / "out"
    job = api.prepare(load_pipeline(STEPS[:2]), source, out, device="cpu")
    made: list[str] = []
    monkeypatch.setattr(runner, "create", lambda where, *_: made.append(where.parent.name))
    first, journal = job.operator.first_sweep(), Journal(out, "first-0")
    Journal(out).begin(job.record())
    plan = job.plan_sweep(first, job.grid, job.input.chunks, "first-0", None)
    work = Work(job.input.path, str(out), "first-0", "", Journal(out).hash, "cpu", plan, first, job.grid)
    for done in (False, True):
        begun = begun_work(out, "first-0")
        runner._intermediate(job, "first-0", first.out_grid(job.grid), (8, 12), begun)
        assert made == ["first-0"]
        if not done:
            journal.begin_sweep()
            write_work(work)
            journal.mark((0, 0), tuple(n - 1 for n in plan.grid))
    assert kept(out).startswith("; 0 of 1 block (sweeps before: 1 of 1 block) are kept; go on with: ")


@pytest.mark.slow
def test_a_job_goes_on_only_if_what_its_stages_read_is_what_it_was(store: Any, tmp_path: Path, client: Any) -> None:
    source, out = store(image(), (8, 12)), tmp_path / "out"
    job = api.prepare(load_pipeline([{"threshold": {"method": "otsu"}}]), source, out, device="cpu")

    @contextmanager
    def killed(total: int, done: int, story: Any) -> Iterator[Any]:
        yield lambda record: (_ for _ in ()).throw(KeyboardInterrupt)

    with pytest.raises(KeyboardInterrupt):
        runner.run(job, client, killed)
    zarr.open_array(source)[:] = 3
    with pytest.raises(UsageError, match="has changed since"):
        jobs.resume(out, RunOptions(device="cpu"))
