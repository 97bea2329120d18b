"""Reads a pipeline: from a YAML file, or from what such a file holds. What is wrong is one line, with file and step.

description: Nuclei, by hand        # may be left out, and `steps:` with it
steps:
  - gaussian: {sigma: [1, 2, 2], mode: mirror, name: fine}
  - gaussian: {sigma: 8, inputs: input, name: coarse}
  - difference: {inputs: [fine, coarse]}
  - threshold: {method: otsu}
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import Any

import yaml
from pydantic.fields import FieldInfo

from gridstride.pipeline.errors import UsageError
from gridstride.pipeline.pipelines.pipeline import Pipeline, StepTerms, find
from gridstride.pipeline.pipelines.settings import changed
from gridstride.pipeline.pipelines.values import as_option
from gridstride.pipeline.storage.paths import at_home
from gridstride.pipeline.text import shown
from gridstride.pipeline.validation import nearest, read_yaml
from gridstride.workers.array_files import names_file
from gridstride.workers.families.user_code import is_program
from gridstride.workers.operators import registry
from gridstride.workers.operators.fields import File
from gridstride.workers.operators.graph import INPUT
from gridstride.workers.operators.kinds import marked

EXAMPLE = "expected an operator with its options, such as gaussian: {sigma: 2}"
NAME = re.compile(r"[A-Za-z_][\w-]*")
SHARED = ("name", "inputs")  # what every step may have beside its operator's options
MOST_VALUES = 100_000  # of a file
TOP = ("description", "steps")


class Loader(yaml.SafeLoader):
    """PyYAML's loader, for which 1e-3 is a number too, and a key that is given twice is an error."""

    def construct_mapping(self, node: Any, deep: bool = False) -> dict[Any, Any]:
        seen: set[str] = set()
        for key, _ in node.value if isinstance(node, yaml.MappingNode) else []:
            if isinstance(key, yaml.ScalarNode) and key.tag != "tag:yaml.org,2002:merge":
                if key.value in seen:
                    raise yaml.constructor.ConstructorError(None, None, f"{key.value!r} is given twice", key.start_mark)
                seen.add(key.value)
        return super().construct_mapping(node, deep)


Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float", re.compile(r"[-+]?(\d+\.?\d*|\.\d+)[eE][-+]?\d+$"), list("-+.0123456789")
)


def load_pipeline(pipeline: object, settings: Sequence[str] | Mapping[str, Any] = ()) -> Pipeline:
    """A pipeline from the path of its file, from a list of steps or a mapping as such a file has it, or as it is.

    A step in a list may also be (operator, {option: value}).
    settings: "STEP.OPTION=VALUE", as --set gives them, or {"STEP.OPTION": value}
    Paths in a file are relative to it. Raises UsageError: one line that names file, step, field and what was expected.
    """
    if isinstance(pipeline, Pipeline):
        found = pipeline
    elif isinstance(pipeline, str | Path):
        path = at_home(pipeline)
        content, lines = read_yaml(path, _with_lines)
        found = make_pipeline(content, str(path), lines, path.parent)
    else:
        found = make_pipeline(pipeline)
    return changed(found, settings)


def _with_lines(text: str) -> tuple[Any, list[int]]:
    """What YAML holds, and the line on which each step begins."""
    loader = Loader(text)
    try:
        node = loader.get_single_node()
        if node is not None and _size(node, {}) > MOST_VALUES:
            raise yaml.YAMLError(f"its aliases make it more than {MOST_VALUES} values")
        content = None if node is None else loader.construct_document(node)
    finally:
        loader.dispose()
    if isinstance(node, yaml.MappingNode):
        node = next((value for key, value in node.value if key.value == "steps"), None)
    steps = node.value if isinstance(node, yaml.SequenceNode) else []
    return content, [step.start_mark.line + 1 for step in steps]


def _size(node: yaml.Node, known: dict[int, int]) -> int:
    """The number of values that a node holds, those of aliases counted each time; of one inside itself, no end."""
    if isinstance(node, yaml.ScalarNode):
        return 1
    if id(node) not in known:
        known[id(node)] = MOST_VALUES + 1
        inner = node.value if isinstance(node, yaml.SequenceNode) else [part for pair in node.value for part in pair]
        known[id(node)] = 1 + sum(_size(part, known) for part in inner)
    return known[id(node)]


def make_pipeline(content: object, source: str = "", lines: Sequence[int] = (), folder: Path | None = None) -> Pipeline:
    """A pipeline from a file's content. lines: on which each step begins; folder: that relative paths are in"""
    here, description = f"{source}: " if source else "", ""
    if isinstance(content, Mapping):
        for key in content:
            if key not in TOP:
                hint = nearest(key, TOP) if get_close_matches(str(key), TOP) else "steps are a list, each after a dash"
                raise UsageError(f"{here}unknown key {key!r}: {hint}")
        description, content = content.get("description") or "", content.get("steps")
        if not isinstance(description, str):
            raise UsageError(f"{here}description is {shown(description)}: expected text")
    if not isinstance(content, list | tuple) or not content:
        what = "no steps" if content in (None, [], ()) else shown(content)
        raise UsageError(f"{here}a pipeline is a list of steps, and this is {what}: {EXAMPLE}, after a dash")
    steps: list[StepTerms] = []
    for number, step in enumerate(content, 1):
        line = f"line {lines[number - 1]}, " if number <= len(lines) else ""
        place = f"{source}, {line}step {number}" if source else f"step {number}"
        steps.append(_step(step, place, folder))
        called = steps[-1].name
        if called is not None and any(called == earlier.name for earlier in steps[:-1]):
            raise UsageError(f"{steps[-1].place}: an earlier step has the name {called!r} too: give another")
    found = Pipeline(tuple(steps), source, description)
    found.reads()
    return found


def _step(content: object, place: str, folder: Path | None) -> StepTerms:
    operator, options = _operator_of(content, place)
    place = f"{place} ({operator})"
    kind = find(operator, place)
    if options is None:
        options = {}
    if not isinstance(options, Mapping):
        name = next(iter(kind.own_fields()), "sigma")
        raise UsageError(f"{place}: {shown(options)} is no set of options: expected {operator}: {{{name}: ...}}")
    terms: dict[str, Any] = {}
    for key, value in options.items():
        if not isinstance(key, str):
            raise UsageError(f"{place}: {shown(key)} is no option: {nearest(key, kind.own_fields())}")
        if key in SHARED:
            terms[key] = value
            continue
        if (named := kind.field_of(key)) is None:
            raise UsageError(f"{place}: unknown key {key!r}: {nearest(key, [*kind.own_fields(), *SHARED])}")
        if named in terms:
            raise UsageError(f"{place}: {named} is given twice, the second time as {key}")
        value = as_option(kind.model_fields[named], value)
        terms[named] = _anchored(value, folder) if _is_file(kind.model_fields[named]) else value
    called, inputs = _name(terms.pop("name", None), place), _inputs(terms.pop("inputs", None), place)
    return StepTerms(operator, terms, place, called, inputs)


def _operator_of(content: object, place: str) -> tuple[str, Any]:
    """The operator of a step and its options, with `name` and `inputs` among them."""
    if isinstance(content, str):
        return content, None
    if isinstance(content, tuple) and len(content) == 2 and isinstance(content[0], str):
        return content
    if not isinstance(content, Mapping) or not content:
        raise UsageError(f"{place}: {'nothing' if not content else shown(content)} is no step: {EXAMPLE}")
    beside = {key: value for key, value in content.items() if key in SHARED}
    others = [key for key in content if key not in SHARED]
    if len(others) != 1 or not isinstance(others[0], str):
        first, *rest = [*others, None]
        if rest[:-1] and content[first] is None and rest[0] not in registry.names():
            raise UsageError(
                f"{place} ({first}): {rest[0]} stands beside {first} and not under it: indent it by two more, or write "
                f"{first}: {{{rest[0]}: ...}}"
            )
        found = f"the keys {', '.join(map(str, others))}" if others else "no operator"
        raise UsageError(
            f"{place}: a step is one operator, and this has {found}: {EXAMPLE}, its options in braces or indented "
            "below it, and each operator after a dash of its own"
        )
    options = content[others[0]]
    if not beside:
        return others[0], options
    if twice := [key for key in beside if isinstance(options, Mapping) and key in options]:
        raise UsageError(f"{place} ({others[0]}): {twice[0]} is given twice, beside the operator and among its options")
    return others[0], {**options, **beside} if isinstance(options, Mapping) else options or beside


def _name(name: object, place: str) -> str | None:
    if name is None:
        return None
    if not isinstance(name, str) or not NAME.fullmatch(name) or name == INPUT:
        raise UsageError(
            f"{place}: name is {shown(name)}: expected letters, digits, - and _, a letter first, and not {INPUT}, "
            "which is what the pipeline reads"
        )
    return name


def _inputs(inputs: object, place: str) -> tuple[str, ...] | None:
    if inputs is None:
        return None
    words = (inputs,) if isinstance(inputs, str) else inputs
    if not isinstance(words, list | tuple) or not words or not all(isinstance(word, str) for word in words):
        raise UsageError(f"{place}: inputs is {shown(inputs)}: expected names of earlier steps, or {INPUT}")
    return tuple(words)


def _is_file(info: FieldInfo) -> bool:
    return any(isinstance(m, File) for m in info.metadata) or marked(info.annotation, File) is not None


def _anchored(value: object, folder: Path | None) -> object:
    """A path in a file, relative to the file's folder. A word that ends as no file of ours does may be a name."""
    if folder is None or not isinstance(value, str) or "://" in value:
        return value
    path = folder.absolute() / at_home(value)
    return str(path) if is_program(value) or names_file(str(path)) else value
