"""Pictures of a simulation: a field on a plane, in the simulation's own lengths, obstacles in grey."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from math import ceil, floor, log10
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib import colormaps
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from matplotlib.ticker import MaxNLocator, ScalarFormatter

from gridstride.pipeline.errors import UsageError
from gridstride.pipeline.pictures.canvas import NAN_COLOUR, SIGNED_MAP, colour_limits, save
from gridstride.pipeline.pictures.flow_view import FlowView, flow_view, snapshot
from gridstride.pipeline.simulations.store import FlowStore

LONG, SHORT = 8.0, 5.5  # inches: the longest a picture may be wide and tall
WIDE = 0.45  # height over width, below which the colour bar lies under the picture
# Inches, too: what a picture has around it, and a letter of its title.
LEFT, TOP, BOTTOM, GAP, BESIDE, LETTER = 0.85, 0.6, 0.6, 0.15, 1.15, 0.1
SOLID_COLOUR = (0.55, 0.55, 0.55)
PLAIN_MAP = "viridis"


def preview_flow(
    store: str | Path,
    file: Path,
    *,
    field: str | None = None,
    time: float | None = None,
    axis: str | None = None,
    index: int | None = None,
    limits: Sequence[float] | None = None,
    percentile: tuple[float, float] = (0.5, 99.5),
    size: int = 1024,
) -> Path:
    """Draw a field of a simulation at the snapshot nearest to `time`, by default the last, into a picture file.

    field: see `flow_view.drawable` (default: the speed, or the first stored field)
    axis, index: of the plane, in three dimensions (default: across z, in the middle)
    limits: values at the ends of the colour scale (default: `percentile` of the plane's values)
    Raises UsageError if the store lacks what is to be drawn.
    """
    view = flow_view(FlowStore.open(store), field, axis, index, size)
    when = snapshot(view, time)
    values = view.values(when)
    ends = checked(limits) or colour_limits([fluid(values, view.solid)], view.scale, percentile)
    picture = FlowPicture(view, ends)
    picture.show(values, when)
    return save(picture.figure, file, dpi=picture.figure.dpi)


def checked(limits: Sequence[float] | None) -> tuple[float, float] | None:
    """The ends of a colour scale as the user gave them. Raises UsageError if they are not two rising numbers."""
    if limits is None:
        return None
    ends = tuple(map(float, limits)) if isinstance(limits, Sequence) else ()
    if len(ends) != 2 or not (np.isfinite(ends).all() and ends[0] < ends[1]):
        raise UsageError(f"limits {limits}: expected two rising numbers, such as -5,5")
    return ends[0], ends[1]


def fluid(values: np.ndarray, solid: np.ndarray | None) -> np.ndarray:
    """The values outside obstacles."""
    return values.ravel() if solid is None else values[solid < 0.5]


class FlowPicture:
    """A panel that shows a view at one time after another, on one colour scale.

    pixels: of the longer side of the panel, about: each value is drawn as a square of whole pixels
    Everything is placed in inches, once, so nothing moves from one time to the next.

    +----------------------+  +-+          title, and the time        TOP
    |                      |  | |
    |        panel         |  | |     a panel that is wide and low has its bar below, across its whole width
    +----------------------+  +-+          numbers and label          BOTTOM
    LEFT                   GAP BAR  BESIDE
    """

    def __init__(self, view: FlowView, ends: tuple[float, float], pixels: int = 1200) -> None:
        self.view, self.ends = view, ends
        (bottom, top), (left, right) = view.bounds
        ratio = (top - bottom) / (right - left)
        wide = min(LONG, SHORT / ratio)
        tall = wide * ratio
        below = ratio < WIDE
        under = BOTTOM + (0.65 if below else 0.0)
        across = max(LEFT + wide + (0.3 if below else BESIDE), LEFT + LETTER * min(len(view.store.name), 90))
        count = max(view.store.centres[axis].size for axis in view.shown) / view.stride
        dpi = count * max(1, round(pixels / count)) / max(wide, tall)
        # Even numbers of pixels, which video needs.
        size = [ceil(length * dpi / 2) * 2 / dpi for length in (across, under + tall + TOP)]
        self.figure = Figure((size[0], size[1]), dpi=dpi)
        self.canvas = FigureCanvasAgg(self.figure)

        def place(x: float, y: float, width: float, height: float) -> Any:
            return self.figure.add_axes((x / size[0], y / size[1], width / size[0], height / size[1]))

        self.panel = place(LEFT, under, wide, tall)
        self.signed = ends[0] < 0 < ends[1] and view.scale != "positive"
        colours = colormaps[SIGNED_MAP if self.signed else PLAIN_MAP].with_extremes(bad=NAN_COLOUR)
        options: Any = {"origin": "lower", "extent": view.extent, "aspect": "equal", "interpolation": "nearest"}
        self.image = self.panel.imshow(np.zeros((2, 2)), cmap=colours, vmin=ends[0], vmax=ends[1], **options)
        if view.solid is not None:
            grey = np.empty((*view.solid.shape, 4))
            grey[..., :3], grey[..., 3] = SOLID_COLOUR, view.solid.clip(0, 1)
            self.panel.imshow(grey, zorder=2, **options)
        self.panel.set_xlim(left, right)
        self.panel.set_ylim(bottom, top)
        self.panel.set_xlabel(view.shown[1])
        self.panel.set_ylabel(view.shown[0])
        for axis, length in ((self.panel.xaxis, wide / 0.7), (self.panel.yaxis, tall / 0.4)):
            axis.set_major_locator(MaxNLocator(max(1, min(8, int(length))), steps=[1, 2, 2.5, 5, 10]))
        bar = place(LEFT, 0.55, wide, 0.15) if below else place(LEFT + wide + GAP, under, 0.15, tall)
        numbers = ScalarFormatter(useMathText=True)
        numbers.set_powerlimits((-3, 4))
        self.figure.colorbar(
            self.image, cax=bar, label=view.label, format=numbers, orientation="horizontal" if below else "vertical"
        )
        self.decimals = decimals(view.store.times)

    def show(self, values: np.ndarray, when: int) -> None:
        """Draw the values of the snapshot `when`."""
        store = self.view.store
        self.image.set_data(values)
        lines = [store.name, ", ".join(filter(None, (f"t = {store.times[when]:.{self.decimals}f}", self.view.place)))]
        self.panel.set_title("\n".join(lines), loc="left", fontsize=11, parse_math=False)
        if np.isnan(values).any() and self.panel.get_legend() is None:
            self.panel.legend(handles=[Patch(color=NAN_COLOUR, label="NaN")], loc="lower right")


def decimals(times: Iterable[float]) -> int:
    """Digits after the point that tell all times apart."""
    rising = np.unique(np.asarray(list(times)))
    if rising.size < 2:
        return 3
    least = float(np.diff(rising).min())
    return min(max(0, 1 - floor(log10(least))), 9)
