"""The parts that all pictures share: colours, colour scales, and the files they are written to."""

from __future__ import annotations

from collections.abc import Sequence
from io import BytesIO
from pathlib import Path
from typing import Literal

import numpy as np
from matplotlib.figure import Figure

from gridstride.pipeline.errors import UsageError, first_line
from gridstride.pipeline.storage.paths import at_home, durable_write

ENDINGS = (".png", ".jpg", ".pdf")
NAN_COLOUR = "gold"  # is in no colour map
SIGNED_MAP = "RdBu_r"
# Negative values smaller than this part of the largest are ringing or rounding, not a signed quantity.
SIGNED = 0.01

# signed: centred on 0; positive: begins at 0; plain: from lowest to highest; auto: signed or plain, by the values
Scale = Literal["signed", "positive", "plain", "auto"]


def colour_limits(samples: Sequence[np.ndarray], scale: Scale, percentile: tuple[float, float]) -> tuple[float, float]:
    """The ends of one colour scale for all samples: percentiles, so that a few extremes do not dull the picture."""
    values = np.concatenate([sample[np.isfinite(sample)] for sample in samples]) if samples else np.empty(0)
    if not values.size:
        return 0.0, 1.0
    values = values.astype(np.float64)
    low, high = map(float, np.percentile(values, percentile))
    if low == high:  # all but a few are alike
        low, high = float(values.min()), float(values.max())
    if scale == "signed" or (scale == "auto" and low < -SIGNED * max(high, -low) and high > 0):
        top = float(np.percentile(abs(values), percentile[1]) or abs(values).max()) or 1.0
        return -top, top
    if scale == "positive":
        return 0.0, high or 1.0
    return (low, high) if low < high else (low, low + 1)


def check_file(path: str | Path, overwrite: bool, endings: Sequence[str] = ENDINGS) -> Path:
    """The path of a file to be written. Raises UsageError if it cannot or must not be written."""
    path = at_home(path)
    if path.suffix.lower() not in endings:
        raise UsageError(f"{path}: expected a file name that ends in {', '.join(endings)}")
    if not path.parent.is_dir():
        raise UsageError(f"{path.parent} is not a folder: create it first")
    if path.is_dir():
        raise UsageError(f"{path} is a folder")
    if path.exists() and not overwrite:
        raise UsageError(f"{path} exists: pass --overwrite to replace it")
    return path


def save(figure: Figure, path: Path, dpi: float) -> Path:
    """Write a figure in the format of the path's ending. Raises UsageError if that fails."""
    file = BytesIO()
    figure.savefig(file, format=path.suffix[1:].lower(), dpi=dpi)
    try:
        durable_write(path, file.getvalue())
    except OSError as error:
        raise UsageError(f"{path} cannot be written: {first_line(error)}") from error
    return path
