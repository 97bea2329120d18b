"""The pictures' values against NumPy, the limit on what is read, and the files."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import zarr
from matplotlib.image import imread

from gridstride.pipeline.errors import UsageError
from gridstride.pipeline.pictures import arrays as module
from gridstride.pipeline.pictures.array_view import BUDGET, MOST_CHUNKS, Picture, cost, cut, locate, take, touched, view
from gridstride.pipeline.pictures.arrays import draw, preview, shared_scale
from gridstride.pipeline.pictures.canvas import colour_limits
from gridstride.pipeline.storage.create import create
from gridstride.pipeline.storage.describe import describe
from gridstride.pipeline.storage.regions import Regions, open_regions

RNG = np.random.default_rng(5)
HUGE = (4096, 20000, 20000)


def store(path: Path, data: np.ndarray, names=None, chunks=None, **attributes) -> Path:
    chunks = chunks or [min(8, n) for n in data.shape]
    info = create(path, data.shape, data.dtype, chunks, dimension_names=names, attributes=attributes)
    open_regions(info.path).write([0] * data.ndim, data)
    return path


def picture(path: Path, *, array=None, axis=None, index=None, select=(), size: int = 1024) -> Picture:
    """What `preview` draws of an array."""
    seen = view(locate(describe(path, array)), axis, index, select)
    return take(seen, cut([seen], size))


@pytest.fixture
def volume() -> np.ndarray:
    return RNG.integers(0, 60000, (12, 20, 31), dtype=np.uint16)


@pytest.fixture
def series() -> np.ndarray:
    return RNG.integers(0, 250, (3, 2, 6, 9, 10), dtype=np.uint8)


def test_third_axis_from_last_is_projected(tmp_path, volume):
    seen = picture(store(tmp_path / "a.zarr", volume, ["z", "y", "x"]))
    np.testing.assert_array_equal(seen.values, volume.max(0))
    assert seen.values.dtype == np.uint16
    assert seen.caption == "maximum over z"


@pytest.mark.parametrize(("axis", "number"), [("z", 0), ("y", 1), ("x", 2), (1, 1), ("2", 2), (-1, 2)])
def test_any_axis_is_projected_or_sliced(tmp_path, volume, axis, number):
    path = store(tmp_path / "a.zarr", volume, ["z", "y", "x"])
    np.testing.assert_array_equal(picture(path, axis=axis).values, volume.max(number))
    cut_open = picture(path, axis=axis, index=7)
    np.testing.assert_array_equal(cut_open.values, volume.take(7, number))
    assert cut_open.caption == f"{'zyx'[number]} = 7"


def test_unnamed_axes_go_by_number(tmp_path, volume):
    path = store(tmp_path / "a.zarr", volume)
    assert picture(path).caption == "maximum over axis 0"
    last = picture(path, index=-1)
    np.testing.assert_array_equal(last.values, volume[-1])
    assert last.caption == "axis 0 = 11"


def test_series_show_their_first_or_selected_element(tmp_path, series):
    path = store(tmp_path / "a.zarr", series, ["t", "c", "z", "y", "x"])
    first = picture(path)
    np.testing.assert_array_equal(first.values, series[0, 0].max(0))
    assert first.caption == "maximum over z, t = 0, c = 0"
    chosen = picture(path, select=["c=1", "t = -1"], index=3)
    np.testing.assert_array_equal(chosen.values, series[2, 1, 3])
    assert chosen.caption == "t = 2, c = 1, z = 3"
    over_time = picture(path, axis="t", select=["z=4"])
    np.testing.assert_array_equal(over_time.values, series[:, 0, 4].max(0))
    sideways = picture(path, select=["x=2"])
    np.testing.assert_array_equal(sideways.values, series[0, 0, :, :, 2])


@pytest.mark.parametrize(
    ("names", "shown"),
    [("tyx", lambda a: a[0]), ("yxc", lambda a: a[..., 0]), ("tcx", lambda a: a[0])],
)
def test_series_are_not_projected_unasked(tmp_path, volume, names, shown):
    seen = picture(store(tmp_path / "a.zarr", volume, list(names)))
    np.testing.assert_array_equal(seen.values, shown(volume))
    assert "maximum" not in seen.caption


@pytest.mark.parametrize("dtype", [bool, np.int8, np.int64, np.uint64, np.float16, np.float64])
def test_dtypes(tmp_path, volume, dtype):
    data = volume > 55000 if dtype is bool else (volume % 120).astype(dtype)
    path = store(tmp_path / "a.zarr", data)
    np.testing.assert_array_equal(picture(path).values, data.max(0))
    preview(path, tmp_path / "a.png", size=64)


def test_signed_values_are_projected_by_magnitude(tmp_path):
    data = RNG.standard_normal((5, 7, 6)).astype(np.float32)
    seen = picture(store(tmp_path / "a.zarr", data, ["z", "y", "x"]))
    expected = np.take_along_axis(data, abs(data).argmax(0)[None], 0)[0]
    np.testing.assert_array_equal(seen.values, expected)
    assert seen.signed
    assert seen.caption == "largest magnitude over z"
    low, high = colour_limits([seen.values], "signed", (0.5, 99.5))
    assert low == -high < 0
    assert draw([seen], (0.5, 99.5)).axes[0].images[0].get_cmap().name == "RdBu_r"


def test_rounding_below_zero_is_not_signed(tmp_path):
    data = RNG.random((5, 7, 6)) + 0.1
    data[2, 3, 4] = -1e-6
    seen = picture(store(tmp_path / "a.zarr", data))
    assert not seen.signed
    np.testing.assert_array_equal(seen.values, data.max(0))


def test_nan_is_ignored_by_a_projection_and_drawn_where_nothing_else_is(tmp_path):
    data = RNG.random((4, 20, 20))
    data[1, 5] = np.nan
    data[:, 6:9] = np.nan
    data[2, 0, 0] = np.inf
    path = store(tmp_path / "a.zarr", data)
    seen = picture(path)
    np.testing.assert_array_equal(seen.values, np.fmax.reduce(data))
    assert np.isnan(seen.values).sum() == 60
    assert np.isfinite(colour_limits([seen.values], "plain", (0, 100))).all()
    pixels = imread(preview(path, tmp_path / "a.png"))[..., :3]
    gold = (abs(pixels - np.array([255, 215, 0]) / 255) < 0.02).all(-1)
    assert 0.02 < gold.mean() < 0.15  # 3 of 20 rows, in a figure with margins


def test_planes_wider_than_the_picture_are_strided(tmp_path, volume):
    seen = picture(store(tmp_path / "a.zarr", volume), size=10)
    np.testing.assert_array_equal(seen.values, volume.max(0)[::2, ::4])
    assert seen.caption == "maximum over axis 0, one pixel in 2 x 4"


def test_beyond_the_budget_layers_are_spread_and_the_middle_is_shown(tmp_path):
    data = RNG.integers(0, 60000, (64, 32, 40), dtype=np.uint16)
    path = store(tmp_path / "a.zarr", data, ["z", "y", "x"], (4, 8, 8))
    seen = view(locate(describe(path)), None, None, ())
    whole = data.nbytes

    thinned = take(seen, cut([seen], 1024, whole // 2))
    assert len(thinned.cut.layers) == 8  # of 16
    planes = np.concatenate([np.arange(*layer) for layer in thinned.cut.layers])
    np.testing.assert_array_equal(thinned.values, data[planes].max(0))
    assert thinned.caption == "maximum over 32 of 64 z planes"
    assert planes[0] < 8
    assert planes[-1] >= 56

    cropped = take(seen, cut([seen], 1024, whole // 8))
    (top, bottom), (left, right) = cropped.cut.window
    planes = np.concatenate([np.arange(*layer) for layer in cropped.cut.layers])
    np.testing.assert_array_equal(cropped.values, data[planes, top:bottom, left:right].max(0))
    middle = f"middle {bottom - top} x {right - left} of 32 x 40"
    assert cropped.caption == f"maximum over 16 of 64 z planes, {middle}"
    assert abs(top + bottom - 32) <= 8
    assert abs(left + right - 40) <= 8


@pytest.mark.parametrize("chunks", [(64, 64, 64), (1, 1000, 1000), (1, 4096, 4096), (4096, 8, 8)])
@pytest.mark.parametrize(("axis", "index"), [(None, None), ("z", 2000), ("y", None), ("x", 1)])
def test_terabytes_cost_no_more_than_the_budget(tmp_path, chunks, axis, index):
    info = create(tmp_path / "a.zarr", HUGE, np.dtype(np.uint16), chunks, None, "none", ["z", "y", "x"])
    seen = view(locate(info), axis, index, ())
    part = cut([seen], 1024)
    assert cost(seen, part.window, part.layers) <= BUDGET
    assert cost(seen, part.window, part.layers) > 0.4 * BUDGET
    two = cut([seen, seen], 1024)
    assert 2 * cost(seen, two.window, two.layers) <= BUDGET


def test_a_chunk_larger_than_the_budget_is_read_alone(tmp_path):
    info = create(tmp_path / "a.zarr", HUGE, np.dtype(np.uint16), (2, 20000, 20000))
    seen = view(locate(info), None, None, ())
    part = cut([seen], 1024)
    assert part.layers == ((2048, 2050),)
    assert part.window == ((0, 20000), (0, 20000))


def test_a_chunk_larger_than_the_memory_is_refused(tmp_path):
    info = create(tmp_path / "a.zarr", (2_000_000, 2_000_000), np.dtype(np.uint16), (2_000_000, 2_000_000))
    with pytest.raises(UsageError, match="one chunk is 8 TB"):
        cut([view(locate(info), None, None, ())], 1024)


def test_of_very_many_small_chunks_few_are_read(tmp_path):
    info = create(tmp_path / "a.zarr", (2**31, 2**31), np.dtype(np.uint8), (1, 1))
    seen = view(locate(info), None, None, ())
    part = cut([seen], 1024)
    assert MOST_CHUNKS / 2 < touched(seen, part.window, part.layers) <= MOST_CHUNKS


def test_terabytes_are_drawn(tmp_path, monkeypatch):
    create(tmp_path / "a.zarr", HUGE, np.dtype(np.uint16), (64, 64, 64), None, "none", ["z", "y", "x"])
    middle = np.full((64, 64, 64), 7, np.uint16)
    for z in range(0, 4096, 64):
        open_regions(str(tmp_path / "a.zarr")).write((z, 9984, 9984), middle)
    sizes = []
    read = Regions.read
    monkeypatch.setattr(Regions, "read", lambda *args: sizes.append((block := read(*args)).nbytes) or block)
    seen = picture(tmp_path / "a.zarr")
    (top, _), (left, _) = seen.cut.window
    assert sum(sizes) == cost(seen.view, seen.cut.window, seen.cut.layers) <= BUDGET
    assert seen.caption == "maximum over 256 of 4096 z planes, middle 640 x 768 of 20000 x 20000"
    where = np.argwhere(seen.values)
    np.testing.assert_array_equal(where.min(0), (9984 - top, 9984 - left))
    np.testing.assert_array_equal(where.max(0), (9984 + 63 - top, 9984 + 63 - left))


def test_both_pictures_show_the_same_part(tmp_path, monkeypatch):
    drawn = []
    monkeypatch.setattr(module, "draw", lambda shots, ends: drawn.extend(shots) or draw(shots, ends))
    create(tmp_path / "a.zarr", HUGE, np.dtype(np.uint16), (64, 64, 64))
    create(tmp_path / "b.zarr", HUGE, np.dtype(np.float32), (32, 128, 128))
    preview(tmp_path / "a.zarr", tmp_path / "a.png", compare=tmp_path / "b.zarr", size=64)
    before, after = drawn
    assert before.cut == after.cut
    assert sum(cost(shot.view, shot.cut.window, shot.cut.layers) for shot in drawn) <= BUDGET


@pytest.mark.parametrize(
    ("one", "other", "expected"),
    [((0, 9), (1, 6), (0, 9)), ((0, 9), (0, 2), None), ((0, 1), (2, 3), None), ((5, 9), (4, 8), (4, 9))],
)
def test_scales_are_shared_where_that_shows_both(one, other, expected):
    assert shared_scale(one, other) == expected
    assert shared_scale(other, one) == expected


def test_before_and_after_have_one_scale_and_signed_its_own(tmp_path, volume):
    before = picture(store(tmp_path / "a.zarr", volume))
    after = picture(store(tmp_path / "b.zarr", volume.astype(np.float32) * 0.8))
    edges = picture(store(tmp_path / "c.zarr", volume.astype(np.float32) - 30000))

    def limits(*shots):
        return [panel.images[0].get_clim() for panel in draw(shots, (0, 100)).axes if panel.images]

    top = volume.max(0)
    assert limits(before, after) == [(pytest.approx(0.8 * top.min()), top.max())] * 2
    assert limits(before, edges)[0] == (top.min(), top.max())
    assert limits(before, edges)[1][0] == -limits(before, edges)[1][1]


def test_lines(tmp_path, volume):
    line = RNG.random(300).astype(np.float32)
    path = store(tmp_path / "a.zarr", line, ["x"])
    np.testing.assert_array_equal(picture(path).values, line)
    thinned = picture(path, size=100)
    np.testing.assert_array_equal(thinned.values, line[::3])
    assert thinned.caption == "one value in 3"
    plot = draw([thinned], (0, 100)).axes[0].lines[0]
    np.testing.assert_array_equal(plot.get_xdata(), np.arange(0, 300, 3))
    profile = picture(store(tmp_path / "b.zarr", volume, ["z", "y", "x"]), axis="z", select=["y=3"])
    np.testing.assert_array_equal(profile.values, volume[:, 3].max(0))
    preview(path, tmp_path / "a.png", compare=path)


def test_aspect_is_that_of_the_specimen(tmp_path, volume):
    def aspect(path, **options):
        return draw([picture(path, **options)], (0, 100)).axes[0].get_aspect()

    assert aspect(store(tmp_path / "plain.zarr", volume)) == 1
    path = store(tmp_path / "a.zarr", volume, ["z", "y", "x"], voxel_size=[0.29, 0.26, 0.13])
    assert aspect(path) == 2
    assert aspect(path, axis="y") == pytest.approx(0.29 / 0.13)
    assert aspect(store(tmp_path / "wrong.zarr", volume, voxel_size=[1, 0, "x"])) == 1


@pytest.mark.parametrize("zarr_format", [2, 3])
def test_ome_zarr_gives_names_and_voxel_sizes(tmp_path, zarr_format):
    group = zarr.open_group(str(tmp_path / "a.zarr"), mode="w", zarr_format=zarr_format)
    scales = [{"type": "scale", "scale": [1, 2, 3.0, 0.5]}]
    image = {
        "axes": [{"name": n, "type": "channel" if n == "c" else "space"} for n in "czyx"],
        "datasets": [{"path": "0", "coordinateTransformations": scales}],
    }
    group.attrs.update({"ome": {"multiscales": [image]}} if zarr_format == 3 else {"multiscales": [image]})
    data = RNG.integers(0, 9, (2, 3, 4, 5), dtype=np.uint8)
    group.create_array("0", data=data)
    seen = picture(tmp_path / "a.zarr", array="0", select=["c=1"])
    np.testing.assert_array_equal(seen.values, data[1].max(0))
    assert seen.view.names == ("c", "z", "y", "x")
    assert seen.view.voxel == [3.0, 0.5]
    # A result beside it that lost its metadata is taken to have the same axes.
    after = store(tmp_path / "b.zarr", data)
    assert locate(describe(after), like=seen.view.info).dimension_names == ("c", "z", "y", "x")
    preview(tmp_path / "a.zarr", tmp_path / "a.png", array="0", compare=after, select=["c=1"])


@pytest.mark.parametrize(
    ("ending", "magic"),
    [(".png", b"\x89PNG"), (".jpg", b"\xff\xd8\xff"), (".pdf", b"%PDF"), (".PNG", b"\x89PNG")],
)
def test_files(tmp_path, volume, ending, magic):
    path = tmp_path / f"cost $5 and $6{ending}"
    assert preview(store(tmp_path / "a$b$.zarr", volume), path) == path
    assert path.read_bytes().startswith(magic)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a$b$.zarr", path.name]


def test_pixels_are_those_of_the_array(tmp_path):
    data = np.zeros((2, 2), np.uint8)
    data[0, 1] = 255
    pixels = imread(preview(store(tmp_path / "a.zarr", data, ["y", "x"]), tmp_path / "a.png"))[..., 0]
    height, width = pixels.shape
    quarter = [int(0.42 * width) - int(0.2 * width), int(0.42 * width) + int(0.2 * width)]
    rows = [int(0.35 * height), int(0.75 * height)]
    corners = [[pixels[y, x] for x in quarter] for y in rows]
    np.testing.assert_array_equal(corners, [[0, 1], [0, 0]])


def test_an_existing_picture_is_kept_unless_told(tmp_path, volume):
    path = store(tmp_path / "a.zarr", volume)
    png = tmp_path / "a.png"
    png.write_bytes(b"mine")
    with pytest.raises(UsageError, match="--overwrite"):
        preview(path, png)
    assert png.read_bytes() == b"mine"
    preview(path, png, overwrite=True)
    assert png.read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"axis": "q"}, "no axis 'q': its axes are z, y, x"),
        ({"axis": 3}, "no axis 3"),
        ({"axis": "z", "index": 12}, "z = 12 is out of range: .* has 12"),
        ({"index": -13}, "out of range"),
        ({"select": ["y=20"]}, "y = 20 is out of range"),
        ({"select": ["c=1"]}, "no axis 'c'"),
        ({"select": ["z"]}, "expected AXIS=INDEX"),
        ({"select": ["z=1.5"]}, "expected AXIS=INDEX"),
        ({"select": ["z=1"], "axis": "z"}, "given twice"),
        ({"select": ["z=1"], "index": 1}, "no axis to slice"),
        ({"select": ["z=1", "y=1", "x=1"]}, "none is left"),
        ({"percentile": (60, 40)}, "percentiles 60 and 40"),
        ({"size": 0}, "size 0"),
        ({"array": "0"}, "not a group"),
        ({"compare": "missing.zarr"}, "does not exist"),
    ],
)
def test_requests_that_make_no_picture(tmp_path, volume, options, message):
    path = store(tmp_path / "a.zarr", volume, ["z", "y", "x"])
    with pytest.raises(UsageError, match=message) as caught:
        preview(path, tmp_path / "a.png", **options)
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "a.png").exists()


@pytest.mark.parametrize("name", ["a.gif", "a", "missing/a.png", "folder.png"])
def test_places_that_hold_no_picture(tmp_path, volume, name):
    path = store(tmp_path / "a.zarr", volume)
    (tmp_path / "folder.png").mkdir()
    with pytest.raises(UsageError, match=r"expected a file name|create it first|is a folder"):
        preview(path, tmp_path / name, overwrite=True)


@pytest.mark.parametrize("shape", [(0,), (4, 0, 5)])
def test_arrays_without_elements(tmp_path, shape):
    create(tmp_path / "a.zarr", shape, np.dtype(np.uint8), [max(1, n) for n in shape])
    with pytest.raises(UsageError, match="nothing to draw"):
        preview(tmp_path / "a.zarr", tmp_path / "a.png")


@pytest.mark.parametrize("value", [0, 7, np.nan])
def test_constant_arrays(tmp_path, value):
    preview(store(tmp_path / "a.zarr", np.full((3, 4, 5), value, np.float32)), tmp_path / "a.png", size=64)
