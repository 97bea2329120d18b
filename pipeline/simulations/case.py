"""A case: everything that defines a simulation, from one YAML file. examples/cases/ has many, explained.

`model: NAME` says which equation it is of; the model's own class says which sections there are and checks them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import ValidationError

from gridstride.pipeline.errors import UsageError
from gridstride.pipeline.simulations.inputs import check_inputs
from gridstride.pipeline.simulations.overrides import anchored, overridden
from gridstride.pipeline.storage.create import compressor
from gridstride.pipeline.storage.paths import at_home
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
    try:
        compressor(case.output.codec, np.dtype("f4"))
    except UsageError as error:
        raise UsageError(f"{source}: output.codec: {error}") from None
    return case


def load_case(case: str | Path | Mapping[str, Any] | Case, overrides: Sequence[str] = ()) -> Case:
    """A case from its file, from a mapping of the file's content, or as it is, with what it names looked at.

    overrides: "dotted.path=value" with value in YAML, as `--set` gives them: boundaries.y+.velocity.x=2
    Relative paths in a file are relative to it, those of mappings and overrides to the working directory.
    Raises UsageError: one line that names file, field and what was expected.
    """
    if isinstance(case, Case):
        if overrides:
            raise UsageError("overrides change a case file or a mapping: give one of these, or change the Case itself")
        found, source = case, "case"
    else:
        content, source = _content(case)
        for override in [overrides] if isinstance(overrides, str) else overrides:
            content = overridden(content, override)
        found = make_case(content, source)
    check_inputs(found, source)
    return found


def _content(case: str | Path | Mapping[str, Any]) -> tuple[Any, str]:
    """What a case says, with absolute paths, and how to name it."""
    if isinstance(case, Mapping):
        return anchored(dict(case), Path.cwd()), "case"
    if not isinstance(case, str | Path):
        raise UsageError(f"case is {case!r:.80}: expected the path of a case file, a mapping of its content or a Case")
    path = at_home(case)
    content: Any = read_yaml(path)
    return anchored({} if content is None else content, path.parent), str(path)
