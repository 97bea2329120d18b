"""Many small blocks: few tasks, few in flight, and the same bytes whichever way blocks get their halos."""

from __future__ import annotations

import random
from dataclasses import replace
from itertools import product
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import zarr
from hypothesis import given
from hypothesis import strategies as st
from plans import request as make_request
from scipy import ndimage
from test_resume import digest

from gridstride.pipeline import api
from gridstride.pipeline.errors import UsageError
from gridstride.pipeline.options import RunOptions
from gridstride.pipeline.planning import batches
from gridstride.pipeline.planning.plan import make_plan
from gridstride.pipeline.storage.journal import Journal, marked_box, marker_name
from gridstride.pipeline.sweep import sweep
from gridstride.pipeline.sweep.own_halos import unfinished
from gridstride.workers import cluster

SMALL: dict[str, Any] = {"write_unit": (16,) * 3, "block": (16,) * 3, "halo": ((1, 1),) * 3, "read_unit": (32,) * 3}


@pytest.fixture(scope="module")
def client() -> Any:
    with cluster.start("cpu", cluster.Size(2, 1, 4_000_000_000)) as client:
        yield client


@pytest.mark.parametrize("blocks", [10, 20, 46])
def test_small_blocks_share_a_task(blocks: int) -> None:
    plan = make_plan(make_request(shape=(16 * blocks,) * 3, **SMALL))
    assert (plan.halos, plan.blocks) == ("read", blocks**3)
    assert plan.tasks == plan.batches <= max(16, plan.blocks / 100)
    assert prod(plan.batch) <= batches.MOST_BLOCKS_IN_RUN
    assert prod(b * n for b, n in zip(plan.block, plan.batch, strict=True)) * 4 <= batches.LARGEST_RUN
    assert plan.batches >= 4 * 2  # every thread has some


def test_large_blocks_get_their_halos_from_their_neighbours() -> None:
    for changes in (
        {"shape": (4096,) * 3},
        {"shape": (4096,) * 3, "block": (256,) * 3},
        {"shape": (8192,) * 3, "workers": 8, "threads": 8, "memory": None},
        {"shape": (512,) * 3, "read_unit": (32,) * 3},
        {"shape": (4096, 256, 256), "halo": ((8, 8), (0, 0), (0, 0))},
    ):
        assert make_plan(make_request(**changes)).halos == "exchange", changes


def test_a_thousand_workers_do_not_wait_for_one_scheduler() -> None:
    plan = make_plan(make_request(shape=(16384,) * 3, block=(256,) * 3, workers=1000, threads=8, memory=None))
    assert plan.halos == "read"


def test_blocks_without_halo_have_nobody_to_ask() -> None:
    assert make_plan(make_request(shape=(4096,) * 3, halo=((0, 0),) * 3)).halos == "read"
    assert make_plan(make_request(shape=(4096,) * 3, halo=((0, 0),) * 3, halos="exchange")).halos == "exchange"


def test_halos_are_read_where_memory_does_not_hold_the_neighbours() -> None:
    tight = {"shape": (4096,) * 3, "block": (256,) * 3, "memory": 1_050_000_000}
    with pytest.raises(UsageError, match="--memory at least"):
        make_plan(make_request(**tight, halos="exchange"))
    plan = make_plan(make_request(**tight))
    assert plan.halos == "read"
    assert plan.memory_total <= 1_050_000_000


@given(st.lists(st.tuples(st.integers(0, 300), st.integers(0, 300)).map(sorted), min_size=1, max_size=5))
def test_a_marker_names_its_box(ends: Any) -> None:
    first, last = tuple(a for a, _ in ends), tuple(b for _, b in ends)
    assert marked_box(marker_name(first, last)) == (first, last)
    assert marker_name(first, first) == ".".join(map(str, first))


def test_the_journal_knows_the_blocks_of_a_box(tmp_path: Path) -> None:
    journal = Journal(tmp_path)
    journal.begin({})
    journal.mark((0, 1), (2, 1))
    journal.mark((3, 3))
    assert journal.done() == {(0, 1), (1, 1), (2, 1), (3, 3)}
    mask = journal.done_mask((4, 4))
    assert set(zip(*(axis.tolist() for axis in mask.nonzero()), strict=True)) == journal.done()
    assert journal.has((0, 1), (2, 1))
    assert not journal.has((0, 1))


@given(st.data())
def test_what_is_left_is_cut_into_boxes_of_unfinished_blocks(data: Any) -> None:
    grid = tuple(data.draw(st.lists(st.integers(1, 6), min_size=1, max_size=3)))
    seed = data.draw(st.integers(0, 99))
    done = np.random.default_rng(seed).random(grid) < data.draw(st.sampled_from([0.0, 0.1, 0.9, 1.0]))
    whole = data.draw(st.booleans())
    boxes = list(unfinished(tuple((0, n) for n in grid), done, whole))
    blocks = [i for first, last in boxes for i in product(*(range(a, b + 1) for a, b in zip(first, last, strict=True)))]
    assert len(blocks) == len(set(blocks)) == done.size - done.sum()
    assert not any(done[i] for i in blocks)
    if not whole:
        assert all(first == last for first, last in boxes)
    elif not done.any():
        assert len(boxes) == 1


def prepared(source: str, out: Path, halos: str, run: tuple[int, ...] | None = None, **changes: Any) -> Any:
    options = RunOptions(device="cpu", workers=2, block=(8, 8, 8), halos=halos)
    values: dict[str, Any] = {"sigma": 0.8, "precision": "double", "cast": "scipy", "chunks": (4, 8, 8), **changes}
    made = api.prepare("gaussian", source, out, options=options, **values)
    plan = made.plan if run is None else replace(made.plan, batch=run)
    return replace(made, plan=plan)


@pytest.mark.slow
def test_both_ways_give_scipys_bytes(store: Any, tmp_path: Path, client: Any, monkeypatch: Any) -> None:
    array = np.random.default_rng(0).integers(0, 60000, (24, 28, 19)).astype(np.uint16)
    source, modes = store(array, (9, 10, 11)), ["reflect", "wrap", "mirror"]
    sent: list[str] = []
    submit = type(client).submit
    monkeypatch.setattr(type(client), "submit", lambda *a, **k: (sent.append(k["key"]), submit(*a, **k))[1])
    for name, halos, run in (("a", "exchange", None), ("b", "store", (2, 3, 2)), ("c", "store", None)):
        sent.clear()
        done = prepared(source, tmp_path / name, halos, run, mode=modes)
        summary = api.run(done, client)
        assert (summary.computed, summary.retried, summary.failed) == (done.plan.blocks, 0, {})
        if halos == "read":
            assert len(sent) <= done.plan.tasks == done.plan.batches < done.plan.blocks
        result = zarr.open_array(str(tmp_path / name), mode="r")[...]
        np.testing.assert_array_equal(result, ndimage.gaussian_filter(array, 0.8, mode=modes))
    # Chunks and their bytes; the array's metadata says the same of all three.
    assert digest(tmp_path / "a") == digest(tmp_path / "b") == digest(tmp_path / "c")


def test_few_tasks_are_in_flight(store: Any, tmp_path: Path, client: Any, monkeypatch: Any) -> None:
    source = store(np.zeros((80, 80), np.uint8), (8, 8))
    made = api.prepare(
        "uniform", source, tmp_path / "out", size=3, options=RunOptions(device="cpu", block=(8, 8), halos="read")
    )
    made = replace(made, plan=replace(made.plan, batch=(1, 1)))
    flying, most = 0, 0
    submit, take = type(client).submit, sweep.Sweep._take

    def send(*args: Any, **keywords: Any) -> Any:
        nonlocal flying, most
        flying += 1
        most = max(most, flying)
        return submit(*args, **keywords)

    def count(self: Any, result: Any) -> None:
        nonlocal flying
        flying -= 1
        take(self, result)

    monkeypatch.setattr(type(client), "submit", send)
    monkeypatch.setattr(sweep.Sweep, "_take", count)
    assert api.run(made, client).computed == 100
    assert most == sweep.RUNS_IN_FLIGHT * 2


@pytest.mark.slow
def test_a_job_cut_short_goes_on_with_other_workers_and_the_other_way(store: Any, tmp_path: Path, client: Any) -> None:
    """Markers are of boxes of all sizes, some of which are lost, with the data."""
    array = np.random.default_rng(1).integers(0, 60000, (32, 24, 24)).astype(np.uint16)
    source = store(array, (12, 12, 12))
    calm, out = tmp_path / "calm", tmp_path / "out"
    api.run(prepared(source, calm, "exchange"), client)
    book, chance = Journal(out), random.Random(3)
    ways: list[tuple[str, Any]] = [
        ("store", (2, 1, 3)),
        ("exchange", (2, 3, 2)),
        ("store", (3, 1, 2)),
        ("store", (1, 2, 1)),
    ]
    with cluster.start("cpu", cluster.Size(1, 1, 2_000_000_000)) as one:
        for halos, run in ways:
            done = len(book.done())
            summary = api.run(prepared(source, out, halos, run), chance.choice([client, one]))
            assert (summary.skipped, summary.computed, summary.failed) == (done, 36 - done, {})
            assert digest(out) == digest(calm)
            for name in sorted(book.markers()):
                if chance.random() < 0.5:
                    (book.blocks / name).unlink()
                    first, last = marked_box(name)
                    for i, j, k in product(*(range(a, b + 1) for a, b in zip(first, last, strict=True))):
                        for half in (2 * i, 2 * i + 1):
                            (out / "c" / str(half) / str(j) / str(k)).unlink()
            assert 0 < len(book.done()) < 36


def test_by_fft_a_run_is_computed_block_by_block(store: Any, tmp_path: Path, client: Any) -> None:
    """An FFT's last bits depend on its length."""
    rng = np.random.default_rng(0)
    source = store(rng.random((40, 40)), (10, 10))
    kernel = rng.random((5, 5))
    results = []
    for halos, run in (("exchange", None), ("store", (2, 3))):
        made = api.prepare(
            "correlate", source, tmp_path / halos, kernel=kernel, algorithm="fft",
            options=RunOptions(device="cpu", block=(10, 10), halos=halos),
        )  # fmt: skip
        if run:
            made = replace(made, plan=replace(made.plan, batch=run))
        assert api.run(made, client).computed == 16
        results.append(digest(tmp_path / halos))
    assert results[0] == results[1]


def test_blocks_of_a_run_that_fails_are_tried_one_by_one(store: Any, tmp_path: Path, client: Any) -> None:
    array = np.random.default_rng(0).integers(0, 60000, (60, 60)).astype(np.uint16)
    source = store(array, (10, 10))
    Path(source, "c", "5", "5").write_bytes(b"this is no blosc frame")
    options = RunOptions(device="cpu", block=(10, 10), halos="read")
    made = api.prepare("gaussian", source, tmp_path / "out", sigma=0.5, options=options)
    made = replace(made, plan=replace(made.plan, batch=(3, 3)))
    summary = api.run(made, client)
    assert sorted(summary.failed) == ["4.4", "4.5", "5.4", "5.5"]
    assert (summary.computed, summary.retried) == (32, 5)
