"""The registry: each file of this folder is an operator, and so is each entry point `gridstride.operators`.

Only names are listed; a file is imported when its operator is used, so that `--help` stays fast.
"""

from __future__ import annotations

import ast
from functools import cache
from importlib import import_module, resources, util
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path

from gridstride.workers.operators.base import Recipe

GROUP = "gridstride.operators"
HERE = Path(__file__).parent
# The files of this folder that are no operators.
PROTOCOL = ("__init__", "base", "boundary", "fields", "graph", "registry")


def _others() -> dict[str, EntryPoint]:
    return {point.name: point for point in entry_points(group=GROUP)}


def names() -> list[str]:
    """The names of all operators, with dashes, in order."""
    ours = {path.stem.replace("_", "-") for path in HERE.glob("*.py") if path.stem not in PROTOCOL}
    return sorted(ours | set(_others()))


def find(name: str) -> type[Recipe]:
    """The recipe of a name: the class of its file whose name is the file's (grey_erosion.py: GreyErosion).

    Raises ValueError for a name that is not there.
    """
    name = name.replace("_", "-")
    if name not in names():
        raise ValueError(f"unknown operator {name!r}: expected one of {', '.join(names())}")
    return _find(name)


@cache
def _find(name: str) -> type[Recipe]:
    if not (HERE / _file(name)).exists():
        return _others()[name].load()
    module = import_module(f"gridstride.workers.operators.{name.replace('-', '_')}")
    return getattr(module, "".join(word.capitalize() for word in name.split("-")))


def name_of(recipe: type[Recipe]) -> str:
    """The name under which a recipe is found."""
    for name, point in _others().items():
        if point.value == f"{recipe.__module__}:{recipe.__qualname__}":
            return name
    return recipe.__module__.rpartition(".")[2].replace("_", "-")


def summary(name: str) -> str:
    """The first line of an operator's help, read without importing it."""
    path = HERE / _file(name)
    if not path.exists():
        module = _others()[name].value.partition(":")[0]
        spec = util.find_spec(module)
        if spec is None or spec.origin is None:
            return ""
        path = Path(spec.origin)
    tree = ast.parse(path.read_text())
    wanted = "".join(word.capitalize() for word in name.split("-"))
    found = [node for node in tree.body if isinstance(node, ast.ClassDef) and node.name == wanted]
    text = ast.get_docstring(found[0]) if found else ast.get_docstring(tree)
    return (text or "").partition("\n")[0]


def _file(name: str) -> str:
    return name.replace("-", "_") + ".py"


def instantiations() -> list[tuple[str, str]]:
    """Every CUDA kernel that a family or an operator can ask for: (file of cuda/, name expression)."""
    found: list[tuple[str, str]] = []
    for package in ("families", "operators"):
        for path in sorted(Path(str(resources.files("gridstride.workers"))).joinpath(package).glob("*.py")):
            if "def instantiations(" in path.read_text() and path.stem != "registry":
                found += import_module(f"gridstride.workers.{package}.{path.stem}").instantiations()
    return found
