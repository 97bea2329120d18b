"""The pictures in a report: an image before and after, or a flow at its first and last snapshot."""

from __future__ import annotations

import base64
import tempfile
import warnings
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from gridstride.pipeline.errors import JobFailed, UsageError
from gridstride.pipeline.pictures.arrays import preview
from gridstride.pipeline.pictures.flow_view import default_field
from gridstride.pipeline.pictures.flows import preview_flow
from gridstride.pipeline.pictures.plots import draw, panels, samples
from gridstride.pipeline.reports.charts import Drawing, inline, theme
from gridstride.pipeline.simulations.store import FlowStore
from gridstride.pipeline.text import base_name

PIXELS = 600  # of the longer side
MOST_SAMPLES = 1000


def image_pictures(source: Any, out: Any) -> list[Drawing]:
    """Input and result side by side; the result alone if the input cannot be read."""
    alt = f"{base_name(source)} beside {base_name(out)}: one plane, or the maximum over planes, of each"
    caption = "Before and after; blocks that failed or are not written yet are empty."
    both = drawn(partial(preview, source, compare=out, size=PIXELS), alt, caption, "No picture of the input")
    if both.png:
        return [both]
    alone = f"The result, {base_name(out)}", "The result."
    return [both, drawn(partial(preview, out, size=PIXELS), *alone)]


def flow_pictures(out: Any) -> list[Drawing]:
    """The first and the last snapshot of a simulation, and its diagnostics."""
    try:
        store = FlowStore.open(out)
        written = sorted(store.written(store.fields))
    except (UsageError, JobFailed) as error:
        return [Drawing(f"No picture: {error}")]
    shown = []
    for at in dict.fromkeys(float(store.times[when]) for when in (*written[:1], *written[-1:])):
        name = default_field(store).capitalize()
        alt, caption = f"{name} on a plane at t = {at:g}", f"{name}, t = {at:g}"
        shown.append(drawn(partial(preview_flow, out, time=at, size=PIXELS), alt, caption))
    return [*(shown or [Drawing("No snapshot is written yet.")]), *diagnostics(out, store.name)]


def diagnostics(out: Any, name: str) -> list[Drawing]:
    """The diagnostics of a simulation against time, if it has any."""
    try:
        columns = samples(out)
    except UsageError:
        return []
    count = columns["step"].size
    every = -(-count // MOST_SAMPLES)
    columns = {quantity: values[::every] for quantity, values in columns.items()}
    thinned = f"; one sample in {every} is drawn" if every > 1 else ""
    with theme(math=True):
        chart = inline(draw(columns, name))
    return [Drawing(f"Diagnostics: {count} samples{thinned}.", f"Diagnostics: {', '.join(panels(columns))}", chart)]


def drawn(make: Callable[[Path], Path], alt: str, caption: str, failed: str = "No picture") -> Drawing:
    """A picture that `make` writes into a file, or why there is none: reports are written of broken stores, too."""
    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # letters that the font lacks
        try:
            png = make(Path(folder) / "picture.png").read_bytes()
        except (UsageError, JobFailed, OSError) as error:
            return Drawing(f"{failed}: {error}")
    return Drawing(caption, alt, png=base64.b64encode(png).decode())
