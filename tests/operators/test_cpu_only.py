"""Operators without CUDA twin: their sweeps run on the CPU where the device is a GPU, and the plan says so."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest

from gridstride.pipeline.clusters import deployment
from gridstride.pipeline.job import Environment
from gridstride.pipeline.options import RunOptions
from gridstride.pipeline.planning.plan import make_plan
from gridstride.workers import device
from gridstride.workers.clusters import Size
from gridstride.workers.clusters.config import ClusterConfig
from gridstride.workers.families.nodata import Awaiting, OfValid
from gridstride.workers.nodata import NoData
from gridstride.workers.operators.base import Grid, Operator, Window
from gridstride.workers.operators.graph import INPUT, Graph, Step
from gridstride.workers.operators.staged import Staged
from gridstride.workers.region import Region
from tests.blockwise import bound


@dataclass(frozen=True)
class Twinless(Operator):
    cpu_only = True

    def describe(self) -> str:
        return "twice"

    def cpu(self, window: Window, out: np.ndarray) -> None:
        out[...] = 2 * window.part(window.want).data


GRID = Grid.of((64, 64), np.uint16)
WITH_TWIN = bound("maximum", ((64, 64), np.uint16), size=3)
MIXED = Graph((Step("0", WITH_TWIN, (INPUT,)), Step("1", Twinless(), ("0",))))


@pytest.fixture
def gpu(monkeypatch: Any) -> None:
    def environment(options: RunOptions) -> Any:
        on_gpu = options.device != "cpu"
        size = Size(1, 2, 2_000_000_000, 100_000 if on_gpu else None)
        return ClusterConfig(), "gpu" if on_gpu else "cpu", "1 GPU" if on_gpu else "CPU, as asked", size

    monkeypatch.setattr(deployment, "environment", environment)


def test_it_is_computed_without_a_gpu(monkeypatch: Any) -> None:
    monkeypatch.setattr(device, "slots", None)  # nothing of a GPU is asked
    data, whole = np.arange(12, dtype=np.uint16).reshape(3, 4), Region.of((0, 0), (3, 4))
    result = device.compute(Twinless(), Window(data, whole, whole, Grid.of((3, 4), np.uint16)), "gpu")
    np.testing.assert_array_equal(result.values, 2 * data)


@pytest.mark.parametrize("wish", ["auto", "gpu"])
def test_the_plan_says_what_runs_on_the_cpu(wish: Any, gpu: None) -> None:
    there = Environment.of(RunOptions(device=wish), MIXED)
    assert there.device == "gpu"
    assert there.notes(MIXED) == ["on the CPU, for want of CUDA kernels: twice, with the steps that are fused with it"]
    assert there.notes(WITH_TWIN) == []
    request = there.request(MIXED, GRID, (64, 64), (64, 64))
    assert request.device_memory is None
    assert make_plan(request).memory_parts["pinned"] == 0
    assert there.request(WITH_TWIN, GRID, (64, 64), (64, 64)).device_memory == 100_000


def test_a_job_of_none_but_such_operators_is_the_cpus_unless_a_gpu_is_asked_for(gpu: None) -> None:
    twice = Graph((Step("0", Twinless()), Step("1", Twinless(), ("0",))))
    there = Environment.of(RunOptions(), twice)
    assert (there.device, there.reason) == ("cpu", "CPU: the operator has no CUDA kernels")
    assert there.notes(twice) == []
    asked = Environment.of(RunOptions(device="gpu"), twice)
    assert asked.device == "gpu"
    assert asked.notes(twice) == ["on the CPU, for want of CUDA kernels: twice"]


def test_what_is_made_of_such_an_operator_is_one_too() -> None:
    nodata = NoData((0,))
    made = (Staged(MIXED, (1,)), OfValid(Twinless(), nodata), Awaiting(Twinless(), nodata, 0))
    assert all(operator.cpu_only for operator in made)
    assert not WITH_TWIN.cpu_only
