"""Markers of no data: the values that an array's metadata say stand for a missing element.

_FillValue, missing_value    CF conventions and xarray: of floats in Zarr v3 as base64, in Zarr v2 the fill_value
nodata, nodatavals, ...      GDAL, rasterio and rioxarray: a number, or one for each band
"""

from __future__ import annotations

import base64
import binascii
import struct
from collections.abc import Iterator
from math import inf
from typing import Any

import numpy as np

from gridstride.pipeline.errors import UsageError
from gridstride.pipeline.storage.describe import ArrayInfo
from gridstride.pipeline.text import shown
from gridstride.workers.nodata import NoData, Number, as_element, number_text
from gridstride.workers.operators.base import Operator
from gridstride.workers.operators.kinds import plain

# Names of attributes, without case, dashes and underscores.
MARKERS = frozenset(
    ("fillvalue", "missingvalue", "missingvalues", "nodata", "nodatavals", "nodatavalue", "nodatavalues", "missingdata")
)


def nodata_of(info: ArrayInfo, given: Any) -> NoData | None:
    """What stands for no data in an array, None if nothing does.

    given: a number, several, or the words "nan", "auto" (what the array declares) or "none"; None: not given
    Raises UsageError.
    """
    word = given.strip().lower() if isinstance(given, str) else ""
    if given is None or word == "none":
        return None
    if word == "auto":
        values = {repr(value): value for several in declared(info).values() for value in several}
        if not values:
            raise UsageError(
                f"nodata is auto, and {info.path} declares no value of its dtype {info.dtype} for no data: give the "
                "value, or leave nodata out"
            )
        return NoData(tuple(values.values()))
    return NoData(_checked(given, info.dtype))


def leaving_out(operator: Operator, info: ArrayInfo, given: Any) -> tuple[Operator, NoData | None, dict[str, Any]]:
    """The operator that leaves out what stands for no data, what does so in its result, and both for provenance.

    given: as in `nodata_of`. Raises UsageError.
    """
    missing = nodata_of(info, given)
    if missing is None:
        return operator, None, {} if given is None else {"nodata": "none"}
    try:
        operator, left = operator.without(missing, info.grid)
    except ValueError as error:
        raise UsageError(str(error)) from None
    after = "none" if left is None else number_text(left.value)
    return operator, left, {"nodata": [number_text(value) for value in missing.values], "nodata_of_result": after}


def note_on_nodata(info: ArrayInfo) -> list[str]:
    """What must be said where an array declares no data and nobody said what to do with it: one line, or none."""
    said = declared(info)
    if not said:
        return []
    names = ", ".join(f"{name} {' and '.join(map(number_text, values))}" for name, values in said.items())
    return [
        f"input: a value stands for no data ({names}), and is computed with as any other: give --nodata auto "
        "to leave such elements out, or --nodata none if they are values"
    ]


def _checked(given: Any, dtype: np.dtype) -> tuple[Number, ...]:
    """The values that a user gives. Raises UsageError for what no element can be."""
    several = plain(given.split(",") if isinstance(given, str) else given)
    found: list[Number] = []
    for one in several if isinstance(several, tuple) and several else (several,):
        numbers = [] if isinstance(one, bool | tuple) else list(_numbers(one))
        if not numbers:
            raise UsageError(
                f"nodata is {shown(given)}: expected a number, nan, auto (what the array declares) or none"
            )
        element = as_element(numbers[0], dtype)
        if element is None:
            raise UsageError(f"nodata is {number_text(numbers[0])}: no element of dtype {dtype} can be that")
        found.append(element)
    return tuple(found)


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
            number = kind(text)
        except ValueError:
            continue
        if abs(number) != inf or "inf" in text.lower():  # else the text is a number that float64 cannot hold
            yield number
        return
    try:
        content = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        return
    if len(content) in (4, 8):
        yield struct.unpack("<f" if len(content) == 4 else "<d", content)[0]


def fill_value_attribute(value: Number, dtype: np.dtype) -> Number | str:
    """The attribute _FillValue of a Zarr v3 array, as xarray reads it: of floats, the bytes of a float64 in base64."""
    if dtype.kind == "f":
        return base64.standard_b64encode(struct.pack("<d", float(value))).decode()
    return bool(value) if dtype.kind == "b" else int(value)
