"""The sections of a case file that every model has, what sections are made of, and the one line for a wrong field."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence
from typing import Annotated, Any, Literal, get_args

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    ValidationError,
    field_validator,
    model_validator,
)

AXES = ("x", "y", "z")
MIN_CELLS = 4  # along an axis
QUOTES = "'"


def _axis(name: str) -> str:
    if name not in AXES:
        raise ValueError("expected x, y or z")
    return name


def in_order(value: dict[str, Any]) -> dict[str, Any]:
    return {axis: value[axis] for axis in AXES if axis in value}


Axis = Annotated[str, AfterValidator(_axis)]
Positive = Annotated[float, Field(gt=0)]
Vector = Annotated[dict[Axis, float], AfterValidator(in_order)]  # a number for each axis, or some of them
Lengths = Annotated[dict[Axis, Positive], AfterValidator(in_order)]
Counts = Annotated[dict[Axis, Annotated[int, Field(ge=1)]], AfterValidator(in_order)]


class Section(BaseModel):
    """A section of a case file: known keys only, no infinity or NaN, never changed once it is complete."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    @model_validator(mode="before")
    @classmethod
    def _known_keys(cls, content: Any) -> Any:
        if isinstance(content, dict):
            for key in content:
                if key not in cls.model_fields:
                    raise ValueError(unknown(key, cls.model_fields))
        return content

    def _complete(self, **values: Any) -> None:
        """Fill in defaults that follow from other fields, while the model is being made."""
        for name, value in values.items():
            object.__setattr__(self, name, value)


class Defaulted(Section):
    """A section where null stands for what is not given."""

    @model_validator(mode="before")
    @classmethod
    def _nothing_is_default(cls, content: Any) -> Any:
        return {k: v for k, v in content.items() if v is not None} if isinstance(content, dict) else content


def unknown(key: Any, known: Iterable[str]) -> str:
    names = list(known)
    near = difflib.get_close_matches(str(key), names, n=1)
    return f"unknown key {key!r}: " + (f"did you mean {near[0]!r}?" if near else f"expected one of {', '.join(names)}")


def vector(given: dict[str, Any], axes: Iterable[str], field: str) -> dict[str, float]:
    """`given` with 0 for the axes that it lacks. Raises ValueError for an axis that the grid lacks."""
    axes = tuple(axes)
    for axis in given:
        if axis not in axes:
            raise ValueError(f"{field} has a part along {axis}, which the grid has not: expected {', '.join(axes)}")
    return {axis: given.get(axis, 0.0) for axis in axes}


def same_axes(given: Iterable[str], axes: Iterable[str], field: str) -> None:
    """Raise ValueError unless a field gives exactly these axes."""
    given, axes = tuple(given), tuple(axes)
    if given != axes:
        raise ValueError(f"{field} gives {', '.join(given) or 'no axis'}: expected {', '.join(axes)}")


def complaint(error: ValidationError, tags: Iterable[str] = ()) -> str:
    """One line for the first thing wrong: field, value, and what was expected.

    tags: names that pydantic puts between the fields of a choice of models, and that no file has.
    """
    first = error.errors()[0]
    tags = tuple(tags)
    parts = [part for part in first["loc"] if part != "[key]" and part not in tags]
    field, given = ".".join(map(str, parts)), first["input"]
    text = first["msg"].removeprefix("Value error, ").replace("Input should be ", "expected ")
    if first["loc"][-1:] == ("[key]",):  # a name that a mapping does not take
        return f"{'.'.join(map(str, parts[:-1]))}: unknown key {given!r}: {text}"
    if first["type"] == "missing":
        return f"{field} is missing"
    if first["type"] == "union_tag_not_found":
        return f"{field}.{first['ctx']['discriminator'].strip(QUOTES)} is missing"
    if first["type"] == "union_tag_invalid":
        choice = first["ctx"]
        name, tag = choice["discriminator"].strip(QUOTES), choice["tag"]
        return f"{field}.{name} is {tag!r}: expected one of {choice['expected_tags']}"
    if first["type"] in ("model_type", "model_attributes_type", "dict_type"):
        return f"{field} is {given!r}: expected keys and values"
    if first["type"] == "list_type":
        return f"{field} is {given!r}: expected a list"
    if first["type"] == "value_error" and isinstance(given, dict | BaseModel):
        # Said of a whole part: the text names the field, or what is in it.
        return text if text.startswith(field) else f"{field}: {text}"
    return f"{field} is {given!r}: {text}"


def faces(axes: Sequence[str]) -> list[str]:
    """Names of a grid's faces: x-, x+, y-, .."""
    return [axis + side for axis in axes for side in "-+"]


def per_face(given: Any, axes: Sequence[str]) -> dict[str, Any]:
    """What a case gives by axis (`x`), by face (`x-`), or not at all (periodic), for every face.

    A face goes before its axis; it takes over what the axis says of the same kind. Raises ValueError.
    """
    if not isinstance(given, dict):
        raise ValueError("expected axes or faces and their kinds, such as {x: periodic, y-: wall}")
    names = [name for axis in axes for name in (axis, axis + "-", axis + "+")]
    for key in given:
        if key not in names:
            raise ValueError(unknown(key, names))
    resolved = {}
    for name in faces(axes):
        axis, face = _keyed(given.get(name[0])), _keyed(given.get(name))
        if isinstance(axis, dict) and isinstance(face, dict):
            inherits = face.get("kind", axis.get("kind")) == axis.get("kind")
            resolved[name] = {**axis, **face} if inherits else face
        else:
            chosen = axis if face is None else face
            resolved[name] = {"kind": "periodic"} if chosen is None else chosen
    return resolved


def _keyed(value: Any) -> Any:
    return {"kind": value} if isinstance(value, str) else value


def check_pairs(kinds: dict[str, str]) -> None:
    """Raise ValueError where one face of an axis is periodic and the other is not. kinds: by face."""
    for axis in sorted({name[0] for name in kinds}):
        ends = [kinds[axis + side] for side in "-+"]
        if ends.count("periodic") == 1:
            raise ValueError(
                f"boundaries.{axis}- is {ends[0]} and boundaries.{axis}+ is {ends[1]}: both must be periodic or neither"
            )


# --- the sections of every case ----------------------------------------------------------------------------------


class Grid(Section):
    """cells, size (lengths) and origin along x, y and, in three dimensions, z."""

    cells: Annotated[dict[Axis, Annotated[int, Field(ge=MIN_CELLS)]], AfterValidator(in_order)]
    size: Lengths
    origin: Vector = Field(default={})

    @model_validator(mode="after")
    def _axes(self) -> Grid:
        axes = tuple(self.cells)
        if axes not in (AXES[:2], AXES):
            raise ValueError(f"grid.cells gives {', '.join(axes) or 'no axis'}: expected x, y or x, y, z")
        same_axes(self.size, axes, "grid.size")
        self._complete(origin=vector(self.origin, axes, "grid.origin"))
        return self


class FromStore(Section):
    """path: a simulation's Zarr group on this grid; time: default the last one written."""

    problem: Literal["from-store"]
    path: str
    time: Annotated[float, Field(ge=0)] | None = None


class Schedule(Section):
    """When something is written: every so much time, every so many steps, or at given times."""

    time: Positive | None = None
    steps: Annotated[int, Field(ge=1)] | None = None
    at: list[Annotated[float, Field(ge=0)]] | None = None

    @model_validator(mode="after")
    def _one(self) -> Schedule:
        given = [name for name in type(self).model_fields if getattr(self, name) is not None]
        if len(given) != 1:
            found = " and ".join(given) or "none"
            raise ValueError(f"expected one of time (every), steps (every) and at (list of times), found {found}")
        if self.at is not None:
            self._complete(at=sorted(set(self.at)))
        return self


class Run(Section):
    """until: end time; cfl: share of the longest stable step; dt: a fixed step instead; precision: of the state;
    substeps: steps between two exchanges of halos."""

    until: Positive
    cfl: Annotated[float, Field(gt=0, le=1)] = 0.95
    dt: Positive | None = None
    precision: Literal["single", "double"] = "single"
    substeps: Literal["auto"] | int = "auto"

    @field_validator("substeps", mode="before")
    @classmethod
    def _substeps(cls, value: Any) -> Any:
        if value == "auto":
            return value
        try:
            number = int(str(value))
        except ValueError:
            number = 0
        if number < 1:
            raise ValueError("expected auto, or a number of 1 or more")
        return number


class Output(Section):
    """What is written, and when; a schedule of null means at the end only. chunks: cells along each axis.

    A model's own class says which `fields` there are, as a list of literals, and which are written by default.
    """

    fields: Any
    snapshots: Schedule | None = None
    diagnostics: Schedule | None = Schedule(steps=100)
    checkpoints: Schedule | None = None
    chunks: Counts = Field(default={})
    codec: str = "lz4"

    @field_validator("fields", check_fields=False)
    @classmethod
    def _some(cls, value: list[Any]) -> list[Any]:
        if not value:
            known = ", ".join(get_args(get_args(cls.model_fields["fields"].annotation)[0]))
            raise ValueError(f"expected at least one of {known}")
        return list(dict.fromkeys(value))

    @field_validator("chunks", mode="before")
    @classmethod
    def _chunks(cls, value: Any) -> Any:
        return {} if value is None else value
