"""The diagnostics of a simulation against time: a panel for each quantity, the components of a vector together."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import ScalarFormatter

from gridstride.pipeline.errors import UsageError
from gridstride.pipeline.pictures.canvas import check_file, save
from gridstride.pipeline.simulations.diagnostics import Diagnostics
from gridstride.pipeline.simulations.store import FlowStore

LABELS = {
    "kinetic_energy": "kinetic energy",
    "enstrophy": "enstrophy",
    "dissipation": "dissipation",
    "max_divergence": "largest |div u|",
    "max_speed": "largest speed",
    "cfl": "CFL number",
    "momentum": "momentum",
    "force": "force on obstacles",
}
DECADES = 2.5  # quantities that stay positive and vary by more are drawn on a logarithmic axis
WIDTH, HEIGHT = 5.2, 2.3  # inches, of a panel


def plot(store: str | Path, file: str | Path, *, overwrite: bool = False) -> Path:
    """Draw the diagnostics computed so far into a picture file. Raises UsageError if there are none."""
    file = check_file(file, overwrite)
    flow = FlowStore.open(store)
    columns = Diagnostics(store).read()
    if not columns["step"].size or len(columns) == 2:
        raise UsageError(f"{store} has no diagnostics yet")
    return save(draw(columns, flow.name), file, dpi=120)


def panels(columns: dict[str, np.ndarray]) -> dict[str, list[str]]:
    """The names of the columns in each panel: "force_x" and "force_y" share that of "force"."""
    found: dict[str, list[str]] = {}
    for name in columns:
        if name not in ("step", "time"):
            vector, _, axis = name.rpartition("_")
            found.setdefault(vector if vector and axis in ("x", "y", "z") else name, []).append(name)
    return found


def draw(columns: dict[str, np.ndarray], name: str) -> Figure:
    """All quantities over one time axis."""
    shown = panels(columns)
    across = 1 if len(shown) == 1 else 2
    down = -(-len(shown) // across)
    figure = Figure((WIDTH * across, HEIGHT * down + 0.9), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots(down, across, sharex=True, squeeze=False)
    times = columns["time"]
    for number, (panel, (quantity, members)) in enumerate(zip(axes.flat, shown.items(), strict=False)):
        for member in members:
            # A single sample makes no line.
            mark = "o" if times.size == 1 else None
            panel.plot(times, columns[member], linewidth=1.2, marker=mark, label=member.rpartition("_")[2])
        if len(members) > 1:
            # Over the panel, where no line runs.
            panel.legend(loc="lower right", bbox_to_anchor=(1, 0.97), fontsize=8, ncols=len(members), frameon=False)
        values = np.concatenate([columns[member] for member in members])
        values = values[np.isfinite(values)]
        if values.size and values.min() > 0 and np.log10(values.max() / values.min()) > DECADES:
            panel.set_yscale("log")
        else:
            panel.yaxis.set_major_formatter(ScalarFormatter(useOffset=False, useMathText=True))
            panel.ticklabel_format(axis="y", style="sci", scilimits=(-3, 4))
            centre_flat(panel, values)
        panel.set_title(LABELS.get(quantity, quantity.replace("_", " ")), loc="left", fontsize=10, parse_math=False)
        panel.grid(alpha=0.3, linewidth=0.6)
        panel.margins(x=0.01)
        if number >= len(shown) - across:
            panel.tick_params(labelbottom=True)
    for panel in list(axes.flat)[len(shown) :]:
        panel.remove()
    figure.supxlabel("time t", fontsize=10)
    figure.suptitle(name, x=0.01, ha="left", fontsize=12, parse_math=False)
    return figure


def centre_flat(panel: object, values: np.ndarray) -> None:
    """Show what is constant but for rounding as a flat line, not as noise that fills the panel."""
    if not values.size:
        return
    low, high = float(values.min()), float(values.max())
    middle = (low + high) / 2
    if high - low <= 1e-6 * abs(middle):
        half = 0.05 * abs(middle) or 1.0
        panel.set_ylim(middle - half, middle + half)  # type: ignore[attr-defined]
