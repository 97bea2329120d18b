"""Values of options that are text: the numbers that the command line makes of it too."""

from __future__ import annotations

from typing import Any, Literal, get_origin

from pydantic.fields import FieldInfo

from gridstride.workers.operators.kinds import Several, alternatives, marked


def as_option(info: FieldInfo, value: Any) -> Any:
    """A value for a field: text as the numbers that it is where the field takes numbers, with commas if several; any
    other as it is."""
    if not isinstance(value, str):
        return value
    several = next((m for m in info.metadata if isinstance(m, Several)), None) or marked(info.annotation, Several)
    kinds = alternatives(info.annotation)
    if several is not None and "," in value:
        return [_number(part.strip()) if several.kind is not str else part.strip() for part in value.split(",")]
    texts = str in kinds or any(get_origin(kind) is Literal for kind in kinds)
    return _number(value) if {int, float} & set(kinds) and not texts else value


def _number(text: str) -> float | int | str:
    """The number that a text is; else the text, which is judged as such."""
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return text
