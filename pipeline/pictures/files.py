"""The files that pictures go to: refused before anything is drawn, and whole once they are there."""

from __future__ import annotations

from collections.abc import Sequence
from io import BytesIO
from pathlib import Path

from matplotlib.figure import Figure

from gridstride.pipeline.errors import UsageError, first_line
from gridstride.pipeline.storage.paths import durable_write

ENDINGS = (".png", ".jpg", ".pdf")


def check_file(path: str | Path, overwrite: bool, endings: Sequence[str] = ENDINGS) -> Path:
    """The path of a file to be written. Raises UsageError if it cannot be, or must not."""
    path = Path(path)
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
    """Write a figure in the format of the path's ending."""
    file = BytesIO()
    figure.savefig(file, format=path.suffix[1:].lower(), dpi=dpi)
    try:
        durable_write(path, file.getvalue())
    except OSError as error:
        raise UsageError(f"{path} cannot be written: {first_line(error)}") from error
    return path
