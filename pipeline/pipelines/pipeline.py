"""Pipeline: the steps that a user asks for, each with its options and the names of what it reads."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import yaml
from pydantic import ValidationError

from gridstride.pipeline.errors import UsageError
from gridstride.pipeline.pipelines import joins
from gridstride.pipeline.validation import complaint, nearest
from gridstride.workers.operators import registry
from gridstride.workers.operators.graph import INPUT
from gridstride.workers.operators.recipe import Recipe

Parameters = Mapping[str, Any]


@dataclass(frozen=True)
class StepTerms:
    """A step in the user's terms.

    place:    where it stands, for what is said of it: "nuclei.yaml, line 3, step 2 (median)"
    inputs:   names of what it reads, or None: the result of the step before it, or the input
    settings: the --set that each of these options is from
    """

    operator: str
    options: Parameters
    place: str
    name: str | None = None
    inputs: tuple[str, ...] | None = None
    settings: Mapping[str, str] = field(default_factory=dict)

    def recipe(self) -> Recipe:
        """The recipe of the step. Raises UsageError, one line that begins with the step's place."""
        kind = find(self.operator, self.place)
        try:
            return kind(**self.options)
        except ValidationError as error:
            first = str((error.errors()[0]["loc"] or ("",))[0])
            raise UsageError(f"{self.settings.get(first, self.place)}: {complaint(error, kind)}") from None

    def having(self, option: str, value: Any, setting: str) -> StepTerms:
        """The step with another value of an option, from a --set."""
        options, settings = {**self.options, option: value}, {**self.settings, option: setting}
        return replace(self, options=options, settings=settings)


@dataclass(frozen=True)
class Pipeline:
    """Steps in order; the last gives the result.

    source: the file, "" of what Python gives in its place, or None of an operator or a chain
    """

    steps: tuple[StepTerms, ...]
    source: str | None = None
    description: str = ""

    def text(self) -> str:
        """The pipeline as a file has it, with what --set changed, if all its options are plain values."""
        lines = [f"description: {_on_one_line(self.description)}", "steps:"] if self.description else []
        for step in self.steps:
            options = plain({**step.options, "name": step.name, "inputs": step.inputs})
            lines.append(f"- {step.operator}" + (f": {_on_one_line(options)}" if options else ""))
        return "\n".join(lines) + "\n"

    def reads(self) -> list[tuple[str, ...]]:
        """What each step reads: INPUT, or the numbers of steps before it as texts. Raises UsageError."""
        found: list[tuple[str, ...]] = []
        for number, step in enumerate(self.steps):
            if step.inputs is None:
                found.append((INPUT if number == 0 else str(number - 1),))
            else:
                found.append(tuple(self._found(word, number) for word in step.inputs))
        used = {name for names in found for name in names} | {str(len(found) - 1)}
        for number, step in enumerate(self.steps):
            if str(number) not in used:
                raise UsageError(
                    f"{step.place}: no later step reads its result: name it in the inputs of one, or leave it out"
                )
        return found

    def _found(self, word: str, number: int) -> str:
        """The step before a step that a word among its inputs names."""
        if word == INPUT:
            return INPUT
        step = self.steps[number]
        called = self.numbers(word)
        here = [found for found in called if found < number]
        if len(here) == 1:
            return str(here[0])
        if here:
            raise UsageError(
                f"{step.place}: inputs names {word!r}, which are {len(here)} steps: give each its own name"
            )
        if called:
            raise UsageError(f"{step.place}: inputs names {word!r}, which comes later: a step reads those before it")
        known = [INPUT, *dict.fromkeys(before.name or before.operator for before in self.steps[:number])]
        raise UsageError(f"{step.place}: inputs names {word!r}, which no step is called: {nearest(word, known)}")

    def numbers(self, word: str) -> list[int]:
        """The steps of a name; else those of an operator, of which one that has no name of its own is meant first."""
        steps, operator = list(enumerate(self.steps)), word.replace("_", "-")
        named = [number for number, step in steps if step.name == word]
        alike = [number for number, step in steps if step.operator == operator]
        return named or [number for number in alike if self.steps[number].name is None] or alike


def of_list(steps: Sequence[tuple[str, Parameters]]) -> Pipeline:
    """The pipeline of operators one after another. A step alone is called by its operator."""

    def place(number: int, name: str) -> str:
        return name if len(steps) == 1 else f"step {number + 1} ({name})"

    return Pipeline(tuple(StepTerms(name, terms, place(n, name)) for n, (name, terms) in enumerate(steps)))


def find(operator: str, place: str) -> type[Recipe]:
    """The recipe class of an operator, or of what joins several arrays. Raises UsageError, naming the nearest."""
    name = operator.replace("_", "-")
    if name in joins.JOINS:
        return joins.JOINS[name]
    if name not in registry.names():
        near = nearest(name, [*registry.names(), *joins.JOINS])
        hint = near if near.startswith("did") else "gridstride filter --help lists them"
        raise UsageError(f"{'' if place == operator else place + ': '}there is no operator {operator!r}: {hint}")
    return registry.find(name)


def _on_one_line(value: Any) -> str:
    return yaml.safe_dump(value, default_flow_style=True, sort_keys=False, width=10**9).removesuffix("...\n").strip()


def plain(value: Any) -> Any:
    """A value as YAML and JSON have it; large arrays by their shape and dtype."""
    import numpy as np

    if isinstance(value, Mapping):
        return {name: plain(inner) for name, inner in value.items() if inner is not None}
    if isinstance(value, np.ndarray) and value.size > 16:
        return {"shape": list(value.shape), "dtype": value.dtype.name}
    if isinstance(value, np.ndarray | np.generic):
        return value.tolist()
    if isinstance(value, list | tuple):
        return [plain(v) for v in value]
    if callable(value) and hasattr(value, "__name__"):
        return value.__name__
    return value if isinstance(value, bool | int | float | str | None) else str(value)
