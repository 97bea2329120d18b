"""What is wrong with a value, in one line that names the field, its value, and what was expected."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, TypeVar, get_args

import yaml
from pydantic import BaseModel, ValidationError

from gridstride.pipeline.errors import UsageError
from gridstride.pipeline.text import one_line, shown

T = TypeVar("T")

LIMITS = {
    "greater_than": "expected more than {:g}",
    "greater_than_equal": "expected {:g} or more",
    "less_than": "expected less than {:g}",
    "less_than_equal": "expected {:g} or less",
}
WORDS = {
    "expected a valid boolean": "expected True or False",
    "expected a valid string": "expected text",
    "expected a valid tuple": "expected a sequence",
}


def judged(name: str, given: object, judge: Callable[[object], T]) -> T:
    """A value as its kind takes it (`workers.operators.kinds`). Raises UsageError."""
    try:
        return judge(given)
    except ValueError as error:
        raise UsageError(f"{name} is {shown(given)}: {error}") from None


def nearest(word: object, known: Iterable[str]) -> str:
    """What a word that is not known may have been meant to be, as the end of a sentence."""
    choices = list(known)
    near = difflib.get_close_matches(str(word), choices, n=1)
    return f"did you mean {near[0]!r}?" if near else f"expected one of {', '.join(choices)}"


def setting(text: object, example: str) -> tuple[list[str], Any]:
    """What --set KEY.OF.FIELD=VALUE says: the parts of the key, and the value, in YAML. Raises UsageError."""
    key, equals, value = str(text).partition("=")
    names = key.strip().split(".")
    if not equals or not all(names):
        raise UsageError(f"--set {text!r}: expected key=value, such as {example}")
    try:
        return names, yaml.safe_load(value)
    except (yaml.YAMLError, RecursionError) as error:
        raise UsageError(f"--set {text!r}: the value is not YAML: {fault(error)}") from None


def fault(error: Exception) -> str:
    """What is wrong with a YAML text, and where, on one line."""
    if isinstance(error, yaml.MarkedYAMLError) and error.problem and error.problem_mark:
        mark = error.problem_mark
        return one_line(f"line {mark.line + 1}, column {mark.column + 1}: {error.problem}")
    return one_line(str(error))


def read_yaml(path: Path, load: Callable[[str], T] = yaml.safe_load) -> T:
    """What a YAML file holds. load: makes it of the file's text. Raises UsageError."""
    try:
        return load(path.read_text())
    except OSError as error:
        raise UsageError(f"{path} cannot be read: {error.strerror}") from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise UsageError(f"{path} is not YAML: {fault(error)}") from None
    except RecursionError:
        raise UsageError(f"{path} is nested too deeply: expected keys and values") from None


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
    text = WORDS.get(text, text)
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
    return f"{field} is {shown(given)}: {text[0].lower() + text[1:]}"


def _hint(model: type[BaseModel], parts: list[str]) -> str:
    """What a field that is not there may have been meant to be."""
    return nearest(parts[-1], _model_at(model, parts[:-1]).model_fields)


def _model_at(model: type[BaseModel], path: list[str]) -> type[BaseModel]:
    """The model of a field's value, by the names that lead there."""
    for name in path:
        kind = model.model_fields[name].annotation if name in model.model_fields else None
        models = [k for k in (kind, *get_args(kind)) if isinstance(k, type) and issubclass(k, BaseModel)]
        if not models:
            break
        model = models[0]
    return model
