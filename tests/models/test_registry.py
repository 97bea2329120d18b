"""A model is added by a folder, or by a package that names one: nothing else knows of it."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from gridstride.pipeline.simulations.case import make_case
from gridstride.workers import saving
from gridstride.workers.models import registry

MODEL = '''
"""Decay: du/dt = -rate u in every cell."""

from dataclasses import dataclass
from types import SimpleNamespace
from typing import Literal

import numpy as np
from pydantic import Field

from gridstride.workers.models import sections
from gridstride.workers.models.base import Model, Setup
from gridstride.workers.models.domain import PERIODIC, Advance, Domain, Sums
from gridstride.workers.models.block import Block
from gridstride.workers.models.sections import Positive


def advance(block, steps, limit):
    domain = block.domain
    for step in range(steps):
        now = block.state[(block.slot + step) % 2]
        block.state[(block.slot + 1 + step) % 2] = now * (1 - domain.dt * domain.rate)
    return Advance(steps, np.zeros(steps), np.zeros((0, 0)))


BACKEND = SimpleNamespace(name="cpu", xp=np, to_host=lambda a: a, fill=lambda *_: None, advance=advance)


@dataclass(frozen=True)
class Decay(Domain, Setup):
    rate: float

    names = ("amount",)

    @property
    def domain(self):
        return self

    def block(self, start, stop, reach, device, step=0, threads=1):
        return Block(self, start, stop, reach, BACKEND, step, threads)

    def begin(self, block):
        block.state[:] = 1.0

    def measure(self, block):
        u = block.now[(0, *block.own)].astype(float)
        return Sums(block.start[1], u[0].sum(axis=1)[:, None], {"max_amount": float(u.max())})

    def output(self, block, name):
        return block.now[(0, *block.own)][0]


class Output(sections.Output):
    fields: list[Literal["amount"]] = Field(default=["amount"])


class MODEL(Model):
    model: Literal["decay"]
    rate: Positive
    output: Output = Output()

    def stable_step(self):
        return 1 / self.rate

    def setup(self, dt):
        cells = self.ordered(self.grid.cells, 1)
        return Decay(cells, (1.0,) * 3, dt, ((PERIODIC,) * 2,) * 3, self.dtype, self.rate)

    def arrays(self):
        return ("amount",)

    def sums(self):
        return ("amount",)

    def largest(self):
        return ("max_amount",)


def instantiations():
    return []
'''


@pytest.fixture
def decay(tmp_path: Path, monkeypatch: Any) -> Any:
    """A model in a package that is installed for this test."""
    (tmp_path / "decay_model.py").write_text(MODEL)
    about = tmp_path / "decay-1.dist-info"
    about.mkdir()
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: decay\nVersion: 1\n")
    (about / "entry_points.txt").write_text("[gridstride.models]\ndecay = decay_model\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    importlib.invalidate_caches()
    registry.modules.cache_clear()
    yield importlib.import_module("decay_model")
    registry.modules.cache_clear()
    sys.modules.pop("decay_model", None)


def test_a_model_of_another_package_is_found_runs_and_travels(decay: Any, tmp_path: Path) -> None:
    import zarr

    from gridstride.pipeline.options import RunOptions
    from gridstride.pipeline.simulations import simulation

    assert list(registry.modules()) == ["decay", "edac", "heat"]
    content = {
        "model": "decay",
        "grid": {"cells": {"x": 8, "y": 8}, "size": {"x": 1.0, "y": 1.0}},
        "rate": 2.0,
        "run": {"until": 1.0, "dt": 0.125},
        "output": {"snapshots": {"time": 0.5}, "diagnostics": {"steps": 2}},
    }
    case = make_case(content)
    saving.save(case.setup(0.125), tmp_path, "setup")
    assert saving.load(tmp_path, "setup") == case.setup(0.125)

    from distributed import Client

    options = RunOptions(device="cpu", workers=1, memory=4_000_000_000)
    with Client(processes=False, n_workers=1, threads_per_worker=1, dashboard_address="127.0.0.1:0") as client:
        simulation.run(simulation.prepare(case, tmp_path / "out.zarr", options), client)
    group: Any = zarr.open_group(str(tmp_path / "out.zarr"), mode="r")
    found = group["amount"][:, 0, 0]
    np.testing.assert_allclose(found, [1.0, 0.75**4, 0.75**8])
    rows = np.genfromtxt(tmp_path / "out.zarr" / "diagnostics.csv", delimiter=",", names=True)
    np.testing.assert_allclose(rows["amount"], 0.75 ** np.arange(0, 9, 2))


@pytest.mark.parametrize("path", ["os.system", "gridstride.workers.saving.json", "decay_model.MODEL"])
def test_what_is_no_class_of_ours_is_not_loaded(path: str, tmp_path: Path) -> None:
    saving.save((1,), tmp_path, "setup")
    (tmp_path / "setup.json").write_text(f'{{"type": "{path}", "fields": {{}}}}')
    with pytest.raises(ValueError, match="is no class"):
        saving.load(tmp_path, "setup")
