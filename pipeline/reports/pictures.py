"""The pictures in a report: of an image before and after, or of a flow at its beginning and its end."""

from __future__ import annotations

import tempfile
import warnings
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from gridstride.pipeline.errors import JobFailed, UsageError
from gridstride.pipeline.events.story import name_of
from gridstride.pipeline.pictures.arrays import preview
from gridstride.pipeline.pictures.flows import preview_flow
from gridstride.pipeline.pictures.plots import draw, panels
from gridstride.pipeline.reports import page as html
from gridstride.pipeline.simulations.diagnostics import Diagnostics
from gridstride.pipeline.simulations.store import FlowStore

PIXELS = 600  # of the longer side
MOST_SAMPLES = 1000
UNDRAWN = (UsageError, JobFailed, OSError)


def image_pictures(source: Any, out: Any) -> list[str]:
    """Input and result side by side."""
    alt = f"{name_of(source)} beside {name_of(out)}: one plane, or the maximum over planes, of each"
    caption = "Before and after; blocks that are not written yet, or failed, are empty."
    try:
        return [_picture(lambda file: preview(source, file, compare=out, size=PIXELS), alt, caption)]
    except UNDRAWN as error:
        why = f"No picture of the input: {error}"
    alone = _shown(lambda file: preview(out, file, size=PIXELS), f"The result, {name_of(out)}", "The result.")
    return [html.paragraph(why, "soft"), alone]


def flow_pictures(out: Any) -> list[str]:
    """The speed at the first and the last snapshot, and the diagnostics."""
    try:
        store = FlowStore.open(out)
        written = sorted(store.written(store.fields))
    except (UsageError, JobFailed) as error:
        return [html.paragraph(f"No picture: {error}", "soft")]
    shown = []
    for when in dict.fromkeys([*written[:1], *written[-1:]]):
        at = float(store.times[when])
        alt = f"Speed on a plane of the flow at t = {at:g}"
        shown.append(_shown(partial(_flow, out, at), alt, f"Speed, t = {at:g}"))
    parts = [html.side_by_side(shown)] if shown else [html.paragraph("No snapshot is written yet.", "soft")]
    return parts + _diagnostics(out, store.name)


def _diagnostics(out: Any, name: str) -> list[str]:
    from gridstride.pipeline.reports.charts import svg, theme

    try:
        columns = Diagnostics(out).read()
    except UsageError:
        return []
    count = columns["step"].size
    if not count or len(columns) == 2:
        return []
    every = -(-count // MOST_SAMPLES)
    columns = {quantity: values[::every] for quantity, values in columns.items()}
    with theme():
        drawn = svg(draw(columns, name), f"Diagnostics against time: {', '.join(panels(columns))}")
    some = f"; one sample in {every} is drawn" if every > 1 else ""
    return [html.chart(drawn, f"Diagnostics: {count} samples{some}.")]


def _flow(out: Any, at: float, file: Path) -> Path:
    return preview_flow(out, file, time=at, size=PIXELS)


def _shown(make: Callable[[Path], Path], alt: str, caption: str) -> str:
    """A picture, or why there is none: a report is written of broken stores too."""
    try:
        return _picture(make, alt, caption)
    except UNDRAWN as error:
        return html.paragraph(f"No picture: {error}", "soft")


def _picture(make: Callable[[Path], Path], alt: str, caption: str) -> str:
    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # letters that the font lacks
        return html.picture(make(Path(folder) / "picture.png").read_bytes(), alt, caption)
