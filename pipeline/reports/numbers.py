"""The numbers of an array, for people and as JSON."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from math import isfinite
from typing import Any

from rich.table import Table

from gridstride.pipeline.measure import Measurement, Numbers
from gridstride.pipeline.text import shape_text

BAR = 40  # characters of the longest bar of a histogram


def numbers_json(measurement: Measurement, parts: Sequence[Numbers]) -> str:
    """One object: the array, and its parts' numbers. NaN is null; infinities are "inf" and "-inf"."""
    info = measurement.info
    content = {
        "path": info.path,
        "shape": info.shape,
        "dtype": info.dtype.name,
        "per": measurement.axes,
        "notes": measurement.notes,
        "parts": [asdict(part) for part in parts],
    }
    return json.dumps(_plain(content), indent=1, allow_nan=False)


def values_csv(numbers: Numbers) -> bytes:
    """A line for each value, with the number of elements that have it."""
    return "".join(f"{value},{count}\n" for value, count in [("value", "count"), *numbers.values.items()]).encode()


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {_text(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if isinstance(value, float) and not isfinite(value):
        return None if value != value else str(value)
    return value


def _text(key: Any) -> str:
    """A percentile as people type it."""
    return f"{key:g}" if isinstance(key, float) and float(f"{key:g}") == key else str(key)


def numbers_table(measurement: Measurement, parts: Sequence[Numbers]) -> Table:
    """Of the whole array a line for each number and each bin of the histogram; else a line for each part."""
    info = measurement.info
    table = Table(title=f"{info.path}: {shape_text(info.shape)} {info.dtype}", title_justify="left", show_header=False)
    if not measurement.per:
        for name, text in _lines(parts[0]).items():
            table.add_row(name, text)
        for low, high, count, bar in _bars(parts[0]):
            table.add_row(f"{low:.6g} .. {high:.6g}", f"{count} {bar}".rstrip())
        return table
    table.show_header = True
    for axis in measurement.axes:
        table.add_column(axis, justify="right")
    for name in _lines(parts[0]) if parts else ():
        table.add_column(name, justify="right")
    for part in parts:
        table.add_row(*map(str, part.index.values()), *_lines(part).values())
    return table


def _lines(part: Numbers) -> dict[str, str]:
    """The numbers by name, as text."""
    found = {"numbers": str(part.count), "NaN": str(part.nan), "infinite": str(part.infinite)}
    found |= {"no data": str(part.nodata), "min": _shown(part.min), "max": _shown(part.max)}
    found |= {"mean": _shown(part.mean), "std": _shown(part.std)}
    return found | {f"{_text(percent)} %": _shown(value) for percent, value in part.percentiles.items()}


def _shown(value: float | int | None) -> str:
    return "" if value is None else str(value) if isinstance(value, int) else f"{value:.10g}"


def _bars(part: Numbers) -> list[tuple[float, float, int, str]]:
    """The ends of each bin, its count, and a bar."""
    most = max(part.histogram, default=0)
    bins = zip(part.edges, part.edges[1:], part.histogram, strict=False)
    return [(low, high, count, "#" * round(BAR * count / max(most, 1))) for low, high, count in bins]
