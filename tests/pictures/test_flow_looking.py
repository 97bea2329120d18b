"""Looking at a simulation: the values shown, against closed forms."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from flow_stores import ATTRIBUTES, DEEP, FLAT, A, K, flow_layout, flow_store, linear, see, shear_store, vortex, write
from hypothesis import given, settings
from hypothesis import strategies as st

from gridstride.pipeline.errors import UsageError
from gridstride.pipeline.pictures import flow_view
from gridstride.pipeline.pictures.arrays import preview
from gridstride.pipeline.pictures.flow_view import snapshot
from gridstride.pipeline.simulations.store import create
from gridstride.pipeline.storage.regions import Regions


@pytest.fixture(scope="module")
def shear(tmp_path_factory) -> Path:
    return shear_store(tmp_path_factory.mktemp("shear") / "shear.zarr")


# -- values ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("tile", [2, 3, 4, 100])
@pytest.mark.parametrize("index", [0, 1, None, -1])
@pytest.mark.parametrize("axis", ["x", "y", "z"])
def test_derivatives_are_right_on_every_plane_and_tile(shear, monkeypatch, axis, index, tile):
    monkeypatch.setattr(flow_view, "TILE", tile)
    factor = 1.5  # 1 + t of snapshot 2
    curl = {"x": A[2, 1] - A[1, 2], "y": A[0, 2] - A[2, 0], "z": A[1, 0] - A[0, 1]}
    rotation, strain = (A - A.T) / 2, (A + A.T) / 2
    expected = {
        "vorticity": factor * curl[axis],
        "q": factor**2 * ((rotation**2).sum() - (strain**2).sum()) / 2,
    }
    rows, columns = (a for a in "zyx" if a != axis)
    for field, value in expected.items():
        values = see(shear, field, axis, index).values(2)
        assert values.shape == (DEEP[rows], DEEP[columns])
        np.testing.assert_allclose(values, value, rtol=0, atol=1e-12)


@pytest.mark.parametrize(("axis", "index"), [("z", 0), ("z", None), ("y", 2), ("x", -1)])
def test_stored_fields_and_speed_are_those_of_the_plane(shear, axis, index):
    layout = flow_layout(DEEP)
    z, y, x = np.meshgrid(*(layout.centres(a) for a in "zyx"), indexing="ij")
    where = "zyx".index(axis)
    at = layout.shape[where] // 2 if index is None else index
    u, v, w = (linear(i)(x, y, z, 0.25) for i in range(3))
    for field, whole in {
        "u": u,
        "v": v,
        "w": w,
        "pressure": x * y * z,
        "speed": np.sqrt(u * u + v * v + w * w),
    }.items():
        view = see(shear, field, axis, index)
        np.testing.assert_allclose(view.values(1), whole.take(at, where), rtol=1e-14, atol=1e-15)
    assert view.place == f"{axis} = {layout.centres(axis)[at]:.4g}"


def test_a_vortex_converges_with_the_grid(tmp_path):
    """Second order, at the edges as well, where the differences are one-sided."""
    errors = []
    for n in (32, 64):
        layout = flow_layout({"x": n, "y": n}, chunks=(16, 16))
        path = flow_store(tmp_path / f"{n}.zarr", layout, vortex(), written=[0])
        y, x = np.meshgrid(layout.centres("y"), layout.centres("x"), indexing="ij")
        omega = 2 * K * np.sin(K * x) * np.sin(K * y)
        ux, uy = K * np.cos(K * x) * np.cos(K * y), -K * np.sin(K * x) * np.sin(K * y)
        q = -(ux**2) - uy * -uy  # v_x = -u_y, v_y = -u_x
        found = see(path, "vorticity").values(0), see(path, "q").values(0)
        errors.append([abs(f - e).max() / abs(e).max() for f, e in zip(found, (omega, q), strict=True)])
    assert max(errors[1]) < 0.012
    assert (np.divide(*errors) > 3.5).all(), errors


def test_what_is_stored_is_shown_rather_than_derived(tmp_path):
    flat = flow_layout(FLAT, fields=("vorticity", "q"))
    path = flow_store(tmp_path / "a.zarr", flat, {"vorticity": lambda x, y, t: x, "q": lambda x, y, t: y}, [0])
    np.testing.assert_array_equal(see(path, "vorticity").values(0)[0], flat.centres("x"))
    np.testing.assert_array_equal(see(path, "q").values(0)[:, 0], flat.centres("y"))
    deep = flow_layout(DEEP, fields=("vorticity_y",))
    path = flow_store(tmp_path / "b.zarr", deep, {"vorticity_y": lambda x, y, z, t: z}, [0])
    np.testing.assert_array_equal(see(path, "vorticity", "y").values(0)[:, 0], deep.centres("z"))
    with pytest.raises(UsageError, match="has no u, v, which vorticity is derived from: it has vorticity_y"):
        see(path, "vorticity", "z")


@settings(max_examples=25)
@given(size=st.integers(1, 12), tile=st.integers(1, 12))
def test_a_pixel_is_the_mean_of_its_cells(tmp_path_factory, size, tile):
    path = tmp_path_factory.mktemp("mean") / "a.zarr"
    layout = flow_layout(FLAT)
    data = np.random.default_rng(size).random(layout.shape)
    create(path, layout, ATTRIBUTES)
    write(path, "u", 0, data)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(flow_view, "TILE", tile)
        view = see(path, "u", size=size)
        values = view.values(0)
    step = view.stride
    assert max(values.shape) <= size
    expected = [[data[r : r + step, c : c + step].mean() for c in range(0, 9, step)] for r in range(0, 7, step)]
    np.testing.assert_allclose(values, expected, rtol=1e-13)
    left, right, bottom, top = view.extent
    assert (right - left, top - bottom) == pytest.approx((values.shape[1] * step / 6, values.shape[0] * step / 7))


@pytest.mark.parametrize(("field", "planes"), [("pressure", 1), ("speed", 3), ("vorticity", 2), ("q", 9)])
def test_only_the_planes_needed_are_read(shear, monkeypatch, field, planes):
    """Three components for the speed, the two in the plane for vorticity, three planes of three for q."""
    read = Regions.read
    values = 0

    def counting(self, start, stop):
        nonlocal values
        found = read(self, start, stop)
        values += found.size
        return found

    monkeypatch.setattr(Regions, "read", counting)
    see(shear, field).values(0)
    assert values == planes * 9 * 7


# -- which snapshot, which plane ---------------------------------------------------------------------------------------


def test_the_nearest_snapshot_that_is_written(tmp_path):
    path = flow_store(tmp_path / "a.zarr", flow_layout(FLAT), vortex(), written=[0, 1, 3])
    view = see(path, "speed")
    assert snapshot(view, None) == 3
    assert [snapshot(view, t) for t in (0, 0.1, 0.13, 0.7, 0.76)] == [0, 0, 1, 3, 3]
    with pytest.raises(UsageError, match=r"snapshot at time 0.5 is not written yet; the last one written is at 0.75"):
        snapshot(view, 0.5)
    with pytest.raises(UsageError, match=r"has snapshots from 0 to 1"):
        snapshot(view, 1.2)
    empty = flow_store(tmp_path / "b.zarr", flow_layout(FLAT), {})
    with pytest.raises(UsageError, match="no complete snapshot yet"):
        snapshot(see(empty, "speed"), None)


def test_a_simulation_without_a_velocity_shows_its_own_field(tmp_path):
    """Of heat, say: a field that no list here knows."""
    layout = flow_layout(FLAT, fields=("temperature",))
    path = flow_store(tmp_path / "heat.zarr", layout, {"temperature": lambda x, y, t: 300 + x}, [0, 2])
    view = see(path, None)
    assert (view.field, view.label, view.scale) == ("temperature", "temperature", "auto")
    np.testing.assert_array_equal(view.values(2)[3], 300 + layout.centres("x"))
    assert preview(path, tmp_path / "a.png", size=50).stat().st_size > 1000
    with pytest.raises(UsageError, match="has no u, v, which speed is derived from: it has temperature"):
        see(path, "speed")
    with pytest.raises(UsageError, match=r"field 'pressure': .*heat.zarr has temperature"):
        see(path, "pressure")


def test_what_cannot_be_shown_is_refused(tmp_path, shear):
    flat = flow_store(tmp_path / "flat.zarr", flow_layout(FLAT), {})
    with pytest.raises(UsageError, match=r"field 'w': .*flat.zarr has speed, vorticity, q, pressure, u, v"):
        see(flat, "w")
    with pytest.raises(UsageError, match="two dimensions"):
        see(flat, "u", "x")
    with pytest.raises(UsageError, match="its axes are z, y, x"):
        see(shear, "u", "time")
    with pytest.raises(UsageError, match="z = 6 is out of range"):
        see(shear, "u", "z", 6)
