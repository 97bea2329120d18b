"""The diagnostics of a simulation against time: a panel for each quantity, the components of a vector together."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import ScalarFormatter

from gridstride.pipeline.errors import UsageError
from gridstride.pipeline.pictures.canvas import check_file, save
from gridstride.pipeline.simulations.diagnostics import Diagnostics
from gridstride.pipeline.simulations.store import FlowStore
from gridstride.pipeline.storage.paths import StorePath

LABELS = {
    "max_divergence": "largest |div u|", "max_speed": "largest speed", "cfl": "CFL number",
    "force": "force on obstacles", "compressibility": "compressibility: largest |p| / c^2",
    "max_acceleration": "largest |du/dt|", "unsteadiness": "unsteadiness: largest |du/dt| / largest speed",
}  # fmt: skip
DECADES = 2.5  # quantities that stay positive and vary by more are drawn on a logarithmic axis
WIDTH, HEIGHT = 5.2, 2.3  # inches, of a panel


def plot(store: str | Path, file: str | Path, *, overwrite: bool = False) -> Path:
    """Draw the diagnostics computed so far into a picture file. Raises UsageError if there are none."""
    file = check_file(file, overwrite)
    flow = FlowStore.open(store)
    return save(draw(samples(store), flow.name), file, dpi=120)


def samples(store: str | Path | StorePath) -> dict[str, np.ndarray]:
    """The columns of a simulation's diagnostics, "step" and "time" first. Raises UsageError if there are none."""
    columns = Diagnostics(store).read()
    if not columns["step"].size or len(columns) == 2:
        raise UsageError(f"{store} has no diagnostics yet")
    return columns


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
    across = min(2, len(shown))
    down = -(-len(shown) // across)
    figure = Figure((WIDTH * across, HEIGHT * down + 0.9), layout="constrained")
    axes = list(figure.subplots(down, across, sharex=True, squeeze=False).flat)
    for number, (panel, (quantity, members)) in enumerate(zip(axes, shown.items(), strict=False)):
        draw_panel(panel, columns["time"], {member.rpartition("_")[2]: columns[member] for member in members})
        panel.set_title(LABELS.get(quantity, quantity.replace("_", " ")), loc="left", fontsize=10, parse_math=False)
        if number >= len(shown) - across:
            panel.tick_params(labelbottom=True)
    for panel in axes[len(shown) :]:
        panel.remove()
    figure.supxlabel("time t", fontsize=10)
    figure.suptitle(name, x=0.01, ha="left", fontsize=12, parse_math=False)
    return figure


def draw_panel(panel: Axes, times: np.ndarray, lines: dict[str, np.ndarray]) -> None:
    """One quantity against time: a line for each component."""
    for label, values in lines.items():
        mark = "o" if times.size == 1 else None  # a single sample makes no line
        panel.plot(times, values, linewidth=1.2, marker=mark, label=label)
    if len(lines) > 1:
        # Above the panel, out of the way of the lines.
        panel.legend(loc="lower right", bbox_to_anchor=(1, 0.97), fontsize=8, ncols=len(lines), frameon=False)
    values = np.concatenate(list(lines.values()))
    values = values[np.isfinite(values)]
    low, high = (float(values.min()), float(values.max())) if values.size else (0.0, 1.0)
    middle = (low + high) / 2
    if low > 0 and np.log10(high / low) > DECADES:
        panel.set_yscale("log")
    else:
        panel.yaxis.set_major_formatter(ScalarFormatter(useOffset=False, useMathText=True))
        panel.ticklabel_format(axis="y", style="sci", scilimits=(-3, 4))
        if high - low <= 1e-6 * abs(middle):  # constant but for rounding: a flat line, not noise that fills the panel
            half = 0.05 * abs(middle) or 1.0
            panel.set_ylim(middle - half, middle + half)
    panel.grid(alpha=0.3, linewidth=0.6)
    panel.margins(x=0.01)
