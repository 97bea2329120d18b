"""One formatter of what pydantic says: one line that names the field, its value, and what was expected."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from typing import get_args

from pydantic import BaseModel, ValidationError

LIMITS = {
    "greater_than": "expected more than {:g}",
    "greater_than_equal": "expected {:g} or more",
    "less_than": "expected less than {:g}",
    "less_than_equal": "expected {:g} or less",
}


def complaint(error: ValidationError, model: type[BaseModel], tags: Iterable[str] = ()) -> str:
    """One line for the first thing wrong.

    tags: names that pydantic puts between the fields of a choice of models, and that no file has
    """
    first = error.errors()[0]
    tags = (*tags, "float", "int", "str", "bool", "[key]")
    parts = [
        str(part) for part in first["loc"] if part not in tags and not str(part).startswith(("tuple[", "function-"))
    ]
    field, given = ".".join(parts), first["input"]
    text = first["msg"].removeprefix("Value error, ").replace("Input should be ", "expected ")
    if first["type"] in LIMITS:
        text = LIMITS[first["type"]].format(*(value for value in first["ctx"].values()))
    if first["type"] == "extra_forbidden":
        return f"unknown key {field!r}: {_hint(model, parts)}"
    if first["type"] == "missing":
        return f"{field} is missing"
    if first["type"] == "value_error" and not parts:
        return text
    if any(str(part).startswith("tuple[") or part in ("float", "int") for part in first["loc"]):
        whole = any("int" in str(part) for part in first["loc"])
        text = f"expected {'a whole number' if whole else 'a number'}, or one for each filtered axis"
    return f"{field} is {given!r}: {text[0].lower() + text[1:]}"


def _hint(model: type[BaseModel], parts: list[str]) -> str:
    """What a field that is not there may have been meant to be."""
    known = list(_model_at(model, parts[:-1]).model_fields)
    near = difflib.get_close_matches(parts[-1], known, n=1)
    return f"did you mean {near[0]!r}?" if near else f"expected one of {', '.join(known)}"


def _model_at(model: type[BaseModel], path: list[str]) -> type[BaseModel]:
    """The model of a field's value, by the names that lead there."""
    for name in path:
        kind = model.model_fields[name].annotation if name in model.model_fields else None
        models = [k for k in (kind, *get_args(kind)) if isinstance(k, type) and issubclass(k, BaseModel)]
        if not models:
            break
        model = models[0]
    return model
