"""Pictures of Zarr arrays: one plane or one projection, of one array or of two side by side.

Arrays may be larger than memory, and than anyone's patience. A picture decodes `BUDGET` bytes of chunks or
less (one chunk in any case). Where that is too little it takes fewer layers of chunks into a projection, down
to `FEWEST_LAYERS`, and then shows a window round the middle of the plane. Its caption says so:

    |##|    |##|    |##|  layers       +-----------+     "maximum over 256 of 4096 z planes,
    z ->                               |   +---+   |      middle 640 x 768 of 20000 x 20000"
                                     y |   |   |   |
                                       |   +---+   |
                                       +-----------+
                                             x
"""

from __future__ import annotations

import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from io import BytesIO
from math import ceil, isfinite, prod
from pathlib import Path
from typing import Any

import numpy as np
import zarr
from matplotlib import colormaps
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from gridstride.pipeline.errors import JobFailed, UsageError
from gridstride.pipeline.stores import SERIES, ArrayInfo, describe, durable_write, first_line, regions

BUDGET = 256_000_000  # bytes
FEWEST_LAYERS = 4
ENDINGS = (".png", ".jpg", ".pdf")
# Two pictures share a scale if their ranges have this part of their union in common: the duller of them then
# keeps 64 of 256 grey levels.
SHARED_SCALE = 0.25
# Negative values smaller than this part of the largest are ringing or rounding, not a signed quantity.
SIGNED = 0.01
NAN_COLOUR = "gold"  # is in neither colour map
PANEL = 6.0  # inches, the longer side of a picture


@dataclass(frozen=True)
class View:
    """What becomes of each axis of an array.

    names:   of the axes; "axis 0" where the array has none
    shown:   axes of the picture (rows, columns), or the one axis of a line
    reduced: the axis projected, or None
    fixed:   {axis: index} for all others
    """

    info: ArrayInfo
    names: tuple[str, ...]
    shown: tuple[int, ...]
    reduced: int | None
    fixed: dict[int, int]

    @property
    def extents(self) -> tuple[int, ...]:
        """Lengths of the shown axes, and of the reduced axis (1 if there is none), in voxels."""
        depth = 1 if self.reduced is None else self.info.shape[self.reduced]
        return (*(self.info.shape[a] for a in self.shown), depth)

    @property
    def voxel(self) -> list[float]:
        """Voxel sizes along the shown axes, in any one unit."""
        sizes = self.info.attributes["voxel_size"]
        return [float(sizes[a]) if sizes else 1.0 for a in self.shown]


@dataclass(frozen=True)
class Cut:
    """The part of a view that is read: [start, stop) and stride of shown axes, [start, stop) of layers."""

    window: tuple[tuple[int, int], ...]
    strides: tuple[int, ...]
    layers: tuple[tuple[int, int], ...]


@dataclass(frozen=True)
class Picture:
    """`values` (rows, columns), or (samples,) for a line; the scale of `signed` values is centred on 0."""

    values: np.ndarray
    caption: str
    signed: bool
    view: View
    cut: Cut


def preview(
    store: str | Path,
    png: str | Path,
    *,
    array: str | None = None,
    compare: str | Path | None = None,
    compare_array: str | None = None,
    axis: str | int | None = None,
    index: int | None = None,
    select: Sequence[str] = (),
    percentile: tuple[float, float] = (0.5, 99.5),
    size: int = 1024,
    overwrite: bool = False,
) -> Path:
    """Draw an array, and beside it the one `compare` names, into a PNG, JPEG or PDF file. Returns its path.

    axis, index, select: as in `picture`
    percentile: of a picture's finite values, where its scale begins and ends
    size: of the longer side of a picture, in pixels
    Raises UsageError, before anything is read, for what cannot be drawn.
    """
    png = Path(png)
    low, high = percentile
    if png.suffix.lower() not in ENDINGS:
        raise UsageError(f"{png}: expected a file name that ends in {', '.join(ENDINGS)}")
    if not png.parent.is_dir():
        raise UsageError(f"{png.parent} is not a folder: create it first")
    if png.is_dir():
        raise UsageError(f"{png} is a folder")
    if png.exists() and not overwrite:
        raise UsageError(f"{png} exists: pass --overwrite to replace it")
    if not 0 <= low < high <= 100:
        raise UsageError(f"percentiles {low:g} and {high:g}: expected 0 <= low < high <= 100")
    if size < 1:
        raise UsageError(f"size {size}: expected at least 1 pixel")
    infos = [locate(describe(store, array))]
    if compare is not None:
        infos.append(locate(describe(compare, compare_array), like=infos[0]))
    views = [view(info, axis, index, select) for info in infos]
    if len({v.extents for v in views}) == 1:
        cuts = [cut(views, size)] * len(views)
    else:
        cuts = [cut([v], size, BUDGET // len(views)) for v in views]
    figure = draw([take(v, c) for v, c in zip(views, cuts, strict=True)], percentile)
    file = BytesIO()
    figure.savefig(file, format=png.suffix[1:].lower(), dpi=max(100, size / PANEL))
    try:
        durable_write(png, file.getvalue())
    except OSError as error:
        raise UsageError(f"{png} cannot be written: {first_line(error)}") from error
    return png


def picture(
    store: str | Path,
    *,
    array: str | None = None,
    axis: str | int | None = None,
    index: int | None = None,
    select: Sequence[str] = (),
    size: int = 1024,
) -> Picture:
    """The values that `preview` draws, no more than `size` along an axis.

    The last two axes are shown. `axis`, by default the last before them, is projected, or sliced at `index`.
    Other axes show their first element, or the one in `select` ("c=1"). Series (time, channels) are not shown
    where two other axes are left, and are projected only if `axis` names them.
    """
    seen = view(locate(describe(store, array)), axis, index, select)
    return take(seen, cut([seen], size))


def locate(info: ArrayInfo, like: ArrayInfo | None = None) -> ArrayInfo:
    """The array with axis names and "voxel_size" (None if unknown) filled in.

    They are the array's own, else those of the OME-Zarr image it is a level of (https://ngff.openmicroscopy.org),
    else those of `like`, an array with as many axes.
    """
    names: Any = info.dimension_names
    sizes: Any = info.attributes.get("voxel_size", info.attributes.get("scale"))
    axes = info.attributes.get("axes")
    folder = Path(info.path)
    try:
        group = dict(zarr.open_group(str(folder.parent), mode="r").attrs)
        image: Any = group.get("ome", group)["multiscales"][0]  # type: ignore[call-overload, index]
        axes = axes or image["axes"]
        level = next(d for d in image["datasets"] if d["path"] == folder.name)
        steps = [*level["coordinateTransformations"], *image.get("coordinateTransformations", ())]
        sizes = sizes or np.prod([s["scale"] for s in steps if s["type"] == "scale"], axis=0).tolist()
    except Exception:  # there is no group, or no image in it
        pass
    if isinstance(axes, list) and len(axes) == info.ndim and not any(names):
        names = tuple(a.get("name") if isinstance(a, Mapping) else str(a) for a in axes)
    usable = isinstance(sizes, list) and len(sizes) == info.ndim
    if not usable or not all(isinstance(s, int | float) and isfinite(s) and s > 0 for s in sizes):
        sizes = None
    if like is not None and like.ndim == info.ndim:
        names = names if any(names) else like.dimension_names
        sizes = sizes or like.attributes["voxel_size"]
    return replace(info, dimension_names=names, attributes={**info.attributes, "voxel_size": sizes})


def view(info: ArrayInfo, axis: str | int | None, index: int | None, select: Sequence[str]) -> View:
    """Settle what becomes of each axis. Raises UsageError for axes and indices that the array lacks."""
    if not info.ndim or not all(info.shape):
        raise UsageError(f"{info.path} has shape {info.shape}: there is nothing to draw")
    names = tuple(name or f"axis {i}" for i, name in enumerate(info.dimension_names))

    def find(name: str | int) -> int:
        try:
            return names.index(str(name)) if name in names else range(info.ndim)[int(name)]
        except (ValueError, IndexError):
            known = ", ".join(label or str(i) for i, label in enumerate(info.dimension_names))
            raise UsageError(f"{info.path} has no axis {name!r}: its axes are {known}") from None

    def element(where: int, number: int) -> int:
        n = info.shape[where]
        if not -n <= number < n:
            raise UsageError(f"{names[where]} = {number} is out of range: {info.path} has {n} along it")
        return number % n

    fixed: dict[int, int] = {}
    for text in select:
        name, _, number = text.partition("=")
        if not number.strip().removeprefix("-").isdecimal():
            raise UsageError(f"--select {text!r}: expected AXIS=INDEX, such as c=1")
        where = find(name.strip())
        fixed[where] = element(where, int(number))
    reduced = None if axis is None else find(axis)
    if reduced in fixed:
        raise UsageError(f"axis {axis!r} is given twice: as the axis to project or slice, and in --select")
    free = [a for a in range(info.ndim) if a not in fixed and a != reduced]
    space = [a for a in free if names[a].lower() not in SERIES]
    shown = (space if len(space) > 1 else free)[-2:]
    if not shown:
        raise UsageError(f"{info.path} has the axes {', '.join(names)}: none is left to show")
    rest = [a for a in space if a not in shown]
    if reduced is None and rest:
        reduced = rest[-1]
    if index is not None:
        if reduced is None:
            raise UsageError(f"index {index}: {info.path} has no axis to slice: say which with --axis")
        fixed[reduced] = element(reduced, index)
        reduced = None
    fixed |= dict.fromkeys((a for a in free if a not in (*shown, reduced, *fixed)), 0)
    return View(info, names, tuple(shown), reduced, fixed)


def cost(seen: View, window: Sequence[tuple[int, int]], layers: Sequence[tuple[int, int]]) -> int:
    """Bytes of the chunks that are decoded for a window of each layer."""
    chunks = seen.info.chunks

    def touched(axis: int, span: tuple[int, int]) -> int:
        return (span[1] - 1) // chunks[axis] - span[0] // chunks[axis] + 1

    deep = 1 if seen.reduced is None else sum(touched(seen.reduced, span) for span in layers)
    wide = prod(touched(a, span) for a, span in zip(seen.shown, window, strict=True))
    return deep * wide * prod(chunks) * seen.info.dtype.itemsize


def cut(views: Sequence[View], size: int, budget: int = BUDGET) -> Cut:
    """The largest part of views of the same extents that costs `budget` bytes for all of them, or less."""
    seen = views[0]
    *extents, depth = seen.extents
    units = [seen.info.chunks[a] for a in seen.shown]
    unit = 1 if seen.reduced is None else seen.info.chunks[seen.reduced]
    counts = [ceil(n / u) for n, u in zip(extents, units, strict=True)]
    taken = available = ceil(depth / unit)
    while True:
        starts = [(ceil(n / u) - k) // 2 * u for n, u, k in zip(extents, units, counts, strict=True)]
        window = [(s, min(s + k * u, n)) for s, k, u, n in zip(starts, counts, units, extents, strict=True)]
        middles = [(2 * i + 1) * available // (2 * taken) for i in range(taken)]
        layers = [(m * unit, min((m + 1) * unit, depth)) for m in middles]
        if sum(cost(v, window, layers) for v in views) <= budget:
            break
        widest = max(range(len(counts)), key=lambda i: (counts[i] > 1, window[i][1] - window[i][0]))
        if taken > FEWEST_LAYERS:
            taken = max(FEWEST_LAYERS, taken * 9 // 10)
        elif counts[widest] > 1:
            counts[widest] = counts[widest] * 9 // 10
        elif taken > 1:
            taken -= 1
        else:
            break
    return Cut(tuple(window), tuple(ceil((b - a) / size) for a, b in window), tuple(layers))


def take(seen: View, part: Cut) -> Picture:
    """Read a part of a view, layer by layer. A projection ignores NaN where there are other values."""
    info, axis = seen.info, seen.reduced
    start = [seen.fixed.get(a, 0) for a in range(info.ndim)]
    stop = [i + 1 for i in start]
    for a, span in zip(seen.shown, part.window, strict=True):
        start[a], stop[a] = span
    kept = [a for a in range(info.ndim) if a not in seen.fixed]
    every = (slice(None), *(slice(None, None, s) for s in part.strides))
    high: Any = None
    low: Any = None
    for layer in part.layers:
        if axis is not None:
            start[axis], stop[axis] = layer
        try:
            block = regions(info.path).read(start, stop)
        except Exception as error:
            raise JobFailed(f"{info.path} cannot be read: {first_line(error)}") from error
        block = block.reshape([block.shape[a] for a in kept])
        block = block[None] if axis is None else np.moveaxis(block, kept.index(axis), 0)
        block = block[every].view(np.uint8) if info.dtype == bool else block[every]
        top, bottom = np.fmax.reduce(block), np.fmin.reduce(block)
        high = top if high is None else np.fmax(high, top)
        low = bottom if low is None else np.fmin(low, bottom)
    signed = False
    if info.dtype.kind == "f":
        least = low.min(where=np.isfinite(low), initial=0)
        signed = bool(least < -SIGNED * max(high.max(where=np.isfinite(high), initial=0), -least))
    values = np.where(-low > high, low, high) if signed else high
    return Picture(values, caption(seen, part, signed), signed, seen, part)


def caption(seen: View, part: Cut, signed: bool) -> str:
    """What of the array is shown, in words."""
    words = []
    if seen.reduced is not None:
        name, depth = seen.names[seen.reduced], seen.extents[-1]
        planes = sum(b - a for a, b in part.layers)
        over = name if planes == depth else f"{planes} of {depth} {name} planes"
        words.append(f"{'largest magnitude' if signed else 'maximum'} over {over}")
    words += [f"{seen.names[a]} = {i}" for a, i in sorted(seen.fixed.items())]
    whole, window = seen.extents[:-1], tuple(b - a for a, b in part.window)
    if window != whole:
        words.append(f"middle {times(window)} of {times(whole)}")
    if max(part.strides) > 1:
        words.append(f"one {'value' if len(whole) == 1 else 'pixel'} in {times(part.strides)}")
    return ", ".join(words)


def times(lengths: Sequence[int]) -> str:
    return " x ".join(map(str, lengths))


def scale(shot: Picture, percentile: tuple[float, float]) -> tuple[float, float]:
    """Values at the two ends of the colour scale."""
    finite = shot.values[np.isfinite(shot.values)].astype(np.float64)
    if not finite.size:
        return 0.0, 1.0
    if shot.signed:
        top = float(np.percentile(abs(finite), percentile[1]) or abs(finite).max())
        return -top, top
    low, high = map(float, np.percentile(finite, percentile))
    if low == high:  # all but a few pixels are alike
        low, high = float(finite.min()), float(finite.max())
    return (low, high) if low < high else (low, low + 1)


def shared_scale(one: tuple[float, float], other: tuple[float, float]) -> tuple[float, float] | None:
    """The union of two scales, or None where they have too little in common."""
    union = min(one[0], other[0]), max(one[1], other[1])
    common = min(one[1], other[1]) - max(one[0], other[0])
    return union if common >= SHARED_SCALE * (union[1] - union[0]) else None


def draw(shots: Sequence[Picture], percentile: tuple[float, float]) -> Figure:
    """One panel for each picture, side by side; on one scale where that shows both."""
    scales = [scale(shot, percentile) for shot in shots]
    alike = len(shots) == 2 and len({(shot.signed, shot.values.ndim) for shot in shots}) == 1
    same = shared_scale(*scales) if alike else None
    sides = [proportions(shot) for shot in shots]
    # The margins hold titles, tick labels and colour bars.
    figure = Figure((sum(w + 1.6 for w, _ in sides), max(h for _, h in sides) + 1.4), layout="constrained")
    FigureCanvasAgg(figure)
    panels = figure.subplots(1, len(shots), squeeze=False, width_ratios=[w for w, _ in sides])[0]
    if same and shots[0].values.ndim == 1:
        panels[1].sharey(panels[0])
    for panel, shot, own, (width, _) in zip(panels, shots, scales, sides, strict=True):
        title(panel, shot, width)
        if shot.values.ndim == 1:
            (first, last), stride = shot.cut.window[0], shot.cut.strides[0]
            panel.plot(np.arange(first, last, stride), shot.values, linewidth=1)
            panel.margins(x=0)
        else:
            draw_plane(panel, shot, same or own, "one scale for both" if same else "")
    return figure


def proportions(shot: Picture) -> tuple[float, float]:
    """Width and height of a panel in inches: those of the specimen, within a ratio of 4."""
    if shot.values.ndim == 1:
        return PANEL, PANEL / 2
    tall, wide = ((b - a) * v for v, (a, b) in zip(shot.view.voxel, shot.cut.window, strict=True))
    ratio = min(max(tall / wide, 1 / 4), 4)
    return (PANEL, PANEL * ratio) if ratio < 1 else (max(PANEL / ratio, PANEL / 2), PANEL)


def title(panel: Any, shot: Picture, width: float) -> None:
    """Store, shape, dtype and what is shown, over a panel `width` inches wide; and its axis labels."""
    info, seen = shot.view.info, shot.view
    path = Path(info.path)
    root = next((p for p in path.parents if p.suffix == ".zarr"), path)
    axes = f" ({', '.join(seen.names)})" if any(info.dimension_names) else ""
    texts = str(path.relative_to(root.parent)), f"{times(info.shape)}{axes}, {info.dtype.name}", shot.caption
    lines = [line for text in texts for line in textwrap.wrap(text, int((width + 0.5) * 11))]
    panel.set_title("\n".join(lines), loc="left", fontsize=10, pad=8, parse_math=False)
    panel.set_xlabel(f"{seen.names[seen.shown[-1]]} (voxels)", parse_math=False)
    if len(seen.shown) == 2:
        panel.set_ylabel(f"{seen.names[seen.shown[0]]} (voxels)", parse_math=False)


def draw_plane(panel: Any, shot: Picture, limits: tuple[float, float], remark: str) -> None:
    """The picture with voxel indices along its sides, and its colour bar, which says `remark`."""
    (top, bottom), (left, right) = shot.cut.window
    voxel = shot.view.voxel
    ratio = (bottom - top) * voxel[0] / ((right - left) * voxel[1])
    image = panel.imshow(
        shot.values.astype(np.float64),
        cmap=colormaps["RdBu_r" if shot.signed else "gray"].with_extremes(bad=NAN_COLOUR),
        vmin=limits[0],
        vmax=limits[1],
        extent=(left - 0.5, right - 0.5, bottom - 0.5, top - 0.5),
        aspect=voxel[0] / voxel[1] if 1 / 8 <= ratio <= 8 else "auto",
    )
    clipped = np.any((shot.values < limits[0]) | (shot.values > limits[1]))
    # An inset keeps the bar as tall as a picture that does not fill its panel.
    bar = panel.inset_axes((1.03, 0, 0.035, 1))
    panel.figure.colorbar(image, cax=bar, extend="both" if clipped else "neither", label=remark)
    if np.isnan(shot.values).any():
        panel.legend(handles=[Patch(color=NAN_COLOUR, label="NaN")], loc="lower right")
