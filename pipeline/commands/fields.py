"""Command-line options made from the fields of a recipe."""

from __future__ import annotations

from types import NoneType
from typing import Any, Literal, get_args, get_origin

import click
from pydantic.fields import FieldInfo

from gridstride.pipeline.commands.shared import Number, Numbers, words
from gridstride.workers.operators.fields import File
from gridstride.workers.operators.kinds import Pairs, Several, alternatives, marked
from gridstride.workers.operators.recipe import Recipe


def options_of(recipe: type[Recipe]) -> list[click.Option]:
    """One option for each field."""
    return [_option(name, info) for name, info in recipe.own_fields().items()]


def _option(name: str, info: FieldInfo) -> click.Option:
    """The option of a field: what is not given is left out, so that the recipe's own default holds."""
    choices = getattr(info.validation_alias, "choices", [name])
    flags = [f"--{choice.replace('_', '-')}" for choice in choices] + [name]
    default = None if info.is_required() else info.get_default()
    shown = "" if default is None or default is False else f"  [default: {default}]"
    text = f"{info.description or ''}{shown}"
    several = next((m for m in info.metadata if isinstance(m, Several)), None) or marked(info.annotation, Several)
    kinds = [k for k in alternatives(info.annotation) if k is not NoneType]
    arguments: dict[str, Any] = {"help": text, "required": info.is_required()}
    if kinds == [bool]:
        names = [f"{flags[0]}/--no-{flags[0][2:]}", name] if default is True else flags
        return click.Option(names, is_flag=True, help=text, default=None)
    if any(get_origin(k) is Literal for k in kinds):
        return click.Option(flags, type=click.Choice([str(c) for k in kinds for c in get_args(k)]), **arguments)
    if several is not None and several.kind is not str:
        return click.Option(flags, type=Numbers(several.kind), metavar="N[,N...]", **arguments)
    if several is not None:
        return click.Option(flags, callback=words, metavar="A[,B...]", **arguments)
    if any(isinstance(m, Pairs) for m in info.metadata):
        return click.Option(flags, multiple=True, metavar="NAME=VALUE", help=info.description, callback=given)
    if any(isinstance(m, File) for m in info.metadata) or marked(info.annotation, File):
        return click.Option(flags, metavar="FILE", **arguments)
    kind = Number() if {int, float} <= set(kinds) else float if float in kinds else int if kinds == [int] else str
    return click.Option(flags, type=kind, **arguments)


def given(_ctx: Any, _param: Any, values: tuple[str, ...]) -> Any:
    """What was given, or None."""
    return list(values) or None
