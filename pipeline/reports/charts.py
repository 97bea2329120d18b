"""The charts of a report, as SVG with the colours of the page, so that they are light or dark as the page is.

Matplotlib draws with stand-ins for the page's colours (`INK`, `GRID`), which `inline` replaces by the page's variables.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from io import StringIO
from typing import Any

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from gridstride.pipeline.events.events import seconds
from gridstride.pipeline.reports.history import History, Lane
from gridstride.pipeline.reports.progress import STAGES
from gridstride.pipeline.text import duration

INK, GRID = "#010203", "#040506"
RATE, FAULT, OTHER = "#2f7fc1", "#d1495b", "#7a8b99"
COLOURS = {
    "read + decode": "#2a9d8f", "transfer": "#8e6cc0", "halo": "#c65b8a", "wait": "#b8bec6", "upload": "#5aa469",
    "kernel": "#2f7fc1", "download": "#b5a642", "measure": "#7a8b99", "encode + write": "#e0883a", "idle": "#8d96a0",
}  # fmt: skip
SETTINGS: dict[Any, Any] = {
    **dict.fromkeys(("text.color", "axes.labelcolor", "xtick.color", "ytick.color"), INK),
    **dict.fromkeys(("axes.edgecolor", "grid.color"), GRID),
    **dict.fromkeys(("axes.facecolor", "figure.facecolor", "savefig.facecolor"), "none"),
    **dict.fromkeys(("axes.spines.top", "axes.spines.right", "legend.frameon"), False),
    "axes.axisbelow": True, "grid.linewidth": 0.6, "font.size": 9.5, "svg.fonttype": "none",
}  # fmt: skip
WIDTH = 9.6  # inches; the page scales
# Inches beside charts over time: the same for all, so that one can be read below the other.
LEFT, RIGHT, ABOVE, BELOW = 1.6, 0.15, 0.3, 0.5
LETTERS = 22  # of a lane's name
MOST_LANES = 48
MOST_SHAPES = 3000  # a chart with more is smaller as pixels
UNITS = ((86_400, "days"), (3600, "hours"), (60, "minutes"), (1, "seconds"))


@dataclass(frozen=True)
class Drawing:
    """A picture in a report: `svg`, else a PNG file in base64; without either, the caption says why there is none.

    alt: the picture in words
    """

    caption: str
    alt: str = ""
    svg: str = ""
    png: str = ""


def theme(math: bool = False) -> AbstractContextManager[None]:
    """Matplotlib's settings while a chart is made and drawn. math: whether its text may be formulas ($...$)"""
    return mpl.rc_context({**SETTINGS, "text.parse_math": math})


def inline(figure: Figure) -> str:
    """A figure as SVG to be put into a page."""
    file = StringIO()
    figure.savefig(file, format="svg", dpi=200, metadata=dict.fromkeys(("Creator", "Date", "Format", "Type")))
    text = file.getvalue()
    # Groups are numbered in each figure anew, so two on one page would share ids; nothing refers to them.
    text = re.sub('<g id="[^"]*"', "<g", text[text.index("<svg") :])
    return text.replace(INK, "var(--ink)").replace(GRID, "var(--line)")


def stage_chart(job: History) -> Drawing | None:
    """Seconds by stage, a bar each."""
    stages = job.stages()
    names = ordered(stages)
    if not names:
        return None
    spans = [stages[name] for name in names]
    size, unit = time_unit(max(spans))
    texts = [f"{f'{s:.2f} s' if s < 1000 else duration(s)} ({s / sum(spans):.0%})" for s in spans]
    with theme():
        figure = Figure((WIDTH, 0.32 * len(names) + 0.55), layout="constrained")
        axes = figure.add_subplot()
        bars = axes.barh(names, [span / size for span in spans], color=list(map(colour, names)), height=0.7)
        axes.bar_label(bars, texts, padding=5)
        axes.invert_yaxis()
        axes.margins(x=0.16)
        axes.set_xlim(left=0)
        axes.set_xlabel(f"{unit}, summed over threads")
        axes.tick_params(axis="y", length=0)
        axes.grid(axis="x")
        alt = "; ".join(f"{name} {text}" for name, text in zip(names, texts, strict=True))
        caption = "Time of all threads by stage; stages of different threads overlap."
        return Drawing(caption, f"Time by stage, summed over threads: {alt}", inline(figure))


def ordered(stages: Iterable[str]) -> list[str]:
    """The stages in the order in which a block goes through them."""
    found = set(stages)
    return [name for name in (*STAGES, *sorted(found - {*STAGES, "idle"}), "idle") if name in found]


def colour(stage: str) -> str:
    return COLOURS.get(stage, OTHER)


def rate_chart(job: History) -> Drawing | None:
    """Throughput over the time at work, a step for each interval; faults as marks; lines between runs."""
    paces, unit = job.paces()
    if not paces:
        return None
    faults = sorted({round(job.at_work(seconds(fault)), 2) for fault in job.faults})
    with theme():
        figure, axes, size = over_time(2.2, job)
        for pace in paces:
            edges = [at / size for at in pace.times]
            axes.stairs(pace.rates, edges, color=RATE, linewidth=1.4)
            axes.stairs(pace.rates, edges, color=RATE, alpha=0.18, fill=True)
        if faults:
            axes.plot([at / size for at in faults], [0.03] * len(faults), "^", color=FAULT, markersize=7, clip_on=False,
                      transform=axes.get_xaxis_transform(), label="fault")  # fmt: skip
            axes.legend(loc="lower right", bbox_to_anchor=(1, 0.98))
        axes.set_ylim(bottom=0)
        axes.set_ylabel(unit)
        axes.grid(axis="y")
        best = max(float(pace.rates.max()) for pace in paces)
        alt = f"Throughput over {duration(job.span)} at work, in {unit}: {best:.3g} at most"
        caption = "Rate between one progress event and the next. Time at work leaves out the time between runs."
        return Drawing(caption, alt, inline(figure))


def lanes_chart(job: History) -> Drawing | None:
    """The stages of each worker thread over time, a lane each."""
    lanes = job.lanes()
    shown = lanes[:MOST_LANES]
    if not shown:
        return None
    rows = [row for lane in shown for row in lane.rows]
    stages = ordered(stage for row in rows for stage in row.stages)
    many = sum(len(row.stages) for row in rows) > MOST_SHAPES
    lost = [(at, number) for number, lane in enumerate(shown) for at in lane.lost]
    with theme():
        figure, axes, size = over_time(0.27 * len(shown), job)
        for number, lane in enumerate(shown):
            for stage, bars in bars_of(lane, size).items():
                # Edges of the same colour keep bars visible that are thinner than a pixel.
                axes.broken_barh(bars, (number - 0.4, 0.8), facecolor=colour(stage), edgecolor=colour(stage),
                                 linewidth=0.3, rasterized=many)  # fmt: skip
        handles: list[Any] = [Patch(color=colour(stage), label=stage) for stage in stages]
        if lost:
            mark: dict[str, Any] = {"marker": "X", "color": FAULT, "linestyle": "", "markersize": 8}
            axes.add_line(Line2D([at / size for at, _ in lost], [n for _, n in lost], clip_on=False, zorder=4, **mark))
            handles.append(Line2D([], [], label="worker lost", **mark))
        names = [name if len(name) <= LETTERS else f"…{name[1 - LETTERS :]}" for name in (lane.name for lane in shown)]
        axes.set_yticks(range(len(shown)), names, fontsize=9)
        axes.tick_params(axis="y", length=0)
        axes.set_ylim(len(shown) - 0.5, -0.5)
        axes.grid(axis="x")
        axes.legend(handles=handles, loc="lower left", bbox_to_anchor=(-0.01, 1), ncols=len(handles), fontsize=8.5,
                    columnspacing=1.3, handlelength=1.4)  # fmt: skip
        busy = sum(sum(row.stages.values()) for row in rows) / (job.span * len(shown)) if job.span else 0.0
        alt = f"Timeline of {len(shown)} threads over {duration(job.span)}: busy {busy:.0%} of the time"
        alt += f"; workers lost: {len(lost)}" if lost else ""
        left_out = f" {len(shown)} of {len(lanes)} threads are shown." if len(shown) < len(lanes) else ""
        return Drawing(f"Short spans are drawn joined.{left_out}", alt, inline(figure))


def bars_of(lane: Lane, size: float) -> dict[str, list[tuple[float, float]]]:
    """The bars of a lane by stage, (begin, width): a row's stages one after another."""
    bars: dict[str, list[tuple[float, float]]] = {}
    for row in lane.rows:
        at = row.begin
        for stage in ordered(row.stages):
            if width := row.stages[stage]:
                bars.setdefault(stage, []).append((at / size, width / size))
                at += width
    return bars


def over_time(tall: float, job: History) -> tuple[Figure, Axes, int]:
    """A chart over the time at work, `tall` inches high, with a line where each further run begins.

    Returns its figure, its axes, and the seconds in a unit of its time axis.
    """
    size, unit = time_unit(job.span)
    whole = tall + ABOVE + BELOW
    figure = Figure((WIDTH, whole))
    axes = figure.add_axes((LEFT / WIDTH, BELOW / whole, 1 - (LEFT + RIGHT) / WIDTH, tall / whole))
    axes.set_xlim(0, job.span / size)
    axes.set_xlabel(f"{unit} at work")
    for number, border in enumerate(job.borders[1:], start=2):
        axes.axvline(border / size, color=INK, linewidth=0.8, linestyle=(0, (4, 3)))
        axes.annotate(f"run {number}", (border / size, 1), (3, -2), xycoords=axes.get_xaxis_transform(),
                      textcoords="offset points", va="top", fontsize=8)  # fmt: skip
    return figure, axes, size


def time_unit(span: float) -> tuple[int, str]:
    """Seconds of the unit for a time axis of this length, and its name."""
    return next(((size, name) for size, name in UNITS if span >= 2 * size), UNITS[-1])
