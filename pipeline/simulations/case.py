"""A case: everything that defines a simulation, from one YAML file. examples/cases/ has many, explained.

`model: NAME` says which equation it is of; the model's own class says which sections there are and checks them.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from gridstride.pipeline.errors import UsageError
from gridstride.pipeline.simulations.inputs import check_inputs
from gridstride.pipeline.simulations.overrides import anchored, overridden
from gridstride.pipeline.storage.create import CODECS
from gridstride.pipeline.validation import read_yaml
from gridstride.workers.models import registry
from gridstride.workers.models.base import Model as Case
from gridstride.workers.models.sections import complaint

__all__ = ["Case", "load_case", "make_case"]


def make_case(content: Any, source: str = "case") -> Case:
    """A case from a file's content, or from what `Case.resolved` gave. Raises UsageError, one line, naming `source`."""
    if not isinstance(content, dict):
        raise UsageError(f"{source} holds a {type(content).__name__}: expected keys and values, such as 'grid: ...'")
    try:
        model = registry.model(content.get("model") or registry.DEFAULT)
    except ValueError as error:
        raise UsageError(f"{source}: {error}") from None
    try:
        case = model.model_validate(content)
    except ValidationError as error:
        raise UsageError(f"{source}: {complaint(error, model.tags)}") from None
    name, colon, level = case.output.codec.partition(":")
    if name not in CODECS or (colon and not level.isdigit()):
        known = ", ".join(CODECS)
        raise UsageError(f"{source}: output.codec is {case.output.codec!r}: expected one of {known}, or NAME:LEVEL")
    return case


def load_case(path: str | Path, overrides: Sequence[str] = ()) -> Case:
    """Read a case file.

    overrides: "dotted.path=value" with value in YAML, as `--set` gives them: boundaries.y+.velocity.x=2
    Relative paths in the file are relative to it, those of overrides to the working directory.
    Raises UsageError: one line that names file, field and what was expected.
    """
    path = Path(path)
    content = read_yaml(path)
    content = anchored({} if content is None else content, path.parent)
    for override in overrides:
        content = overridden(content, override)
    case = make_case(content, str(path))
    check_inputs(case, str(path))
    return case
