"""The names of the operators and the first line of their help, read from their files without importing any."""

from __future__ import annotations

import ast
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint

GROUP = "gridstride.operators"
HERE = Path(__file__).parent
# The files of this folder that are no operators.
PROTOCOL = (
    "__init__", "base", "boundary", "fields", "graph", "kinds", "layers", "listing", "morphology", "objects", "recipe",
    "registry", "staged",
)  # fmt: skip


@cache
def others() -> dict[str, EntryPoint]:
    """Operators of other packages, by name."""
    from importlib.metadata import entry_points

    return {point.name: point for point in entry_points(group=GROUP)}


@cache
def names() -> tuple[str, ...]:
    """The names of all operators, with dashes, in order."""
    ours = {path.stem.replace("_", "-") for path in HERE.glob("*.py") if path.stem not in PROTOCOL}
    return tuple(sorted(ours | set(others())))


def class_name(name: str) -> str:
    """The class that an operator's file defines: grey-erosion is GreyErosion."""
    return "".join(word.capitalize() for word in name.split("-"))


def file_of(name: str) -> Path:
    return HERE / f"{name.replace('-', '_')}.py"


def summary(name: str) -> str:
    """The first line of an operator's help."""
    path, wanted = file_of(name), class_name(name)
    if not path.exists():
        from importlib.util import find_spec

        module, _, wanted = others()[name].value.partition(":")
        spec = find_spec(module)
        if spec is None or spec.origin is None:
            return ""
        path = Path(spec.origin)
    classes = [n for n in ast.parse(path.read_text()).body if isinstance(n, ast.ClassDef) and n.name == wanted]
    return ((ast.get_docstring(classes[0]) if classes else "") or "").partition("\n")[0]
