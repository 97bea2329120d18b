"""What the models of a case file have in common: their base, mappings by axis, and the line for a wrong field."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, model_validator

AXES = ("x", "y", "z")
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


class Part(BaseModel):
    """A part of a case file: known keys only, no infinity or NaN, never changed once it is complete."""

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
