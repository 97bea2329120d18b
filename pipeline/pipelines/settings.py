"""`--set STEP.OPTION=VALUE`: an option of a pipeline's step, changed. STEP is its name, its operator where there is one
of it, or its number, counted from 1."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from gridstride.pipeline.errors import UsageError
from gridstride.pipeline.pipelines.pipeline import Pipeline, find
from gridstride.pipeline.pipelines.values import as_option
from gridstride.pipeline.text import shown
from gridstride.pipeline.validation import nearest, setting

EXAMPLE = "median.size=5"


def changed(pipeline: Pipeline, settings: Sequence[str] | Mapping[str, Any]) -> Pipeline:
    """The pipeline with options changed, one after another. Raises UsageError, one line that begins with the --set."""
    if isinstance(settings, str):
        settings = [settings]
    if not isinstance(settings, Mapping | Sequence):
        raise UsageError(f"set is {shown(settings)}: expected {{'median.size': 5}} or ['{EXAMPLE}']")
    given = settings.items() if isinstance(settings, Mapping) else [(text, None) for text in settings]
    for key, value in given:
        if isinstance(settings, Mapping):
            where, names = f"set {key}", str(key).split(".")
        else:
            where, (names, value) = f"--set {key}", setting(key, EXAMPLE)
        if len(names) != 2 or not all(names):
            raise UsageError(f"{where}: expected STEP.OPTION, such as median.size")
        pipeline = _changed(pipeline, names[0], names[1], value, where)
    return pipeline


def _changed(pipeline: Pipeline, word: str, option: str, value: Any, where: str) -> Pipeline:
    number = _number(pipeline, word, where)
    step = pipeline.steps[number]
    kind = find(step.operator, step.place)
    if option in ("name", "inputs"):
        raise UsageError(f"{where}: {option} is not an option: change it in the pipeline itself")
    if (name := kind.field_of(option)) is None:
        raise UsageError(f"{where}: {step.operator} has no option {option!r}: {nearest(option, kind.own_fields())}")
    step = step.having(name, as_option(kind.model_fields[name], value), f"{where}, {step.place}")
    return replace(pipeline, steps=(*pipeline.steps[:number], step, *pipeline.steps[number + 1 :]))


def _number(pipeline: Pipeline, word: str, where: str) -> int:
    """The step that a word means, counted from 0."""
    found, count = pipeline.numbers(word), len(pipeline.steps)
    if not found and word.isdecimal() and 1 <= int(word) <= count:
        return int(word) - 1
    if len(found) == 1:
        return found[0]
    if found:
        numbers = " and ".join(str(number + 1) for number in found)
        raise UsageError(f"{where}: steps {numbers} are both {word}: use names or numbers")
    known = dict.fromkeys(step.name or step.operator for step in pipeline.steps)
    or_number = "" if count == 1 else f" (or a number from 1 to {count})"
    raise UsageError(f"{where}: there is no step {word!r}: {nearest(word, known)}{or_number}")
