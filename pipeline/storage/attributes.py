"""Attributes of a result: those of the input that still hold for its values and its dtype."""

from __future__ import annotations

from collections.abc import Mapping
from math import isclose, isfinite
from typing import Any

from gridstride.pipeline.storage.describe import ArrayInfo
from gridstride.pipeline.storage.nodata import declared, fill_value_attribute, is_marker
from gridstride.workers.nodata import NoData
from gridstride.workers.operators.base import Axis, Grid, Meaning, Operator, named_axes

# Of the input's own layout and history, of other arrays, and of statistics of its values.
NEVER = ("_ARRAY_DIMENSIONS", "gridstride", "multiscales", "ome", "omero", "image-label", "actual_range", "statistics")
RANGES = ("valid_range", "valid_min", "valid_max")
FLAGS = ("flag_values", "flag_masks", "flag_meanings")
TYPES = ("dtype", "_Unsigned")
SCALES, OFFSETS = ("scale_factor", "scales"), ("add_offset", "offsets")
QUANTITY = ("units", "unit", "long_name", "standard_name")
# Of one number for each axis, as _spaced reads them; and what says in other ways where elements are.
SPACINGS = ("voxel_size", "pixel_size", "spacing", "resolution", "scale")
PLACES = ("transform", "geotransform", "spatial:transform", "spatial:bbox", "spatial:shape", "proj:transform",
          "proj:bbox", "proj:shape", "bbox", "bounds", "extent", "origin", "offset", "coordinates")  # fmt: skip


def attributes_of_result(
    info: ArrayInfo, operator: Operator, out: Grid, nodata: NoData | None = None
) -> dict[str, Any]:
    """The input's attributes that are right for the result, recoded where that makes them so.

    nodata: what stands for no data in the result, if its elements were told apart
    """
    meaning, grid = operator.meaning(), info.grid
    if out.dtype.kind == "b" and grid.dtype.kind != "b":
        meaning = Meaning()
    same, markers = grid.dtype == out.dtype, declared(info)
    kept = {name: value for name, value in info.attributes.items() if _holds(name, meaning, same)}
    kept = {name: value for name, value in kept.items() if name in markers or not is_marker(name)}
    if nodata is not None:
        kept = {name: value for name, value in kept.items() if markers.get(name) in (None, nodata.values)}
        kept["_FillValue"] = fill_value_attribute(nodata.value, out.dtype)
    elif "_FillValue" in markers and same and meaning.gain is not None:
        kept["_FillValue"] = fill_value_attribute(markers["_FillValue"][0], out.dtype)
    for name in set(OFFSETS) & set(kept):
        # A kernel of sum g makes scale * x + offset into scale * (kernel of x) + g * offset.
        kept[name] = _times(kept[name], meaning.gain or 0.0)
    kept = _placed(kept, grid, out, operator.axes_from(grid))
    return {name: _as_json(value) for name, value in kept.items()}


def _placed(kept: dict[str, Any], grid: Grid, out: Grid, axes: tuple[int | None, ...]) -> dict[str, Any]:
    """Attributes that say where elements are, right for the result. axes: of the input, that those of the result are"""
    came = [Axis("") if axis is None else grid.axes[axis] for axis in axes]
    moved = axes != tuple(range(grid.ndim)) or out.shape != grid.shape or tuple(came) != out.axes
    if not moved and set(SPACINGS) & set(kept):
        return kept
    ratios = [b.spacing / a.spacing for a, b in zip(came, out.axes, strict=True)]
    found: dict[str, Any] = {}
    for name, value in kept.items():
        several = isinstance(value, list) and len(value) == grid.ndim
        if name in SPACINGS and several:
            sizes = zip(axes, ratios, strict=True)
            found[name] = [1.0 if axis is None else _times(value[axis], ratio) for axis, ratio in sizes]
        elif name == "axes" and several:
            found[name] = [out.axes[i].name if axis is None else value[axis] for i, axis in enumerate(axes)]
        elif not (moved and ((name in SPACINGS and isinstance(value, list)) or name.lower() in PLACES)):
            found[name] = value
    if not set(SPACINGS) & set(found) and any(axis.spacing != 1 for axis in out.axes):
        found["voxel_size"] = [axis.spacing for axis in out.axes]  # of a level, whose group says it
    if "translation" in found or any(axis.origin for axis in out.axes):
        found["translation"] = [axis.origin for axis in out.axes]
    if "axes" not in found and (described := _described(out.axes)):
        found["axes"] = described
    return found


def _described(axes: tuple[Axis, ...]) -> list[dict[str, str]]:
    """Axes as OME-Zarr has them, where their names alone do not say their types and units; else nothing."""
    plain = named_axes([axis.name for axis in axes])
    if not all(axis.name for axis in axes) or all(
        a.type == b.type and not a.unit for a, b in zip(axes, plain, strict=True)
    ):
        return []
    found = []
    for axis in axes:
        kind, unit = "" if axis.type == "unknown" else axis.type, axis.unit
        found.append({"name": axis.name} | ({"type": kind} if kind else {}) | ({"unit": unit} if unit else {}))
    return found


def note_on_values(info: ArrayInfo, meaning: Meaning) -> list[str]:
    """What must be said where elements, as they are stored, are not the numbers they stand for, a line each."""
    notes, about = [], info.attributes
    if str(about.get("_Unsigned")).lower() == "true" and info.dtype.kind == "i":
        notes.append(
            f"input: _Unsigned says that its {info.dtype} are unsigned, and they are computed with as signed: store it "
            f"as u{info.dtype} first"
        )
    if meaning.gain is None and (scales := [f"{name} {about[name]}" for name in SCALES + OFFSETS if name in about]):
        notes.append(f"input: elements are compared as they are stored, without {' and '.join(scales)}")
    return notes


def dropped(before: Mapping[str, Any], after: Mapping[str, Any]) -> list[str]:
    """The names of the input's attributes that a result does not have, for people."""
    return sorted(set(before) - set(after) - {"_ARRAY_DIMENSIONS", "gridstride"})


def _holds(name: str, meaning: Meaning, same_dtype: bool) -> bool:
    """Whether an attribute of the input holds for a result."""
    quantity = meaning.gain is not None
    constant = quantity and meaning.gain != 0
    if name in NEVER or name.upper().startswith("STATISTICS_"):
        return False
    if is_marker(name):
        return same_dtype and quantity
    for names, condition in (
        (RANGES, same_dtype and meaning.between),
        (FLAGS, same_dtype and meaning.chosen),
        (TYPES, same_dtype),
        (SCALES, quantity),
        (OFFSETS, constant),
        (QUANTITY, constant),
    ):
        if name in names:
            return condition
    return True


def _times(value: Any, factor: float) -> Any:
    if isinstance(value, list):
        return [_times(one, factor) for one in value]
    number = isinstance(value, int | float) and not isinstance(value, bool)
    return value * factor if number and not isclose(factor, 1.0, rel_tol=1e-9) else value


def _as_json(value: Any) -> Any:
    """With NaN and infinities as the texts that Zarr has for them: JSON has no such numbers."""
    if isinstance(value, dict):
        return {name: _as_json(one) for name, one in value.items()}
    if isinstance(value, list):
        return [_as_json(one) for one in value]
    if isinstance(value, float) and not isfinite(value):
        return "NaN" if value != value else "Infinity" if value > 0 else "-Infinity"
    return value
