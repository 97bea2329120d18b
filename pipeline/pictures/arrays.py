"""Pictures of Zarr arrays: a plane or a projection, of one array or of two side by side."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib import colormaps
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from gridstride.pipeline.errors import UsageError
from gridstride.pipeline.pictures.array_view import BUDGET, Picture, cut, locate, take, view
from gridstride.pipeline.pictures.canvas import NAN_COLOUR, SIGNED_MAP, check_file, colour_limits, save
from gridstride.pipeline.pictures.flows import preview_flow
from gridstride.pipeline.simulations.store import is_flow
from gridstride.pipeline.storage.describe import describe
from gridstride.pipeline.storage.paths import store_path
from gridstride.pipeline.text import shape_text

# Two pictures share a scale if their ranges have this part of their union in common: then the one with less contrast
# keeps at least 64 of 256 grey levels.
SHARED_SCALE = 0.25
PANEL = 6.0  # inches, the longer side of a picture


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
    field: str | None = None,
    time: float | None = None,
    limits: Sequence[float] | None = None,
    overwrite: bool = False,
) -> Path:
    """Draw an array into a PNG, JPEG or PDF file, beside the one at `compare` if given. Returns the file's path.

    If a simulation wrote `store` and `array` names none of its arrays, draw a field of it: see `preview_flow`.

    axis: projected, or sliced at `index` (default: the last axis before the two that are shown)
    select: elements of other axes, "c=1" (default: the first)
    percentile: of a picture's finite values, where its scale begins and ends
    size: pixels of the longer side of a picture
    Raises UsageError before anything is read if the picture cannot be made.
    """
    png = check_file(png, overwrite)
    low, high = percentile
    if not 0 <= low < high <= 100:
        raise UsageError(f"percentiles {low:g} and {high:g}: expected 0 <= low < high <= 100")
    if size < 1:
        raise UsageError(f"size {size}: expected at least 1 pixel")
    if array is None and is_flow(store):
        if compare is not None or select:
            raise UsageError(f"{store} is the output of a simulation: --compare and --select need --array")
        return preview_flow(
            store, png, field=field, time=time, axis=None if axis is None else str(axis), index=index,
            limits=limits, percentile=percentile, size=size,
        )  # fmt: skip
    if field is not None or time is not None or limits is not None:
        raise UsageError("--field, --time and --limits are only for the output of a simulation, without --array")
    infos = [locate(describe(store, array))]
    if compare is not None:
        infos.append(locate(describe(compare, compare_array), like=infos[0]))
    views = [view(info, axis, index, select) for info in infos]
    if len({v.extents for v in views}) == 1:
        cuts = [cut(views, size)] * len(views)
    else:
        cuts = [cut([v], size, BUDGET // len(views)) for v in views]
    figure = draw([take(v, c) for v, c in zip(views, cuts, strict=True)], percentile)
    return save(figure, png, dpi=max(100, size / PANEL))


def shared_scale(one: tuple[float, float], other: tuple[float, float]) -> tuple[float, float] | None:
    """The union of two scales, or None where they have too little in common."""
    union = min(one[0], other[0]), max(one[1], other[1])
    common = min(one[1], other[1]) - max(one[0], other[0])
    return union if common >= SHARED_SCALE * (union[1] - union[0]) else None


def draw(shots: Sequence[Picture], percentile: tuple[float, float]) -> Figure:
    """One panel for each picture, side by side; on one scale if both are well visible on it."""
    scales = [colour_limits([shot.values], "signed" if shot.signed else "plain", percentile) for shot in shots]
    alike = len(shots) == 2 and len({(shot.signed, shot.values.ndim) for shot in shots}) == 1
    same = shared_scale(*scales) if alike else None
    sides = [proportions(shot) for shot in shots]
    # The margins hold titles, tick labels and colour bars.
    figure = Figure((sum(w + 1.6 for w, _ in sides), max(h for _, h in sides) + 1.4), layout="constrained")
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
    """Width and height of a panel in inches, in the proportions of the specimen but at most 4 to 1."""
    if shot.values.ndim == 1:
        return PANEL, PANEL / 2
    tall, wide = ((b - a) * v for v, (a, b) in zip(shot.view.voxel, shot.cut.window, strict=True))
    ratio = min(max(tall / wide, 1 / 4), 4)
    return (PANEL, PANEL * ratio) if ratio < 1 else (max(PANEL / ratio, PANEL / 2), PANEL)


def title(panel: Any, shot: Picture, width: float) -> None:
    """Title a panel of `width` inches with store, shape, dtype and the part shown; label its axes."""
    info, seen = shot.view.info, shot.view
    path = store_path(info.path)
    root = next((p for p in path.parents if p.suffix == ".zarr"), path)
    name = str(path).removeprefix(f"{root.parent}/")
    axes = f" ({', '.join(seen.names)})" if any(info.dimension_names) else ""
    texts = name, f"{shape_text(info.shape)}{axes}, {info.dtype.name}", shot.caption
    lines = [line for text in texts for line in textwrap.wrap(text, int((width + 0.5) * 11))]
    panel.set_title("\n".join(lines), loc="left", fontsize=10, pad=8, parse_math=False)
    panel.set_xlabel(f"{seen.names[seen.shown[-1]]} (voxels)", parse_math=False)
    if len(seen.shown) == 2:
        panel.set_ylabel(f"{seen.names[seen.shown[0]]} (voxels)", parse_math=False)


def draw_plane(panel: Any, shot: Picture, limits: tuple[float, float], remark: str) -> None:
    """The picture with voxel indices along its sides, and its colour bar, labelled `remark`."""
    (top, bottom), (left, right) = shot.cut.window
    voxel = shot.view.voxel
    ratio = (bottom - top) * voxel[0] / ((right - left) * voxel[1])
    image = panel.imshow(
        shot.values.astype(np.float64),
        cmap=colormaps[SIGNED_MAP if shot.signed else "gray"].with_extremes(bad=NAN_COLOUR),
        clim=limits,
        extent=(left - 0.5, right - 0.5, bottom - 0.5, top - 0.5),
        aspect=voxel[0] / voxel[1] if 1 / 8 <= ratio <= 8 else "auto",
    )
    clipped = np.any((shot.values < limits[0]) | (shot.values > limits[1]))
    # An inset keeps the bar as tall as a picture that does not fill its panel.
    bar = panel.inset_axes((1.03, 0, 0.035, 1))
    panel.figure.colorbar(image, cax=bar, extend="both" if clipped else "neither", label=remark)
    if np.isnan(shot.values).any():
        panel.legend(handles=[Patch(color=NAN_COLOUR, label="NaN")], loc="lower right")
