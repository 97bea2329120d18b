"""Solid shares of control volumes: right against areas and points, exact away from surfaces, the same in any block."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import zarr
from hypothesis import given
from hypothesis import strategies as st

from gridstride.workers.models.edac import obstacles
from gridstride.workers.models.edac.geometry import Geometry
from gridstride.workers.models.edac.obstacles import (
    Box,
    Cylinder,
    Mask,
    Sphere,
    cell_fractions,
    fluid_fractions,
    solid_fraction,
)

FLAT = Geometry((1, 20, 24), (1.0, 0.05, 0.05), (0.0, -0.2, 0.1), (True, False, True), 2)
DEEP = Geometry((10, 12, 14), (0.1, 0.1, 0.1), (0.0, 0.0, 0.0), (True, False, True), 3)
SOLIDS = {
    "flat": (FLAT, [Cylinder((0.5, 0.3), 0.21), Box((1.2, -0.1), (1.5, 0.13)), Cylinder((0.12, 0.7), 0.1)]),
    "deep": (DEEP, [Sphere((0.1, 0.6, 0.9), 0.33), Cylinder((0.8, 0.5), 0.2), Box((0.9, 0.0, 0.2), (1.6, 0.31, 0.77))]),
}


def edges(low: float, high: float, cells: int) -> np.ndarray:
    return low + np.arange(cells + 1) * ((high - low) / cells)


def test_shares_add_up_to_areas_and_volumes() -> None:
    line = edges(-1, 1, 40)
    disc = solid_fraction([Cylinder((0.013, -0.02), 0.61)], line, line)
    assert disc.shape == (1, 40, 40)
    assert disc.sum() * 0.05**2 == pytest.approx(np.pi * 0.61**2, rel=1e-3)
    ball = solid_fraction([Sphere((0.013, -0.02, 0.1), 0.61)], line, line, line)
    assert ball.sum() * 0.05**3 == pytest.approx(4 / 3 * np.pi * 0.61**3, rel=1e-3)
    box = solid_fraction([Box((-0.5, -0.025, 0.0), (0.5, 0.25, 0.8))], line, line, line)
    assert box.sum() * 0.05**3 == pytest.approx(1.0 * 0.275 * 0.8, rel=1e-12)


def test_shares_are_those_of_many_points() -> None:
    """Each cell against 100 x 100 points of its own: within what 8 x 8 can say."""
    x, y = edges(0, 1, 9), edges(0, 1.2, 10)
    shapes = [Cylinder((0.4, 0.5), 0.3), Box((0.55, 0.1), (0.93, 0.72))]
    found = solid_fraction(shapes, x, y)[0]
    fine_x, fine_y = ((edges(0, length, n * 100)[:-1] + length / n / 200) for length, n in ((1, 9), (1.2, 10)))
    inside = (fine_x - 0.4) ** 2 + (fine_y[:, None] - 0.5) ** 2 <= 0.3**2
    inside |= (abs(fine_x - 0.74) <= 0.19) & (abs(fine_y[:, None] - 0.41) <= 0.31)
    wanted = inside.reshape(10, 100, 9, 100).mean(axis=(1, 3))
    np.testing.assert_allclose(found, wanted, atol=0.08)
    assert np.abs(found - wanted).mean() < 0.01
    np.testing.assert_array_equal(found[wanted == 0], 0)
    np.testing.assert_array_equal(found[wanted == 1], 1)


def test_only_cells_at_a_surface_are_counted(monkeypatch: Any) -> None:
    """Elsewhere 0 and 1 are exact because no point is looked at."""
    counted = []

    def count(shapes: Any, cells: Any) -> np.ndarray:
        counted.append(len(cells[0][0]))
        return np.full(len(cells[0][0]), 0.5)

    monkeypatch.setattr(obstacles, "_counted", count)
    line = edges(0, 1, 50)
    share = solid_fraction([Cylinder((0.5, 0.5), 0.3)], line, line)
    assert 0 < sum(counted) < 2 * np.pi * 0.3 * 50 * 2
    assert set(np.unique(share)) == {0, 0.5, 1}
    assert (share == 1).sum() > 0.9 * np.pi * 15**2 - 100


def test_a_speck_smaller_than_a_cell_is_found() -> None:
    line = edges(0, 1, 4)
    share = solid_fraction([Cylinder((0.4, 0.4), 0.05)], line, line)
    assert share.sum() / 16 == pytest.approx(np.pi * 0.05**2, rel=0.3)
    assert np.count_nonzero(share) == 1


def test_what_two_shapes_share_counts_once_and_order_does_not_matter() -> None:
    line = edges(0, 1, 10)
    left, right = Box((0.13, 0.2), (0.55, 0.8)), Box((0.35, 0.2), (0.81, 0.8))
    both = solid_fraction([left, right], line, line)
    np.testing.assert_array_equal(both, solid_fraction([right, left], line, line))
    np.testing.assert_array_equal(both, solid_fraction([Box((0.13, 0.2), (0.81, 0.8))], line, line))


def test_a_cylinder_is_its_disc_all_along_z() -> None:
    line, z = edges(0, 1, 12), edges(-3, 5, 5)
    shape = Cylinder((0.4, 0.6), 0.23)
    disc = solid_fraction([shape], line, line)
    np.testing.assert_array_equal(solid_fraction([shape], line, line, z), np.broadcast_to(disc, (5, 12, 12)))


@pytest.mark.parametrize("name", SOLIDS)
@given(data=st.data())
def test_a_block_gets_the_shares_of_the_whole(name: str, data: st.DataObject) -> None:
    geometry, shapes = SOLIDS[name]
    margin = 3
    low = [-margin if n > 1 else 0 for n in geometry.cells]
    high = [n + margin if n > 1 else 1 for n in geometry.cells]
    fluid = fluid_fractions(geometry, shapes, low, high)
    assert 0 < (fluid < 1).mean() < 1
    lo = [data.draw(st.integers(a, b - 1)) for a, b in zip(low, high, strict=True)]
    hi = [data.draw(st.integers(a + 1, b)) for a, b in zip(lo, high, strict=True)]
    where = tuple(slice(a - z, b - z) for a, b, z in zip(lo, hi, low, strict=True))
    np.testing.assert_array_equal(fluid_fractions(geometry, shapes, lo, hi), fluid[(slice(None), *where)])


@pytest.mark.parametrize("name", SOLIDS)
def test_solids_repeat_beyond_periodic_faces(name: str) -> None:
    """What leaves on one side comes in on the other, to the bit in the halo; a body elsewhere is only shifted."""
    geometry, shapes = SOLIDS[name]
    nz, ny, nx = geometry.cells
    fluid = fluid_fractions(geometry, shapes, (0, 0, 0), (nz, ny, 2 * nx))
    np.testing.assert_array_equal(fluid[..., :nx], fluid[..., nx:])
    assert (fluid[..., 0] < 1).any()
    assert (fluid[..., nx - 1] < 1).any()
    length = nx * geometry.spacing[2]
    moved = [shape.shifted([5 * geometry.spacing[2] - length, 0, 0]) for shape in shapes]
    shifted = fluid_fractions(geometry, moved, (0, 0, 0), (nz, ny, nx))
    np.testing.assert_allclose(shifted, np.roll(fluid[..., :nx], 5, axis=-1), atol=0.07)  # points on a surface may turn


def test_shares_are_of_each_velocity_s_own_control_volume() -> None:
    """A box of whole cells: velocities on its faces see half of it, those inside all of it, those outside nothing."""
    geometry = Geometry((4, 4, 6), (1.0, 1.0, 0.5), (0.0, 0.0, 1.0), (False, False, False), 3)
    fluid = fluid_fractions(geometry, [Box((2.0, 1.0, 1.0), (3.0, 3.0, 2.0))], (0, 0, 0), (5, 5, 7))
    np.testing.assert_array_equal(fluid[0, 1, 1], [1, 1, 0.5, 0, 0.5, 1, 1])
    np.testing.assert_array_equal(fluid[1, 1, :, 2], [1, 0.5, 0, 0.5, 1])
    np.testing.assert_array_equal(fluid[2, :, 1, 2], [1, 0.5, 0.5, 1, 1])
    np.testing.assert_array_equal(fluid[:, :, 0, 0], 1)


def test_shares_of_cells_are_those_of_the_pressure_s_places(tmp_path: Any) -> None:
    solid = np.random.default_rng(2).random((10, 12, 14))
    found = cell_fractions(DEEP, [Mask(save(solid, tmp_path, "zarr"))], (2, 3, -2), (12, 9, 5), np.float64)
    wrapped = np.take(np.take(solid, range(2, 12), axis=0, mode="wrap"), range(-2, 5), axis=2, mode="wrap")
    np.testing.assert_array_equal(found, wrapped[:, 3:9])
    lines = [edges(0, n / 10, n) for n in (14, 12, 10)]
    shape = Sphere((0.7, 0.6, 0.5), 0.33)
    shares = cell_fractions(DEEP, [shape], (0, 0, 0), DEEP.cells, np.float64)
    np.testing.assert_allclose(shares, solid_fraction([shape], *lines), atol=0.02)


@pytest.mark.parametrize("kind", ["npy", "zarr"])
@pytest.mark.parametrize("periodic", [False, True])
def test_a_mask_of_whole_cells_is_the_box_of_them(tmp_path: Any, kind: str, periodic: bool) -> None:
    geometry = Geometry((4, 5, 6), (1.0, 1.0, 1.0), (0.0, 0.0, 0.0), (periodic, False, periodic), 3)
    solid = np.zeros((4, 5, 6), bool)
    solid[1:3, 2:4, 0:2] = True
    path = save(solid, tmp_path, kind)
    # The mask's outermost cells go on beyond the grid; so does a box that begins before it.
    boxes = [Box((0.0 if periodic else -9.0, 2.0, 1.0), (2.0, 4.0, 3.0))]
    lo, hi = (-2, -1, -2), (6, 7, 8)
    wanted = fluid_fractions(geometry, boxes, lo, hi)
    np.testing.assert_array_equal(fluid_fractions(geometry, [Mask(path)], lo, hi), wanted)
    part = fluid_fractions(geometry, [Mask(path)], (1, 2, 5), (3, 3, 8))
    np.testing.assert_array_equal(part, wanted[:, 3:5, 3:4, 7:10])


def test_a_mask_of_two_axes_and_of_parts(tmp_path: Any) -> None:
    geometry = Geometry((1, 4, 4), (1.0, 1.0, 1.0), (0.0, 0.0, 0.0), (True, False, False), 2)
    solid = np.zeros((4, 4))
    solid[1, 2] = 0.5
    fluid = fluid_fractions(geometry, [Mask(save(solid, tmp_path, "npy"))], (0, 0, 0), (1, 5, 5))
    np.testing.assert_array_equal(fluid[0, 0, 1], [1, 1, 0.75, 0.75, 1])
    np.testing.assert_array_equal(fluid[1, 0, :, 2], [1, 0.75, 0.75, 1, 1])


def test_what_is_no_share_is_refused(tmp_path: Any) -> None:
    geometry = Geometry((1, 4, 4), (1.0, 1.0, 1.0), (0.0, 0.0, 0.0), (True, False, False), 2)
    for value in (255.0, -0.1, np.nan):
        path = save(np.full((4, 4), value), tmp_path / str(value), "npy")
        with pytest.raises(ValueError, match="no solid fractions"):
            fluid_fractions(geometry, [Mask(path)], (0, 0, 0), (1, 4, 4))


def test_nothing_solid_leaves_everything_to_the_fluid() -> None:
    fluid = fluid_fractions(FLAT, [], (0, 0, 0), FLAT.cells)
    assert fluid.dtype == np.float32
    assert fluid.shape == (2, 1, 20, 24)
    assert (fluid == 1).all()


def save(array: np.ndarray, folder: Any, kind: str) -> str:
    folder.mkdir(exist_ok=True)
    path = folder / f"mask.{kind}"
    if kind == "npy":
        np.save(path, array)
    else:
        zarr.create_array(str(path), data=array, chunks=(2,) * array.ndim)
    return str(path)
