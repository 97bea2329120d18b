"""The charts of a report, as SVG that takes its colours from the page: light or dark as the reader's system is.

Matplotlib draws with stand-ins for the page's colours (`INK`, `GRID`), which `svg` replaces by the page's variables.
"""

from __future__ import annotations

import html
import re
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from io import StringIO
from itertools import count
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.collections import PolyCollection
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from gridstride.pipeline.events.spans import Row
from gridstride.pipeline.events.story import duration
from gridstride.pipeline.reports.progress import STAGES

INK, GRID = "#010203", "#040506"
VARIABLES = {INK: "var(--ink)", GRID: "var(--line)"}
RATE, FAULT = "#2f7fc1", "#d1495b"
COLOURS = {
    "read + decode": "#2a9d8f",
    "transfer": "#8e6cc0",
    "halo": "#c65b8a",
    "wait": "#b8bec6",
    "upload": "#5aa469",
    "kernel": "#2f7fc1",
    "download": "#b5a642",
    "measure": "#7a8b99",
    "encode + write": "#e0883a",
    "idle": "#8d96a0",
}
OTHER = "#7a8b99"
WIDTH = 9.6  # inches; the page scales
# Charts over time begin and end at the same places, so that one can be read below the other.
LEFT, RIGHT = 1.6, 0.15
LETTERS = 22  # of a lane's name
MOST_LANES = 48
# Shapes above which a picture of them is smaller than they are.
MOST_SHAPES = 3000
UNITS = ((86_400, "days"), (3600, "hours"), (60, "minutes"), (1, "seconds"))


@contextmanager
def theme() -> Iterator[None]:
    """Matplotlib's settings while a chart is drawn."""
    settings: dict[Any, Any] = dict.fromkeys(("text.color", "axes.labelcolor", "xtick.color", "ytick.color"), INK)
    settings |= dict.fromkeys(("axes.edgecolor", "grid.color"), GRID)
    settings |= dict.fromkeys(("axes.facecolor", "figure.facecolor", "savefig.facecolor"), "none")
    settings |= dict.fromkeys(("axes.spines.top", "axes.spines.right", "legend.frameon"), False)
    with mpl.rc_context({**settings, "grid.linewidth": 0.6, "font.size": 9.5}):
        yield


_numbers = count()


def svg(figure: Figure, alt: str) -> str:
    """A figure as inline SVG; `alt` says in words what it shows."""
    FigureCanvasSVG(figure)
    prefix = f"c{next(_numbers)}"
    file = StringIO()
    with mpl.rc_context({"svg.fonttype": "none", "svg.hashsalt": prefix}):
        figure.savefig(file, format="svg", dpi=200, metadata={"Date": None, "Creator": None})
    text = file.getvalue()
    text = text[text.index("<svg") :]
    text = re.sub(r"<metadata>.*?</metadata>", "", text, flags=re.DOTALL)
    # Several figures on one page: each its own names.
    text = re.sub(r'(\bid="|href="#|url\(#)', rf"\g<1>{prefix}-", text)
    for stand_in, variable in VARIABLES.items():
        text = text.replace(stand_in, variable)
    return text.replace("<svg", f'<svg role="img" aria-label="{html.escape(alt)}"', 1)


def stage_chart(stages: dict[str, float]) -> str:
    """Seconds by stage, a bar each."""
    names = ordered(stages)
    total = sum(stages[name] for name in names) or 1.0
    size, unit = time_unit(max(stages[name] for name in names))
    said = [f"{s:.2f} s" if s < 1000 else duration(s) for s in map(stages.__getitem__, names)]
    texts = [f"{text} ({stages[name] / total:.0%})" for name, text in zip(names, said, strict=True)]
    with theme():
        figure = Figure((WIDTH, 0.32 * len(names) + 0.55), layout="constrained")
        axes = figure.add_subplot()
        spans, colours = [stages[name] / size for name in names], [colour(name) for name in names]
        bars = axes.barh(names, spans, color=colours, height=0.7)
        axes.bar_label(bars, texts, padding=5)
        axes.invert_yaxis()
        axes.margins(x=0.16)
        axes.set_xlim(left=0)
        axes.set_xlabel(f"{unit}, summed over threads")
        axes.tick_params(axis="y", length=0)
        axes.grid(axis="x")
        axes.set_axisbelow(True)
        words = "; ".join(f"{name} {text}" for name, text in zip(names, texts, strict=True))
        return svg(figure, f"Time by stage, summed over threads: {words}")


def ordered(stages: dict[str, float]) -> list[str]:
    """Stages that took time, in the order that a block goes through them."""
    order = [*STAGES, *sorted(set(stages) - {*STAGES, "idle"}), "idle"]
    return [name for name in order if stages.get(name, 0) > 0]


def colour(stage: str) -> str:
    return COLOURS.get(stage, OTHER)


@dataclass(frozen=True)
class Pace:
    """How fast one run was: its rate between one time and the next (one rate less than times)."""

    times: Sequence[float]
    rates: Sequence[float]


def rate_chart(
    paces: Sequence[Pace], label: str, faults: Sequence[float], borders: Sequence[float], span: float
) -> str:
    """Throughput over the time at work, a step for each interval; faults as marks; runs parted by lines."""
    size, unit = time_unit(span)
    with theme():
        figure, axes = over_time(2.2, span, size, unit)
        for pace in paces:
            edges = np.asarray(pace.times) / size
            axes.stairs(pace.rates, edges, color=RATE, linewidth=1.4)
            axes.stairs(pace.rates, edges, color=RATE, alpha=0.18, fill=True)
        part(axes, [border / size for border in borders])
        if faults:
            axes.plot(np.asarray(faults) / size, [0.03] * len(faults), "^", color=FAULT, markersize=7, clip_on=False,
                      transform=axes.get_xaxis_transform(), label="fault")  # fmt: skip
            axes.legend(loc="lower right", bbox_to_anchor=(1, 0.98))
        axes.set_ylim(bottom=0)
        axes.set_ylabel(label)
        axes.grid(axis="y")
        best = max((max(pace.rates) for pace in paces if len(pace.rates)), default=0.0)
        return svg(figure, f"Throughput over {duration(span)} at work, in {label}: {best:.3g} at most")


def over_time(tall: float, span: float, size: int, unit: str) -> tuple[Figure, Any]:
    """A chart over the time at work, `tall` inches high, with room for a legend."""
    above, below = 0.3, 0.5
    figure = Figure((WIDTH, tall + above + below))
    axes = figure.add_axes(
        (LEFT / WIDTH, below / (tall + above + below), 1 - (LEFT + RIGHT) / WIDTH, tall / (tall + above + below))
    )
    axes.set_xlim(0, span / size)
    axes.set_xlabel(f"{unit} at work")
    return figure, axes


def part(axes: Any, borders: Iterable[float]) -> None:
    """Lines where one run ends and the next begins."""
    for number, border in enumerate(borders, start=2):
        axes.axvline(border, color=INK, linewidth=0.8, linestyle=(0, (4, 3)))
        axes.annotate(f"run {number}", (border, 1), (3, -2), xycoords=axes.get_xaxis_transform(),
                      textcoords="offset points", va="top", fontsize=8)  # fmt: skip


@dataclass(frozen=True)
class Lane:
    """A thread of a worker: what it did, and when its worker was lost, if it was. Times are seconds at work."""

    name: str
    rows: Sequence[Row]
    lost: Sequence[float] = ()


def lanes_chart(lanes: Sequence[Lane], borders: Sequence[float], span: float) -> str:
    """Who did what when: a lane for each thread, coloured by stage."""
    size, unit = time_unit(span)
    pieces: dict[str, list[list[tuple[float, float]]]] = {}
    for number, lane in enumerate(lanes):
        for row in lane.rows:
            at = row.begin
            for stage in ordered(row.stages):
                end = at + row.stages[stage]
                box = [(at, number - 0.4), (end, number - 0.4), (end, number + 0.4), (at, number + 0.4)]
                pieces.setdefault(stage, []).append([(x / size, y) for x, y in box])
                at = end
    many = sum(map(len, pieces.values())) > MOST_SHAPES
    with theme():
        figure, axes = over_time(0.27 * len(lanes), span, size, unit)
        for stage in ordered(dict.fromkeys(pieces, 1.0)):
            # Edges of the same colour: what is thinner than a pixel stays to be seen.
            axes.add_collection(
                PolyCollection(pieces[stage], facecolor=colour(stage), edgecolor=colour(stage), linewidth=0.3,
                               rasterized=many)
            )  # fmt: skip
        lost = [(at / size, number) for number, lane in enumerate(lanes) for at in lane.lost]
        if lost:
            axes.plot(*zip(*lost, strict=True), "X", color=FAULT, markersize=8, clip_on=False, zorder=4)
        part(axes, [border / size for border in borders])
        names = [name if len(name) <= LETTERS else f"…{name[1 - LETTERS :]}" for name in (lane.name for lane in lanes)]
        axes.set_yticks(range(len(lanes)), names, parse_math=False, fontsize=9)
        axes.tick_params(axis="y", length=0)
        axes.set_ylim(len(lanes) - 0.5, -0.5)
        axes.grid(axis="x")
        axes.set_axisbelow(True)
        handles: list[Any] = [Patch(color=colour(stage), label=stage) for stage in ordered(dict.fromkeys(pieces, 1.0))]
        if lost:
            handles.append(Line2D([], [], marker="X", color=FAULT, linestyle="", markersize=8, label="worker lost"))
        axes.legend(handles=handles, loc="lower left", bbox_to_anchor=(-0.01, 1), ncols=len(handles), fontsize=8.5,
                    columnspacing=1.3, handlelength=1.4)  # fmt: skip
        busy = sum(sum(row.stages.values()) for lane in lanes for row in lane.rows)
        share = busy / (span * len(lanes)) if span and lanes else 0.0
        words = f"Timeline of {len(lanes)} threads over {duration(span)}: busy {share:.0%} of the time"
        return svg(figure, words + (f"; workers lost: {len(lost)}" if lost else ""))


def time_unit(span: float) -> tuple[int, str]:
    """Seconds of the unit that a time axis of this length has, and its name."""
    return next(((size, name) for size, name in UNITS if span >= 2 * size), UNITS[-1])
