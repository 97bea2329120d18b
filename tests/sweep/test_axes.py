"""Results that have fewer axes than the input, or more: planned, cut on every axis, resumed, and described rightly."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import zarr
from distributed import Client

from gridstride.pipeline import job as jobs
from gridstride.pipeline import runner
from gridstride.pipeline.errors import UsageError
from gridstride.pipeline.layout import Layout
from gridstride.pipeline.options import RunOptions
from gridstride.pipeline.planning import blocks
from gridstride.pipeline.storage.describe import describe
from gridstride.pipeline.storage.journal import Journal
from gridstride.workers import saving
from gridstride.workers.operators import registry
from gridstride.workers.operators.base import Axis, Grid, Operator, Window
from gridstride.workers.operators.graph import Graph, Step
from gridstride.workers.region import Region

NAMES = ("c", "z", "y", "x")


@dataclass(frozen=True)
class Least(Operator):
    """np.min along an axis, which the result lacks."""

    axis: int

    def out_grid(self, grid: Grid) -> Grid:
        kept = [i for i in range(grid.ndim) if i != self.axis]
        return Grid(tuple(grid.shape[i] for i in kept), grid.dtype, tuple(grid.axes[i] for i in kept))

    def axes_from(self, grid: Grid) -> tuple[int | None, ...]:
        return tuple(i for i in range(grid.ndim) if i != self.axis)

    def needed(self, want: Region, grid: Grid) -> Region:
        spans = list(want.spans)
        spans.insert(self.axis, (0, grid.shape[self.axis]))
        return Region(tuple(spans))

    def cpu(self, window: Window, out: np.ndarray) -> None:
        out[...] = window.part(self.needed(window.want, window.grid)).data.min(self.axis)


@dataclass(frozen=True)
class Pair(Operator):
    """A new first axis: each element, and the one before it along the last axis (of the first, itself)."""

    def out_grid(self, grid: Grid) -> Grid:
        return Grid((2, *grid.shape), grid.dtype, (Axis("pair", "unknown"), *grid.axes))

    def axes_from(self, grid: Grid) -> tuple[int | None, ...]:
        return (None, *range(grid.ndim))

    def uncut(self, grid: Grid) -> frozenset[int]:
        return frozenset([0])

    def needed(self, want: Region, grid: Grid) -> Region:
        *others, (start, stop) = want.spans[1:]
        return Region((*others, (max(start - 1, 0), stop)))

    def cpu(self, window: Window, out: np.ndarray) -> None:
        window = window.part(self.needed(window.want, window.grid))
        n = window.want.shape[-1]
        out[0] = window.data[..., -n:]
        out[1, ..., :1] = window.data[..., :1]
        out[1, ..., 1:] = window.data[..., -n:-1]
        if window.data.shape[-1] > n:
            out[1] = window.data[..., :-1]


@dataclass(frozen=True)
class Stored(Operator):
    """An operator whose result is stored by a sweep of its own, and then read by another operator."""

    first: Operator
    then: Operator

    def out_grid(self, grid: Grid) -> Grid:
        return self.then.out_grid(self.first.out_grid(grid))

    def axes_from(self, grid: Grid) -> tuple[int | None, ...]:
        return Graph((Step("a", self.first), Step("b", self.then, ("a",)))).axes_from(grid)

    def needed(self, want: Region, grid: Grid) -> Region:
        return self.first.needed(self.then.needed(want, self.first.out_grid(grid)), grid)

    def first_sweep(self) -> Operator | None:
        return self.first

    def resolve(self, reports: Iterable[np.ndarray], grid: Grid) -> Operator:
        return self.then


@dataclass(frozen=True)
class Made:
    """A recipe, as `registry.find` gives one: of any operator."""

    operator: Operator

    def __call__(self) -> Made:
        return self

    def bind(self, grid: Grid) -> Operator:
        return self.operator

    def resolved(self, grid: Grid) -> dict[str, Any]:
        return {}

    def notes(self) -> list[str]:
        return []


@pytest.fixture(scope="module")
def client() -> Any:
    """Of this process, which knows this file's operators."""
    with Client(processes=False, n_workers=1, threads_per_worker=2, dashboard_address="127.0.0.1:0") as client:
        yield client


@pytest.fixture
def make(monkeypatch: Any, store: Any, tmp_path: Path) -> Any:
    """A function that makes the job of an operator, in the place of median, on an array of NAMES."""

    def made(operator: Operator, array: np.ndarray, **terms: Any) -> jobs.Job:
        monkeypatch.setattr(registry, "find", lambda name: Made(operator))
        monkeypatch.setattr(saving, "OURS", "")  # this file's classes too
        attributes = {"voxel_size": [1.0, 4.0, 2.0, 0.5], "translation": [0.0, 1.0, 2.0, 3.0], "by": "us"}
        source = store(array, (1, 2, 3, 4), shards=(2, 4, 3, 8), dimension_names=NAMES, attributes=attributes)
        options = RunOptions(device="cpu", block=terms.pop("block", None), halos=terms.pop("halos", "auto"))
        return jobs.make_job([("median", {})], source, tmp_path / "out", options=options, **terms)

    return made


def result(job: jobs.Job, client: Any) -> np.ndarray:
    summary = runner.run(job, client)
    assert (summary.computed, summary.failed) == (summary.plan.blocks, {})
    return zarr.open_array(str(job.out), mode="r")[...]


ARRAY = np.random.default_rng(0).integers(0, 60000, (3, 7, 6, 13)).astype(np.uint16)


@pytest.mark.parametrize("axis", range(4))
def test_an_axis_less(make: Any, client: Any, axis: int) -> None:
    kept = [i for i in range(4) if i != axis]
    unit = [(2, 4, 3, 8)[i] for i in kept]
    job = make(Least(axis), ARRAY, block=unit)
    assert job.layout == Layout(tuple((1, 2, 3, 4)[i] for i in kept), tuple(unit), "lz4")
    assert (job.plan.halos, job.plan.blocks) == (
        "read",
        np.prod([-(-ARRAY.shape[i] // u) for i, u in zip(kept, unit, strict=True)]),
    )
    np.testing.assert_array_equal(result(job, client), ARRAY.min(axis), strict=True)
    info = describe(job.out)
    assert info.dimension_names == tuple(NAMES[i] for i in kept)
    assert [a.spacing for a in info.naming.axes] == [(1, 4, 2, 0.5)[i] for i in kept]
    assert [a.origin for a in info.naming.axes] == [(0, 1, 2, 3)[i] for i in kept]
    assert info.attributes["by"] == "us"


def test_an_axis_more(make: Any, client: Any) -> None:
    job = make(Pair(), ARRAY, block=(2, 2, 4, 3, 8), codec="none")
    assert job.layout == Layout((1, 1, 2, 3, 4), (1, 2, 4, 3, 8), "none")
    assert (job.plan.halos, job.plan.grid) == ("read", (1, 2, 2, 2, 2))
    before = ARRAY[..., [0, *range(12)]]
    np.testing.assert_array_equal(result(job, client), np.stack([ARRAY, before]), strict=True)
    info = describe(job.out)
    assert info.dimension_names == ("pair", *NAMES)
    assert info.attributes["voxel_size"] == [1.0, 1.0, 4.0, 2.0, 0.5]
    assert [axis.origin for axis in info.naming.axes] == [0, 0, 1, 2, 3]


def test_it_goes_on_after_a_kill(make: Any, client: Any) -> None:
    job = make(Least(1), ARRAY, block=(2, 3, 8))
    whole = result(job, client)
    journal = Journal(job.out)
    names = sorted(journal.markers())
    for name in names[::2]:
        (journal.blocks / name).unlink()
    zarr.open_array(str(job.out))[...] = 0
    again = jobs.resume(job.out, RunOptions(device="cpu"))
    assert (again.plan.block, again.attributes) == (job.plan.block, job.attributes)
    summary = runner.run(again, client)
    assert (summary.computed, summary.skipped, summary.failed) == (-(-len(names) // 2), len(names) // 2, {})
    found = zarr.open_array(str(job.out), mode="r")[...]
    assert ((found == whole) | (found == 0)).all()


@pytest.mark.parametrize(("first", "then"), [(Least(2), Pair()), (Pair(), Least(0)), (Pair(), Least(4))])
def test_what_a_first_sweep_stores_is_cut_as_the_input_is(
    make: Any, client: Any, monkeypatch: Any, first: Any, then: Any
) -> None:
    monkeypatch.setattr(blocks, "SMALLEST_USEFUL_BLOCK", 500)
    job = make(Stored(first, then), ARRAY)
    grids = [first.out_grid(job.grid)]
    grids.append(then.out_grid(grids[0]))
    found = [ARRAY]
    for operator, grid in zip((first, then), grids, strict=True):
        window = Window(
            found[-1], Region.whole(found[-1].shape), Region.whole(grid.shape), Grid.of(found[-1].shape, "u2")
        )
        found.append(np.empty(grid.shape, np.uint16))
        operator.cpu(window, found[-1])
    np.testing.assert_array_equal(result(job, client), found[-1], strict=True)
    unit = job.unit_of(first, job.grid, job.input.chunks)
    assert unit == tuple(1 if i is None else (1, 2, 3, 4)[i] for i in first.axes_from(job.grid))


def test_neighbours_cannot_give_it_to_each_other(make: Any, client: Any) -> None:
    with pytest.raises(UsageError, match="--halos exchange"):
        make(Least(1), ARRAY, block=(2, 3, 8), halos="exchange")
    job = make(Least(1), ARRAY, block=(3, 6, 13), halos="exchange")  # one block has no neighbours
    assert job.plan.halos == "read"
    np.testing.assert_array_equal(result(job, client), ARRAY.min(1), strict=True)


def test_too_few_and_too_many_axes(make: Any) -> None:
    two = Graph((Step("a", Pair()), Step("b", Pair(), ("a",))))
    with pytest.raises(UsageError, match="the result would have 6 axes: expected 1 to 5"):
        make(two, ARRAY)
    steps = [Step("0", Least(0)), *(Step(str(i), Least(0), (str(i - 1),)) for i in range(1, 4))]
    with pytest.raises(UsageError, match="the result would have 0 axes: expected 1 to 5"):
        make(Graph(tuple(steps)), ARRAY)


def test_memory_is_planned_for_whole_lines(make: Any) -> None:
    """A block of the result is small, and what it reads is not."""
    array = np.zeros((1, 200, 6, 16), np.uint16)
    job = make(Least(1), array, block=(1, 3, 8))
    assert job.plan.memory_parts["blocks with halo"] >= 200 * 3 * 8 * 2
