"""Recipe: what a user asks for, as a pydantic model. It makes the operator for one grid."""

from __future__ import annotations

from typing import Any, ClassVar

from pydantic import BaseModel, ConfigDict
from pydantic.fields import FieldInfo

from gridstride.workers.operators.base import Grid, Operator

# Where the fields that many operators share are defined.
FIELDS = "gridstride.workers.operators.fields"


class Recipe(BaseModel):
    """What a user asks for. Fields are options, keywords and documentation; the docstring's first line is the help.

    A recipe knows no grid: `bind` makes the operator. Nothing else can be asked of a recipe, so that no result is ever
    planned from defaults that a grid would have changed.
    """

    formula: ClassVar[str] = ""  # of one element of the result, for the reference page
    source: ClassVar[str] = ""  # where the definition is from, for the reference page

    model_config = ConfigDict(frozen=True, extra="forbid", arbitrary_types_allowed=True, strict=True)

    @classmethod
    def shared_fields(cls) -> set[str]:
        """The fields that are as a class for many operators has them."""
        owners = {name: base for base in reversed(cls.__mro__) for name in getattr(base, "__annotations__", ())}
        return {name for name in cls.model_fields if owners[name].__module__ == FIELDS}

    @classmethod
    def own_fields(cls) -> dict[str, FieldInfo]:
        """The fields in the order in which people think of them: required ones, the operator's own, those that many
        operators share."""
        shared = cls.shared_fields()
        order = sorted(cls.model_fields, key=lambda name: (not cls.model_fields[name].is_required(), name in shared))
        return {name: cls.model_fields[name] for name in order}

    @classmethod
    def field_of(cls, word: str) -> str | None:
        """The field that a word means, with dashes or by another name of it, as on the command line; None if none."""
        word = word.replace("-", "_")
        names = ((name, getattr(info.validation_alias, "choices", ())) for name, info in cls.model_fields.items())
        return next((name for name, others in names if word == name or word in others), None)

    def resolved(self, grid: Grid) -> dict[str, Any]:
        """What defaults come to on a grid (axes as numbers, dtype, ...), as plain values, for people and provenance."""
        return {}

    def notes(self) -> list[str]:
        """What was asked for and has no effect, a line each."""
        return []

    def bind(self, grid: Grid) -> Operator:
        """The operator for a grid: names of axes, dtypes and defaults resolved. Raises ValueError if there is none."""
        raise NotImplementedError
