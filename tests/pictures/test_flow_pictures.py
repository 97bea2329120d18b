"""Pictures, films and plots of a simulation, against its values; and the commands that make them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from flow_stores import FLAT, flow_layout, flow_store, see, shear_store, vortex, write
from matplotlib import colormaps
from matplotlib.image import imread
from PIL import Image, ImageSequence

from gridstride.pipeline.commands.main import main
from gridstride.pipeline.errors import UsageError
from gridstride.pipeline.pictures import movie as movies
from gridstride.pipeline.pictures import plots as flow_plots
from gridstride.pipeline.pictures.arrays import preview
from gridstride.pipeline.pictures.canvas import colour_limits
from gridstride.pipeline.pictures.flows import SOLID_COLOUR, FlowPicture, decimals
from gridstride.pipeline.pictures.movie import movie
from gridstride.pipeline.simulations.store import Diagnostics


@pytest.fixture(scope="module")
def shear(tmp_path_factory) -> Path:
    return shear_store(tmp_path_factory.mktemp("shear") / "shear.zarr")


# -- colours -----------------------------------------------------------------------------------------------------------


def test_colour_limits():
    values = np.arange(-100.0, 301.0)
    assert colour_limits([values], "signed", (0, 100)) == (-300, 300)
    assert colour_limits([values], "auto", (0, 100)) == (-300, 300)
    assert colour_limits([values[150:]], "auto", (0, 100)) == (50, 300)
    assert colour_limits([values[150:]], "positive", (0, 100)) == (0, 300)
    low, high = colour_limits([values, np.array([1e9])], "signed", (0.5, 99.5))
    assert -high == low
    assert high < 301, "one extreme value must not dull the rest"
    for flat in (np.zeros(5), np.full(5, np.nan), np.empty(0)):
        low, high = colour_limits([flat], "auto", (0.5, 99.5))
        assert low < high
    assert colour_limits([np.full(5, 3.0)], "auto", (0.5, 99.5)) == (3, 4)
    assert colour_limits([values], "plain", (0, 100)) == (-100, 300)


@pytest.mark.parametrize(
    ("times", "digits"),
    [([0, 1, 2], 1), ([0, 0.25], 2), ([0, 0.0999, 0.2001], 3), ([0, 40, 80], 0), ([7], 3)],
)
def test_times_in_titles_can_be_told_apart(times, digits):
    assert decimals(times) == digits
    assert len({f"{t:.{digits}f}" for t in times}) == len(times)


def pixels(picture: FlowPicture, image: np.ndarray) -> np.ndarray:
    """The image's colours at the middle of each cell, rows upwards."""
    height = image.shape[0]
    left, right, bottom, top = picture.view.extent
    rows, columns = picture.image.get_array().shape
    x = left + (np.arange(columns) + 0.5) / columns * (right - left)
    y = bottom + (np.arange(rows) + 0.5) / rows * (top - bottom)
    corners = np.stack(np.meshgrid(x, y), -1).reshape(-1, 2)
    at = picture.panel.transData.transform(corners)
    across, down = at[:, 0].astype(int), (height - at[:, 1]).astype(int)
    return image[down, across, :3].reshape(rows, columns, 3).astype(float)


def expected_colours(values: np.ndarray, ends: tuple[float, float], name: str) -> np.ndarray:
    return colormaps[name]((values - ends[0]) / (ends[1] - ends[0]))[..., :3] * 255


@pytest.mark.parametrize("cells", [{"x": 20, "y": 20}, {"x": 60, "y": 7}, {"x": 5, "y": 60}], ids=str)
def test_the_picture_has_the_values_colours(tmp_path, cells):
    layout = flow_layout(cells, spacing=dict.fromkeys(cells, 0.1), solid=True)
    path = flow_store(tmp_path / "a.zarr", layout, vortex(), written=[0, 1])
    share = np.zeros(layout.shape, np.float32)
    share[2:4, 1:3], share[4, 1] = 1, 0.5
    write(path, "solid", None, share)
    png = preview(path, tmp_path / "a.png", field="vorticity", limits=(-10, 10))
    view = see(path, "vorticity")
    picture = FlowPicture(view, (-10, 10))
    picture.show(view.values(1), 1)
    found = pixels(picture, imread(png) * 255)
    colours = expected_colours(view.values(1), (-10, 10), "RdBu_r")
    grey = np.array(SOLID_COLOUR) * 255
    colours += share[..., None] * (grey - colours)
    np.testing.assert_allclose(found, colours, rtol=0, atol=2.5)
    assert picture.panel.get_title(loc="left") == "a test\nt = 0.25"
    assert (picture.panel.get_xlabel(), picture.panel.get_ylabel()) == ("x", "y")
    assert picture.panel.get_aspect() == 1
    picture.canvas.draw()
    box = picture.figure.bbox
    for axes in picture.figure.axes:  # nothing is cut off
        inside = axes.get_tightbbox()
        assert inside.x0 >= 0 and inside.y0 >= 0 and inside.x1 <= box.x1 and inside.y1 <= box.y1  # noqa: PT018


def test_obstacles_do_not_set_the_scale(tmp_path):
    layout = flow_layout(FLAT, solid=True)
    path = flow_store(tmp_path / "a.zarr", layout, {}, [])
    share = np.zeros(layout.shape, np.float32)
    share[2:5, 3:5] = 1
    write(path, "solid", None, share)
    write(path, "p", 0, np.where(share > 0, 1e6, np.linspace(1, 2, 9)))
    assert movies.common_limits(see(path, "pressure"), [0], (0, 100)) == (1, 2)


# -- films -------------------------------------------------------------------------------------------------------------


@pytest.fixture
def film(tmp_path) -> Path:
    """A vortex that fades; the snapshot at 0.5 is not written, that at 1 only in part."""
    layout = flow_layout({"x": 24, "y": 16}, spacing={"x": 1 / 24, "y": 1 / 24}, chunks=(8, 8))
    path = flow_store(tmp_path / "film.zarr", layout, vortex(lambda t: 1 - 0.6 * t), written=[0, 1, 3])
    write(path, "u", 4, np.zeros(layout.shape))
    write(path, "v", 4, np.zeros((8, 24)))
    return path


def check_frames(frames: list[np.ndarray], path: Path, tolerance: float) -> None:
    """Each frame has the colours of its own snapshot, on one scale for all."""
    view = see(path, "vorticity")
    ends = movies.common_limits(view, [0, 1, 3], (0.5, 99.5))
    picture = FlowPicture(view, ends, 200)
    assert len(frames) == 3
    assert frames[0].shape == tuple(np.array([picture.figure.bbox.height, picture.figure.bbox.width, 3]).round())
    for frame, when in zip(frames, (0, 1, 3), strict=True):
        picture.show(view.values(when), when)
        colours = expected_colours(view.values(when), ends, "RdBu_r")
        np.testing.assert_allclose(pixels(picture, frame), colours, rtol=0, atol=tolerance)
    for one, other in ((0, 1), (1, 2), (0, 2)):
        assert abs(frames[one].astype(int) - frames[other]).max() > 60


def test_a_gif_has_a_frame_for_each_snapshot_in_its_colours(film, tmp_path):
    made = movie(film, tmp_path / "a.gif", field="vorticity", size=200, fps=10)
    assert (made.frames, made.missing) == (3, 2)
    image = Image.open(made.path)
    assert image.info["duration"] == 100
    frames = [np.array(frame.convert("RGB")) for frame in ImageSequence.Iterator(image)]
    check_frames(frames, film, 6)
    assert (frames[0][0, 0] == 255).all()
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a.gif", "film.zarr"]


def test_an_mp4_has_a_frame_for_each_snapshot_in_its_colours(film, tmp_path):
    imageio_ffmpeg = pytest.importorskip("imageio_ffmpeg")
    made = movie(film, tmp_path / "a.mp4", field="vorticity", size=200)
    reader = imageio_ffmpeg.read_frames(str(made.path))
    width, height = next(reader)["size"]
    frames = [np.frombuffer(data, np.uint8).reshape(height, width, 3) for data in reader]
    check_frames(frames, film, 25)  # video blends the colours of neighbours
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a.mp4", "film.zarr"]


def test_mp4_without_ffmpeg_says_what_to_do(film, tmp_path, monkeypatch):
    monkeypatch.setattr(movies.shutil, "which", lambda name: None)
    monkeypatch.setitem(__import__("sys").modules, "imageio_ffmpeg", None)
    with pytest.raises(UsageError, match=r"mp4 needs ffmpeg, which is not installed: .* or write a.gif"):
        movie(film, tmp_path / "a.mp4")


def test_a_film_that_fails_leaves_what_was_there(film, tmp_path, monkeypatch):
    (tmp_path / "a.gif").write_bytes(b"old")

    def fail(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(FlowPicture, "show", fail)
    with pytest.raises(KeyboardInterrupt):
        movie(film, tmp_path / "a.gif", overwrite=True)
    assert (tmp_path / "a.gif").read_bytes() == b"old"
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a.gif", "film.zarr"]


def test_one_snapshot_in_so_many(film, tmp_path):
    assert movie(film, tmp_path / "a.gif", every=2, size=100).frames == 2
    for options in ({"every": 0}, {"fps": 0}, {"size": 0}, {"limits": (1.0, 1.0)}, {"limits": 3.0}):
        with pytest.raises(UsageError):
            movie(film, tmp_path / "b.gif", **options)
    assert not (tmp_path / "b.gif").exists()


def test_progress_in_lines_where_there_is_no_terminal(film, capsys):
    picture = FlowPicture(see(film, "speed"), (0, 1), 100)
    assert [frame.panel.get_title(loc="left") for frame in movies.drawn(picture, [0, 1, 3], quiet=False, every=0)] == [
        "a test\nt = 0.00", "a test\nt = 0.25", "a test\nt = 0.75",
    ]  # fmt: skip
    assert [line.split(",")[0] for line in capsys.readouterr().err.splitlines()] == [f"{i}/3 frames" for i in (1, 2, 3)]
    assert len(list(movies.drawn(picture, [0], quiet=True, every=0))) == 1
    assert capsys.readouterr().err == ""


# -- plots -------------------------------------------------------------------------------------------------------------


def test_each_quantity_has_a_panel_with_its_values(tmp_path):
    layout = flow_layout(FLAT)
    path = flow_store(tmp_path / "a.zarr", layout, {}, [])
    with pytest.raises(UsageError, match="has no diagnostics yet"):
        flow_plots.plot(path, tmp_path / "a.png")
    samples = Diagnostics(path)
    for step in (10, 20, 30):
        samples.append(
            {"step": step, "kinetic_energy": 1 / step, "max_speed": 10.0**-step, "force_x": 3, "force_y": step}
        )
    samples.flush()
    figure = flow_plots.draw(samples.read(), "a test")
    panels = {panel.get_title(loc="left"): panel for panel in figure.axes}
    assert list(panels) == ["kinetic energy", "largest speed", "force on obstacles"]
    drawn = {name: [line.get_xydata() for line in panel.lines] for name, panel in panels.items()}
    np.testing.assert_array_equal(drawn["kinetic energy"], [[[0.1, 0.1], [0.2, 0.05], [0.3, 1 / 30]]])
    np.testing.assert_array_equal(
        drawn["force on obstacles"], [[[0.1, 3], [0.2, 3], [0.3, 3]], [[0.1, 10], [0.2, 20], [0.3, 30]]]
    )
    assert [panel.get_yscale() for panel in panels.values()] == ["linear", "log", "linear"]
    assert imread(flow_plots.plot(path, tmp_path / "a.png")).ndim == 3


# -- commands ----------------------------------------------------------------------------------------------------------


def command(*words) -> tuple[int, str]:
    result = CliRunner().invoke(main, [str(word) for word in words])
    return result.exit_code, result.output


@pytest.mark.parametrize("words", [("preview", "a.png"), ("movie", "a.gif"), ("plot", "a.png")], ids=lambda w: w[0])
def test_a_file_that_exists_is_replaced_only_on_demand(film, tmp_path, monkeypatch, words):
    monkeypatch.chdir(tmp_path)
    name, file = words
    samples = Diagnostics(film)
    samples.append({"step": 10, "kinetic_energy": 1, "max_speed": 2, "force_x": 3, "force_y": 4})
    Path(file).write_bytes(b"mine")
    code, output = command(name, "film.zarr", file)
    assert (code, output.strip()) == (2, f"gridstride: {file} exists: pass --overwrite to replace it")
    assert Path(file).read_bytes() == b"mine"
    code, output = command(name, "film.zarr", file, "--overwrite")
    assert code == 0, output
    assert output.startswith(f"wrote {file}")
    assert Path(file).stat().st_size > 1000
    wrong = Path(file).with_suffix(".txt")
    assert command(name, "film.zarr", wrong)[0] == 2
    assert not wrong.exists()


def test_preview_passes_its_options_on(shear, tmp_path, monkeypatch):
    given = {}
    monkeypatch.setattr("gridstride.pipeline.pictures.arrays.preview_flow", lambda *a, **k: given.update(k))
    words = ["--field", "q", "--time", "0.5", "--axis", "y", "--index", "2", "--limits", "-3,3.5"]
    assert command("preview", shear, tmp_path / "a.png", *words)[0] == 0
    assert {k: given[k] for k in ("field", "time", "axis", "index", "limits")} == {
        "field": "q", "time": 0.5, "axis": "y", "index": 2, "limits": [-3, 3.5],
    }  # fmt: skip


def test_preview_keeps_arrays_and_simulations_apart(shear, tmp_path, store):
    image = store(np.ones((4, 4), np.float32), (2, 2))
    png = tmp_path / "a.png"
    code, output = command("preview", image, png, "--field", "speed")
    assert code == 2
    assert "for the output of a simulation" in output
    code, output = command("preview", shear, png, "--compare", image)
    assert code == 2
    assert "need --array" in output
    code, output = command("movie", image, tmp_path / "a.gif")
    assert code == 2
    assert "not the output of a simulation" in output
    assert not png.exists()
    assert command("preview", shear, png, "--array", "p", "--select", "time=1")[0] == 0
    assert png.exists()


def test_the_movie_command_says_what_is_missing(film, tmp_path):
    code, output = command("movie", film, tmp_path / "a.gif", "--field", "u", "--quiet", "--size", "100")
    assert code == 0
    # u is whole at 1 as well: only what the field needs counts.
    assert output == f"wrote {tmp_path / 'a.gif'}: 4 frames (snapshots not written yet: 1)\n"
