"""The meaning of an array's axes (names, kinds, units, spacing), and whether its numbers are labels.

In this order: the multiscales of the nearest group that has this array as a level (OME-Zarr, https://ngff.openmicroscopy.org,
0.1 to 0.6), the array's own dimension names, its attributes. What is malformed is noted and passed over.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from math import isfinite
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np

from gridstride.pipeline.storage import datasource
from gridstride.pipeline.storage.metadata import read_json
from gridstride.pipeline.storage.paths import StorePath
from gridstride.pipeline.storage.remote import Remote
from gridstride.pipeline.text import counted, one_line
from gridstride.workers.operators.base import Axis, named_axes

LEVELS = 6  # groups around an array that are looked at
TCZYX = ("t", "c", "z", "y", "x")  # of OME-Zarr 0.1 and 0.2, which name no axes
METRES = {
    "angstrom": 1e-10, "picometer": 1e-12, "nanometer": 1e-9, "micrometer": 1e-6, "millimeter": 1e-3,
    "centimeter": 1e-2, "decimeter": 0.1, "meter": 1.0, "kilometer": 1e3, "inch": 0.0254, "foot": 0.3048,
}  # fmt: skip
SHORT = {
    "å": "angstrom", "pm": "picometer", "nm": "nanometer", "um": "micrometer", "\u00b5m": "micrometer",
    "\u03bcm": "micrometer", "micron": "micrometer", "microns": "micrometer", "mm": "millimeter", "cm": "centimeter",
    "m": "meter", "km": "kilometer", "s": "second", "sec": "second", "ms": "millisecond", "min": "minute",
    "pixel": "", "voxel": "", "unit": "",
}  # fmt: skip


@dataclass(frozen=True)
class Naming:
    """axes: one for each of the array; source: where they are from, "" if nothing says it; labels: whether elements
    are numbers of objects; notes: what was passed over, and why"""

    axes: tuple[Axis, ...]
    source: str = ""
    labels: bool = False
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Level:
    """One dataset of multiscales, with the image that lists it and the attributes of its group."""

    image: Mapping[str, Any]
    dataset: Mapping[str, Any]
    attributes: Mapping[str, Any]


def naming_of(
    where: StorePath, zarr_format: int, shape: Sequence[int], dtype: np.dtype, own: Any, attributes: Mapping[str, Any]
) -> Naming:
    """The meaning of the array at a place. own: its dimension names, as stored"""
    notes: list[str] = []
    groups = list(_groups(where, zarr_format, notes))
    level = next((level for inside, _, found in groups for level in _levels(inside, found)), None)
    if level is None and len(groups) > 1:  # the layers of a WEBKNOSSOS dataset lie in folders of their own
        inside, place, _ = groups[1]
        level = next(_levels(inside, datasource.attributes(place, inside)), None)
    near = [found for _, _, found in groups[:2]] if level is None else [level.attributes]
    labels = any(map(labels_of, near))
    among = [place for _, place, _ in groups if place.name == "labels"]
    labels = labels or (dtype.kind in "iu" and any(map(_is_group, among)))
    stored = {
        "multiscales": None if level is None else _image_axes(level),
        "dimension_names": own,
        "_ARRAY_DIMENSIONS": attributes.get("_ARRAY_DIMENSIONS"),
        "axes": attributes.get("axes"),
    }
    stored = {source: names for source, names in stored.items() if names is not None and names != ()}
    chosen: tuple[Axis, ...] = ()
    kept = ""
    for source, names in stored.items():
        axes, wrong = _axes(names, len(shape))
        alike = [a.name for a in axes] == [a.name for a in chosen]
        if wrong and not kept:
            notes.append(f"{source} {wrong}")
        elif kept and source != "axes" and axes and not alike:
            notes.append(f"{source} {_listed(axes)} are not those of {kept}, which hold: {_listed(chosen)}")
        if axes and not kept:
            chosen, kept = axes, source
        elif axes and alike and kept != "multiscales" and source == "axes":  # the same names, with types and units
            chosen = axes
    if not kept:  # where axes were named, but no name can be used, none of them is known to be space
        chosen = tuple(Axis("", "unknown") for _ in shape) if notes else named_axes([""] * len(shape))
    return Naming(_spaced(chosen, level, attributes), kept, labels, tuple(notes))


def _groups(where: StorePath, zarr_format: int, notes: list[str]) -> Iterator[tuple[str, StorePath, Mapping[str, Any]]]:
    """The groups around a place, the nearest first: the path from there to it, where, attributes. What may not be read
    has none. An array that is a link is first looked for where the link is."""
    given: StorePath = where if isinstance(where, Remote) else Path(os.path.abspath(where))  # noqa: PTH100
    for start in dict.fromkeys([given, where.resolve()]):
        inside = start.name
        parents: Sequence[StorePath] = list(start.parents)
        for place in parents[:LEVELS]:
            file = place / ("zarr.json" if zarr_format == 3 else ".zattrs")
            content = read_json(file)
            if isinstance(content, ValueError) and not (isinstance(file, Remote) and file.read_only):
                notes.append(f"{file} is damaged: what it says of axes is not known")
            found = content.get("attributes") if zarr_format == 3 and isinstance(content, dict) else content
            yield inside, place, found if isinstance(found, dict) else {}
            inside = f"{place.name}/{inside}"


def _is_group(place: StorePath) -> bool:
    return any(isinstance(read_json(place / name), dict) for name in ("zarr.json", ".zgroup"))


def _ome(attributes: Mapping[str, Any]) -> Mapping[str, Any]:
    inner = attributes.get("ome")
    return {**attributes, **inner} if isinstance(inner, dict) else attributes


def labels_of(attributes: Mapping[str, Any]) -> bool:
    """Whether a group says of itself that it is an image of labels."""
    return "image-label" in _ome(attributes)


def images_of(attributes: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """The multiscales of a group that have datasets."""
    images = _ome(attributes).get("multiscales")
    found = [image for image in images if isinstance(image, dict)] if isinstance(images, list) else []
    return [image for image in found if isinstance(image.get("datasets"), list)]


def paths_of(image: Mapping[str, Any]) -> list[str]:
    """The paths of an image's levels, inside its group."""
    return [path for path in map(_path, image["datasets"]) if path]


def wells_of(attributes: Mapping[str, Any]) -> list[str]:
    """The paths of the wells that a plate lists."""
    plate = _ome(attributes).get("plate")
    wells = plate.get("wells") if isinstance(plate, dict) else None
    return [path for path in map(_path, wells) if path] if isinstance(wells, list) else []


def _levels(inside: str, attributes: Mapping[str, Any]) -> Iterator[Level]:
    """The datasets of a group's multiscales whose path leads to the array that lies `inside`."""
    for image in images_of(attributes):
        yield from (Level(image, d, attributes) for d in image["datasets"] if _path(d) == inside)


def _path(dataset: Any) -> str:
    """The path of a level or a well, as it is in the tree; "" if there is none."""
    path = dataset.get("path") if isinstance(dataset, dict) else None
    return str(PurePosixPath(path.strip("/"))) if isinstance(path, str) else ""


def _image_axes(level: Level) -> Any:
    """The axes of an image as it stores them; a tuple of nothing if it says nothing of them."""
    image = level.image
    systems = image.get("coordinateSystems")
    if isinstance(systems, list) and systems:  # from 0.6 on
        steps = level.dataset.get("coordinateTransformations")
        first = steps[0] if isinstance(steps, list) and steps and isinstance(steps[0], dict) else {}
        wanted = first.get("output")
        wanted = wanted.get("name") if isinstance(wanted, dict) else wanted
        known = [system for system in systems if isinstance(system, dict)]
        return next((s.get("axes") for s in known if s.get("name") == wanted), known[0].get("axes") if known else ())
    if image.get("axes") is not None:
        return image["axes"]
    version = image.get("version", _ome(level.attributes).get("version"))
    return TCZYX if version in (None, "0.1", "0.2") else ()


def _listed(axes: Sequence[Axis]) -> str:
    return ", ".join(one_line(axis.name)[:40] for axis in axes)


def _axes(stored: Any, ndim: int) -> tuple[tuple[Axis, ...], str]:
    """The axes that a list of names or of OME's objects means, and what is wrong with it; no axes if it is unusable."""
    if not isinstance(stored, list | tuple):
        return (), f"is {one_line(str(stored))[:40]}: expected a list of names"
    if len(stored) != ndim:
        return (), f"has {counted(len(stored), 'name')}, the array {counted(ndim, 'axis', 'axes')}"
    names, wrong = [item.get("name") if isinstance(item, dict) else item for item in stored], ""
    if any(name is not None and (not isinstance(name, str) or name.isdigit()) for name in names):
        wrong = "has numbers as names, which are left out"
        names = ["" if not isinstance(name, str) or name.isdigit() else name for name in names]
    double = sorted({name for name in names if name and names.count(name) > 1})
    if double:
        wrong = f"has {one_line(', '.join(double))[:40]} more than once: its axes can be told apart by number"
    return tuple(_typed(axis, item) for axis, item in zip(named_axes(names), stored, strict=True)), wrong


def _typed(axis: Axis, item: Any) -> Axis:
    """An axis with the type and the unit that an object of OME gives it."""
    if not isinstance(item, dict):
        return axis
    kind, unit = item.get("type"), item.get("unit")
    if isinstance(kind, str) and kind.strip():
        known: Any = kind.lower() if kind.lower() in ("space", "time", "channel") else "unknown"
        axis = replace(axis, type=known)
    elif not axis.name:
        axis = replace(axis, type="unknown")
    word = unit.strip() if isinstance(unit, str) else ""
    return replace(axis, unit=SHORT.get(word.lower(), word.lower()) or None)


Steps = list[tuple[str, Any]]  # kinds of coordinate transformations, and their numbers


def _steps(transformations: Any) -> Steps:
    """The scales and translations among coordinate transformations, in order, those inside of sequences too."""
    found: Steps = []
    for step in transformations if isinstance(transformations, list) else ():
        kind = step.get("type") if isinstance(step, dict) else None
        if kind == "sequence":
            found += _steps(step.get("transformations"))
        elif kind in ("scale", "translation"):
            found.append((kind, step.get(kind)))
    return found


def _spaced(axes: tuple[Axis, ...], level: Level | None, attributes: Mapping[str, Any]) -> tuple[Axis, ...]:
    """Axes with their spacing and origin: the array's own, or those of the level in those of the whole image."""

    def usable(numbers: Any) -> bool:
        if not isinstance(numbers, list) or len(numbers) != len(axes):
            return False
        return all(isinstance(n, int | float) and not isinstance(n, bool) and isfinite(n) for n in numbers)

    own = attributes.get("voxel_size", attributes.get("scale"))
    if usable(own) or level is None:
        steps = [("scale", own)] * usable(own) + [("translation", attributes.get("translation"))]
    else:
        whole = level.image.get("coordinateTransformations")
        whole = whole if isinstance(whole, list) else ()
        # Transformations of the whole image that name their ends lead to other systems: they are alternatives.
        nameless = [s for s in whole if isinstance(s, dict) and not {"input", "output"} & set(s)]
        steps = _steps(level.dataset.get("coordinateTransformations")) + _steps(nameless)
    scales = [numbers for kind, numbers in steps if kind == "scale"]
    if not all(usable(scale) and min(scale) > 0 for scale in scales):
        return axes
    sizes, origins = [1.0] * len(axes), [0.0] * len(axes)
    for kind, numbers in steps:
        if kind == "scale":
            sizes, origins = ([a * float(b) for a, b in zip(old, numbers, strict=True)] for old in (sizes, origins))
        elif usable(numbers):
            origins = [a + float(b) for a, b in zip(origins, numbers, strict=True)]
    spaced = zip(axes, sizes, origins, strict=True)
    return tuple(replace(axis, spacing=size, origin=origin) for axis, size, origin in spaced)


def in_one_unit(axes: Sequence[Axis]) -> list[float]:
    """The spacing of axes in metres where all have a unit of length, else as it is stored."""
    if all(axis.unit in METRES for axis in axes):
        return [axis.spacing * METRES[str(axis.unit)] for axis in axes]
    return [axis.spacing for axis in axes]


def axes_text(axes: Sequence[Axis], filtered: Sequence[int]) -> str:
    """Which axes are filtered and which are not: filtered y, x; not c (channel)."""
    words = [axis_text(axis) or str(number) for number, axis in enumerate(axes)]
    others = [words[number] for number in range(len(axes)) if number not in filtered]
    text = f"filtered {', '.join(words[number] for number in filtered)}" + (
        f", not {', '.join(others)}" if others else ""
    )
    return text if any(axis.name for axis in axes) else f"{text} (the array names no axes)"


def axis_text(axis: Axis) -> str:
    """An axis for people: z, or c (channel) where it is no direction in space; "" without name and kind."""
    name = one_line(axis.name)[:40]
    return name if axis.type == "space" else f"{name} ({axis.type})".strip()
