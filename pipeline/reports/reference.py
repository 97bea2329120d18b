"""The reference page of all operators, made from the registry by `make reference`."""

from __future__ import annotations

import inspect
import sys
from collections import Counter
from pathlib import Path
from typing import Literal, get_args, get_origin

from pydantic.fields import FieldInfo

from gridstride.workers.operators import registry
from gridstride.workers.operators.kinds import alternatives
from gridstride.workers.operators.recipe import Recipe

PICTURES = Path(__file__).parents[2] / "docs" / "operators"
HEAD = """# Operators

Made from the operators' own files by `make reference`; do not edit it. Each is a command,
`gridstride filter NAME IN OUT`, and a function, `gridstride.NAME(input, out, ...)`; several make a
[pipeline](pipelines.md). [numerics.md](numerics.md) says how sums are made, [operators.md](operators.md) how to add an
operator. An option that takes an array takes a .npy file, an array of several in a file (`net.npz:KEY`,
`net.safetensors:KEY`), or a Zarr array (`flat.zarr`, `flat.zarr/0`); in Python an array too.
"""


def reference_page() -> str:
    """The page, in Markdown."""
    parts, shared = [HEAD], _shared()
    for name in registry.names():
        recipe = registry.find(name)
        fields = {field: recipe.model_fields[field] for field in recipe.shared_fields()}
        common = {f for f, info in fields.items() if shared[f].description == info.description}
        own = {field: info for field, info in recipe.own_fields().items() if field not in common}
        also = ", ".join(f"`{field}`" for field in recipe.model_fields if field in common)
        parts += [f"## {name}", inspect.getdoc(recipe) or "", _facts(name, recipe), _table(own)]
        parts += [f"Also: {also}." if also else ""]
    parts += ["## Options that operators share", _table(shared)]
    return "\n\n".join(part.strip() for part in parts if part) + "\n"


def _shared() -> dict[str, FieldInfo]:
    """The options that operators share, each as most of them have it."""
    found: dict[str, list[FieldInfo]] = {}
    for recipe in map(registry.find, registry.names()):
        for field, info in recipe.model_fields.items():
            if field in recipe.shared_fields():
                found.setdefault(field, []).append(info)
    most = {field: Counter(info.description for info in every).most_common(1)[0][0] for field, every in found.items()}
    return {f: next(info for info in every if info.description == most[f]) for f, every in found.items()}


def _facts(name: str, recipe: type[Recipe]) -> str:
    """The formula, the source, and what the example makes of real cells (docs/pictures.py)."""
    lines = [f"Formula: `{recipe.formula}`"] if recipe.formula else []
    lines += [f"Source: {recipe.source}."] if recipe.source else []
    if (PICTURES / f"{name}.png").exists():
        lines.append(f"![Before and after: {name}](operators/{name}.png)")
    return "  \n".join(lines)


def _table(fields: dict[str, FieldInfo]) -> str:
    if not fields:
        return ""
    rows = ["| option | default | what it is |", "|---|---|---|"]
    for name, info in fields.items():
        default = "required" if info.is_required() else info.get_default()
        shown = "" if default is None else default
        option = f"`--{name.replace('_', '-')}`"
        kinds = alternatives(info.annotation)
        choices = [f"`{choice}`" for kind in kinds if get_origin(kind) is Literal for choice in get_args(kind)]
        known = f" {'One of ' * (len(choices) > 1)}{', '.join(choices)}." if choices else ""
        option += f" or `--no-{name.replace('_', '-')}`" if kinds == [bool] and default is True else ""
        rows.append(f"| {option} | {shown} | {info.description or ''}{known} |")
    return "\n".join(rows)


if __name__ == "__main__":
    Path(sys.argv[1]).write_text(reference_page())
