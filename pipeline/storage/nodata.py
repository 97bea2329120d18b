"""Markers of no data: the values that an array's metadata say stand for a missing element.

_FillValue, missing_value    CF conventions and xarray: of floats in Zarr v3 as base64, in Zarr v2 the fill_value
nodata, nodatavals, ...      GDAL, rasterio and rioxarray: a number, or one for each band
"""

from __future__ import annotations

import base64
import binascii
import struct
from collections.abc import Iterator
from math import isfinite, isnan

import numpy as np

from gridstride.pipeline.storage.describe import ArrayInfo

Number = float | int
# Names of attributes, without case, dashes and underscores.
MARKERS = frozenset(
    ("fillvalue", "missingvalue", "missingvalues", "nodata", "nodatavals", "nodatavalue", "nodatavalues", "missingdata")
)


def is_marker(name: str) -> bool:
    """Whether an attribute of this name says what stands for no data."""
    return name.lower().replace("_", "").replace("-", "") in MARKERS


def declared(info: ArrayInfo) -> dict[str, tuple[Number, ...]]:
    """The values that stand for no data, as elements of the array's dtype have them, by the name of what says so.

    What no element can be is left out.
    """
    said: dict[str, object] = {name: value for name, value in info.attributes.items() if is_marker(name)}
    fill = info.fill_value
    # xarray and GDAL write their marker there; others leave 0, or whatever they like.
    if info.zarr_format == 2 and "_ARRAY_DIMENSIONS" in info.attributes and fill is not None and fill != 0:
        said.setdefault("_FillValue", fill)
    found = {}
    for name, value in said.items():
        values = {repr(v): v for number in _numbers(value) if (v := as_element(number, info.dtype)) is not None}
        if values:
            found[name] = tuple(values.values())
    return found


def _numbers(value: object) -> Iterator[Number]:
    """The numbers that an attribute holds, alone or in a list, as text or in base64 too."""
    if isinstance(value, list | tuple):
        for one in value:
            yield from _numbers(one)
    elif isinstance(value, bool | np.bool_):
        yield int(value)
    elif isinstance(value, int | float):
        yield value
    elif isinstance(value, str):
        yield from parsed(value)


def parsed(text: str) -> Iterator[Number]:
    """The number that a text is: whole, with a point, or a float's bytes in base64."""
    for kind in (int, float):
        try:
            yield kind(text)
            return
        except ValueError:
            continue
    try:
        content = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        return
    if len(content) in (4, 8):
        yield struct.unpack("<f" if len(content) == 4 else "<d", content)[0]


def as_element(value: Number, dtype: np.dtype) -> Number | None:
    """A number as an element of a dtype has it, or None where none can be it."""
    if dtype.kind == "f":
        with np.errstate(over="ignore"):
            element = float(dtype.type(value))
        return None if isfinite(value) and not isfinite(element) else element
    if not isfinite(value) or value != int(value):
        return None
    low, high = (0, 1) if dtype.kind == "b" else (int(np.iinfo(dtype).min), int(np.iinfo(dtype).max))
    return int(value) if low <= value <= high else None


def fill_value_attribute(value: Number, dtype: np.dtype) -> Number | str:
    """The attribute _FillValue of a Zarr v3 array, as xarray reads it: of floats, the bytes of a float64 in base64."""
    if dtype.kind == "f":
        return base64.standard_b64encode(struct.pack("<d", float(value))).decode()
    return bool(value) if dtype.kind == "b" else int(value)


def number_text(value: Number) -> str:
    """A value as --nodata takes it."""
    return "nan" if isnan(value) else f"{value!r}"
