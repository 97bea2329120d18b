"""The group a simulation writes: its layout, its creation, and its diagnostics, whatever is killed when."""

from __future__ import annotations

import json
import os
import warnings
from pathlib import Path

import numpy as np
import pytest
import xarray
import zarr
from flow_stores import ATTRIBUTES, flow_layout, write

from gridstride.pipeline.errors import JobFailed, UsageError
from gridstride.pipeline.simulations import diagnostics
from gridstride.pipeline.simulations import store as flow_store
from gridstride.pipeline.simulations.store import Diagnostics, FlowStore, create, is_flow
from gridstride.pipeline.storage.describe import describe

FLAT = {"x": 6, "y": 5}
DEEP = {"x": 6, "y": 5, "z": 4}


def tree(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


def row(layout: flow_store.Layout, at: int) -> dict[str, float]:
    """Values that no decimal of few digits holds."""
    step = int(layout.diagnostic_steps[at])
    return {"step": step, **{name: (i + 1) / (step + 7) for i, name in enumerate(layout.columns[2:])}}


# -- layout ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("consolidated", [None, False])
@pytest.mark.parametrize("cells", [FLAT, DEEP])
@pytest.mark.filterwarnings("ignore:Object at diagnostics.csv")  # what zarr says of a file that is none of its own
def test_xarray_opens_it_with_dimensions_coordinates_and_times(tmp_path, cells, consolidated):
    layout = flow_layout(cells, solid=True, dtype="float32")
    out = tmp_path / "out.zarr"
    create(out, layout, ATTRIBUTES)
    rng = np.random.default_rng(1)
    u = rng.random(layout.shape, np.float32)
    write(out, "u", 2, u)
    opened = xarray.open_zarr(out, consolidated=consolidated)
    assert set(opened.data_vars) == {*layout.fields, "solid"}
    assert opened.u.dims == ("time", *layout.axes)
    assert opened.solid.dims == layout.axes
    assert opened.u.dtype == np.float32
    np.testing.assert_array_equal(opened.time, [0, 0.25, 0.5, 0.75, 1])
    np.testing.assert_allclose(opened.x, [-0.375, -0.125, 0.125, 0.375, 0.625, 0.875], rtol=0, atol=1e-15)
    np.testing.assert_allclose(opened.y, [0.1, 0.3, 0.5, 0.7, 0.9], rtol=0, atol=1e-15)
    np.testing.assert_array_equal(opened.u.sel(time=0.5), u)
    assert np.isnan(opened.u.isel(time=[0, 1, 3, 4])).all()
    assert (opened.solid == 0).all()
    assert opened.attrs["gridstride"] == ATTRIBUTES["gridstride"]
    assert opened.u.attrs["long_name"] == "velocity along x"
    samples = xarray.open_zarr(out, group="diagnostics")
    assert samples.kinetic_energy.dims == ("sample",)
    np.testing.assert_array_equal(samples.step, layout.diagnostic_steps)
    np.testing.assert_array_equal(samples.time, layout.diagnostic_times)
    assert np.isnan(samples.force_y).all()


def test_it_opens_without_a_warning(tmp_path):
    create(tmp_path / "out.zarr", flow_layout(FLAT), ATTRIBUTES)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        xarray.open_zarr(tmp_path / "out.zarr")


def test_nothing_to_write_is_laid_out_too(tmp_path):
    """A run may have no snapshots or no diagnostics."""
    none = np.empty(0)
    layout = flow_layout(FLAT, times=none, diagnostic_steps=none, diagnostic_times=none, codec="none")
    create(tmp_path / "out.zarr", layout, ATTRIBUTES)
    assert xarray.open_zarr(tmp_path / "out.zarr").sizes["time"] == 0
    found = Diagnostics(tmp_path / "out.zarr")
    found.flush()
    found.truncate(100)
    assert found.read()["step"].size == 0


def test_chunks_are_of_one_snapshot(tmp_path):
    create(tmp_path / "out.zarr", flow_layout(DEEP), ATTRIBUTES)
    info = describe(tmp_path / "out.zarr", "w")
    assert info.chunks == (1, 3, 4, 5)
    assert info.codecs == "blosc-lz4 (bitshuffle)"


# -- creation ----------------------------------------------------------------------------------------------------------


def test_a_second_creation_changes_nothing(tmp_path):
    out, layout = tmp_path / "out.zarr", flow_layout(FLAT, solid=True)
    create(out, layout, ATTRIBUTES)
    write(out, "u", 0, np.ones(layout.shape))
    samples = Diagnostics(out)
    samples.append(row(layout, 0))
    samples.flush()
    before = tree(out)
    times = {p: p.stat().st_mtime_ns for p in out.rglob("*")}
    create(out, layout, ATTRIBUTES)
    assert tree(out) == before
    assert {p: p.stat().st_mtime_ns for p in out.rglob("*")} == times


def test_a_killed_creation_is_completed(tmp_path, monkeypatch):
    layout = flow_layout(FLAT, solid=True)
    create(tmp_path / "whole.zarr", layout, ATTRIBUTES)
    whole = tree(tmp_path / "whole.zarr")
    durable_write = flow_store.durable_write
    for killed_at in range(len(whole)):
        out, written = tmp_path / f"killed{killed_at}.zarr", 0

        def write_or_die(path, data, at=killed_at):
            nonlocal written
            if written == at:
                path.with_name(f"{path.name}.99.tmp").write_bytes(data[:5])
                raise KeyboardInterrupt
            written += 1
            durable_write(path, data)

        monkeypatch.setattr(flow_store, "durable_write", write_or_die)
        with pytest.raises(KeyboardInterrupt):
            create(out, layout, ATTRIBUTES)
        assert not is_flow(out), "a layout that is not whole must not be taken for one that is"
        monkeypatch.setattr(flow_store, "durable_write", durable_write)
        create(out, layout, ATTRIBUTES)
        assert tree(out) == whole
    assert len(whole) > 15


@pytest.mark.parametrize(
    "change",
    [
        {"cells": {"x": 7, "y": 5}},
        {"spacing": {"x": 0.26, "y": 0.2}},
        {"times": np.arange(6) * 0.25},
        {"times": np.arange(5) * 0.26},
        {"dtype": "float32"},
        {"chunks": (5, 6)},
        {"codec": "zstd"},
        {"fields": ("u", "v")},
        {"fields": ("u", "v", "p", "q")},
        {"solid": True},
        {"diagnostic_steps": np.arange(12) * 10},
        {"diagnostic_columns": ("kinetic_energy",)},
    ],
    ids=str,
)
def test_another_layout_is_refused_before_anything_is_written(tmp_path, change):
    out = tmp_path / "out.zarr"
    create(out, flow_layout(FLAT), ATTRIBUTES)
    before = tree(out)
    with pytest.raises(UsageError, match="holds another simulation"):
        create(out, flow_layout(**{"cells": FLAT, **change}), ATTRIBUTES)
    assert tree(out) == before


def test_only_a_simulation_is_one(tmp_path, store):
    image = store(np.zeros((4, 4)), (2, 2))
    zarr.create_group(str(tmp_path / "group.zarr"))
    for other in (image, tmp_path / "group.zarr", tmp_path / "nothing.zarr"):
        assert not is_flow(other)
        with pytest.raises(UsageError):
            FlowStore.open(other)


def test_a_snapshot_counts_once_all_its_chunks_are_there(tmp_path):
    out, layout = tmp_path / "out.zarr", flow_layout(DEEP)
    create(out, layout, ATTRIBUTES)
    flow = FlowStore.open(out)
    assert list(flow.written(["u", "v"])) == []
    for when in (0, 1, 3):
        write(out, "u", when, np.zeros(layout.shape))  # zero is a value like any other
        write(out, "v", when, np.ones(layout.shape))
    write(out, "u", 4, np.ones(layout.shape))
    write(out, "v", 4, np.ones((3, 5, 6)))  # the first layer of chunks alone
    assert list(flow.written(["u"])) == [0, 1, 3, 4]
    assert list(flow.written(["u", "v"])) == [0, 1, 3]
    assert list(flow.written(["v", "u"], latest_first=True)) == [3, 1, 0]
    assert flow.name == "a test"


# -- diagnostics -------------------------------------------------------------------------------------------------------


def test_csv_arrays_and_read_hold_the_same_values(tmp_path):
    out, layout = tmp_path / "out.zarr", flow_layout(FLAT)
    create(out, layout, ATTRIBUTES)
    samples = Diagnostics(out)
    for at in range(7):
        samples.append(row(layout, at))
    samples.flush()
    read = samples.read()
    table = np.genfromtxt(out / "diagnostics.csv", delimiter=",", names=True)
    group = zarr.open_group(str(out / "diagnostics"), mode="r")
    assert table.dtype.names == layout.columns == tuple(read)
    for name in layout.columns:
        expected = [layout.diagnostic_times[at] if name == "time" else row(layout, at)[name] for at in range(7)]
        np.testing.assert_array_equal(read[name], expected)
        np.testing.assert_array_equal(table[name], expected)
        np.testing.assert_array_equal(group[name][:7], expected)
    assert np.isnan(group["max_speed"][7:]).all()
    other = Diagnostics(out).read()
    assert all(np.array_equal(other[name], read[name]) for name in read)


def test_a_row_is_in_the_file_at_once_but_not_every_row_waits_for_the_disk(tmp_path, monkeypatch):
    steps = np.arange(300)
    layout = flow_layout(FLAT, diagnostic_steps=steps, diagnostic_times=steps * 0.1)
    out = tmp_path / "out.zarr"
    create(out, layout, ATTRIBUTES)
    syncs = 0
    fsync = os.fsync

    def counting(handle):
        nonlocal syncs
        syncs += 1
        fsync(handle)

    monkeypatch.setattr(diagnostics.os, "fsync", counting)
    monkeypatch.setattr(diagnostics, "SYNC_SECONDS", 1000.0)
    samples = Diagnostics(out)
    for at in range(300):
        samples.append(row(layout, at))
        assert (out / "diagnostics.csv").read_bytes().count(b"\n") == at + 2
    assert syncs <= 1
    samples.flush()
    assert syncs >= 1
    assert len(Diagnostics(out)) == 300


def test_only_the_next_sample_is_taken(tmp_path):
    out, layout = tmp_path / "out.zarr", flow_layout(FLAT)
    create(out, layout, ATTRIBUTES)
    samples = Diagnostics(out)
    samples.append(row(layout, 0))
    before = (out / "diagnostics.csv").read_bytes()
    for wrong in (row(layout, 0), row(layout, 2), {"step": 20}, {**row(layout, 1), "heat": 1.0}):
        with pytest.raises(ValueError, match="expected"):
            samples.append(wrong)
    assert (out / "diagnostics.csv").read_bytes() == before
    for at in range(1, 12):
        samples.append(row(layout, at))
    with pytest.raises(ValueError, match="no more"):
        samples.append({**row(layout, 11), "step": 130})


def torn(csv: Path) -> None:
    with csv.open("ab") as file:
        file.write(b"80,0.8,0.0114942")


def nothing(csv: Path) -> None:
    pass


def lost(csv: Path) -> None:
    csv.write_bytes(csv.read_bytes()[:70])


def deleted(csv: Path) -> None:
    csv.unlink()


def half_rewritten(csv: Path) -> None:
    csv.with_name(f"{csv.name}.99.tmp").write_bytes(b"step,time,kin")


@pytest.mark.parametrize("damage", [nothing, torn, lost, deleted, half_rewritten])
@pytest.mark.parametrize("chunk", [3, 5, 100])
@pytest.mark.parametrize("killed_at", [4, 7, 11])
def test_after_a_kill_the_bytes_are_those_of_an_undisturbed_run(tmp_path, monkeypatch, damage, chunk, killed_at):
    monkeypatch.setattr(flow_store, "SAMPLES", chunk)
    layout = flow_layout(FLAT)
    create(tmp_path / "whole.zarr", layout, ATTRIBUTES)
    samples = Diagnostics(tmp_path / "whole.zarr")
    for at in range(12):
        samples.append(row(layout, at))
    samples.flush()

    out = tmp_path / "killed.zarr"
    create(out, layout, ATTRIBUTES)
    samples = Diagnostics(out)
    for at in range(killed_at):
        samples.append(row(layout, at))
        if at in (3, 8):
            samples.flush()  # checkpoints; the one at step 40 is gone back to
    if killed_at == 11:
        samples.flush()  # killed after the arrays were written and before the checkpoint that belongs to them
    samples._file.close()
    damage(out / "diagnostics.csv")

    create(out, layout, ATTRIBUTES)
    samples = Diagnostics(out)
    samples.truncate(45)
    assert len(samples) == 4
    np.testing.assert_array_equal(samples.read()["step"], [10, 20, 30, 40])
    for at in range(4, 12):
        samples.append(row(layout, at))
        if at == 8:
            samples.flush()
    samples.flush()
    assert tree(out) == tree(tmp_path / "whole.zarr")


def test_truncation_reaches_the_arrays(tmp_path):
    out, layout = tmp_path / "out.zarr", flow_layout(FLAT)
    create(out, layout, ATTRIBUTES)
    empty = tree(out)
    samples = Diagnostics(out)
    for at in range(6):
        samples.append(row(layout, at))
    samples.flush()
    samples.truncate(20)
    samples.flush()
    group = zarr.open_group(str(out / "diagnostics"), mode="r")
    np.testing.assert_array_equal(np.isnan(group["force_x"][:]), [False] * 2 + [True] * 10)
    samples.truncate(0)
    samples.flush()
    assert tree(out) == empty


def test_a_row_cut_short_is_written_over(tmp_path):
    """Without going back: the file's torn end must not stay in the middle."""
    out, layout = tmp_path / "out.zarr", flow_layout(FLAT)
    create(out, layout, ATTRIBUTES)
    samples = Diagnostics(out)
    samples.append(row(layout, 0))
    samples.close()
    torn(out / "diagnostics.csv")
    samples = Diagnostics(out)
    assert len(samples) == 1
    samples.append(row(layout, 1))
    assert len((out / "diagnostics.csv").read_text().splitlines()) == 3
    np.testing.assert_array_equal(Diagnostics(out).read()["step"], [10, 20])


def test_samples_that_are_nowhere_are_missed(tmp_path):
    out, layout = tmp_path / "out.zarr", flow_layout(FLAT)
    create(out, layout, ATTRIBUTES)
    samples = Diagnostics(out)
    for at in range(3):
        samples.append(row(layout, at))
    samples.flush()
    (out / "diagnostics.csv").unlink()
    with pytest.raises(JobFailed, match="lacks samples up to step 50"):
        Diagnostics(out).truncate(50)


def test_the_layout_on_disk_is_json_and_names_its_axes(tmp_path):
    create(tmp_path / "out.zarr", flow_layout(DEEP), ATTRIBUTES)
    metadata = json.loads((tmp_path / "out.zarr" / "p" / "zarr.json").read_text())
    assert metadata["dimension_names"] == ["time", "z", "y", "x"]
    assert metadata["fill_value"] == "NaN"
