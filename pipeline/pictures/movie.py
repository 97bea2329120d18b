"""Movies of a simulation: a field on a plane, snapshot after snapshot, on one colour scale."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
from matplotlib.animation import FFMpegWriter
from matplotlib.colors import to_rgb
from PIL import Image
from scipy.spatial import cKDTree

from gridstride.pipeline.errors import JobFailed, UsageError, first_line
from gridstride.pipeline.events.bar import Bar
from gridstride.pipeline.pictures.canvas import NAN_COLOUR, check_file, colour_limits
from gridstride.pipeline.pictures.flow_view import FlowView, flow_view
from gridstride.pipeline.pictures.flows import FlowPicture, checked, fluid
from gridstride.pipeline.simulations.store import FlowStore
from gridstride.pipeline.storage.paths import sync_folder

ENDINGS = (".mp4", ".gif")
SAMPLED_FRAMES = 16  # of which the colour scale is made
SAMPLED_VALUES = 100_000  # of each of them
COLOURS, GREYS = 190, 64  # of a GIF's 256: for the colour map; for text, lines and obstacles


@dataclass(frozen=True)
class Movie:
    """A movie that was written. missing: number of snapshots that are not written yet."""

    path: Path
    frames: int
    missing: int


def movie(
    store: str | Path,
    file: str | Path,
    *,
    field: str | None = None,
    axis: str | None = None,
    index: int | None = None,
    limits: Sequence[float] | None = None,
    percentile: tuple[float, float] = (0.5, 99.5),
    fps: float = 15.0,
    every: int = 1,
    size: int = 800,
    overwrite: bool = False,
    quiet: bool = True,
) -> Movie:
    """Film a field of a simulation into an .mp4 (needs ffmpeg) or .gif file, one frame for each written snapshot.

    field, axis, index: as in `preview_flow`
    limits: values at the ends of the colour scale (default: `percentile` of a sample of frames from the whole run)
    every: film every n-th snapshot
    size: pixels of the longer side of the picture without its labels
    Raises UsageError before anything is drawn if the movie cannot be made.
    """
    file = check_file(file, overwrite, ENDINGS)
    if not 0 < fps <= 100:
        raise UsageError(f"{fps:g} frames a second: expected more than 0 and at most 100")
    if every < 1:
        raise UsageError(f"every {every}: expected at least 1")
    ffmpeg = find_ffmpeg(file) if file.suffix.lower() == ".mp4" else None
    view = flow_view(FlowStore.open(store), field, axis, index, size)
    ends = checked(limits)
    written = list(view.written())
    if not written:
        raise UsageError(f"{store} has no complete snapshot yet")
    frames = written[::every]
    picture = FlowPicture(view, ends or common_limits(view, frames, percentile), size)
    # Renamed once it is complete; the ending tells ffmpeg the format.
    temporary = file.with_name(f".{file.stem}.{os.getpid()}{file.suffix}")
    try:
        shown = drawn(picture, frames, quiet)
        if ffmpeg:
            write_mp4(temporary, picture, shown, fps, ffmpeg)
        else:
            write_gif(temporary, picture, shown, fps)
        temporary.replace(file)
        sync_folder(file.parent)
    except OSError as error:
        raise UsageError(f"{file} cannot be written: {first_line(error)}") from error
    finally:
        temporary.unlink(missing_ok=True)
    return Movie(file, len(frames), view.store.times.size - len(written))


def common_limits(view: FlowView, frames: Sequence[int], percentile: tuple[float, float]) -> tuple[float, float]:
    """The ends of the colour scale for all frames, from a sample of them."""
    count = min(len(frames), SAMPLED_FRAMES)
    chosen = sorted({frames[round(i)] for i in np.linspace(0, len(frames) - 1, count)})
    samples = []
    for when in chosen:
        values = fluid(view.values(when), view.solid)
        samples.append(values[:: max(1, values.size // SAMPLED_VALUES)])
    return colour_limits(samples, view.scale, percentile)


def drawn(picture: FlowPicture, frames: Sequence[int], quiet: bool, every: float = 5.0) -> Iterator[FlowPicture]:
    """The picture, frame after frame, with a progress bar unless `quiet`."""
    with Bar("movie", "frames", len(frames), quiet=quiet, every=every) as bar:
        for done, when in enumerate(frames, start=1):
            picture.show(picture.view.values(when), when)
            yield picture
            bar.show(done, f"{done / bar.seconds:.1f} frames/s")


def find_ffmpeg(file: Path) -> str:
    """Path of the system's ffmpeg, else that of the package imageio-ffmpeg. Raises UsageError if there is neither."""
    if found := shutil.which(str(matplotlib.rcParams["animation.ffmpeg_path"])):
        return found
    try:
        import imageio_ffmpeg

        return str(imageio_ffmpeg.get_ffmpeg_exe())
    except (ImportError, RuntimeError):
        raise UsageError(
            f"{file}: mp4 needs ffmpeg, which is not installed: install it, or pip install imageio-ffmpeg, "
            f"or write {file.with_suffix('.gif').name}"
        ) from None


def write_mp4(file: Path, picture: FlowPicture, shown: Iterable[Any], fps: float, ffmpeg: str) -> None:
    writer = FFMpegWriter(fps=fps, codec="h264", extra_args=["-pix_fmt", "yuv420p", "-crf", "18"])  # type: ignore[arg-type]
    with matplotlib.rc_context({"animation.ffmpeg_path": ffmpeg}):
        try:
            with writer.saving(picture.figure, str(file), dpi=picture.figure.dpi):
                for _ in shown:
                    writer.grab_frame()
        except (BrokenPipeError, subprocess.CalledProcessError) as error:
            said = str(getattr(error, "stderr", None) or error).strip().splitlines()
            raise JobFailed(f"ffmpeg failed: {said[-1] if said else 'no message'}") from error


def write_gif(file: Path, picture: FlowPicture, shown: Iterable[Any], fps: float) -> None:
    """All frames share one palette of 256 colours, so that nothing flickers."""
    levels = picture.image.get_cmap()(np.linspace(0, 1, COLOURS))[:, :3]
    greys = np.linspace(0, 1, GREYS)[:, None].repeat(3, 1)
    palette = (np.concatenate([greys, levels, [to_rgb(NAN_COLOUR)]]) * 255).round().astype(np.uint8)
    # The nearest colour of the palette, for every colour in steps of 4.
    steps = np.arange(64) * 4 + 1.5
    cube = np.stack(np.meshgrid(steps, steps, steps, indexing="ij"), -1)
    nearest = cKDTree(palette).query(cube)[1].astype(np.uint8)

    def images() -> Iterator[Image.Image]:
        for _ in shown:
            picture.canvas.draw()
            red, green, blue = np.moveaxis(np.asarray(picture.canvas.buffer_rgba())[..., :3] >> 2, -1, 0)
            image = Image.fromarray(nearest[red, green, blue])
            image.putpalette(palette.tobytes())
            yield image

    frames = images()
    next(frames).save(
        file, format="GIF", save_all=True, append_images=frames, duration=10 * max(1, round(100 / fps)), loop=0
    )
