"""The registry: each file of this folder is an operator, and so is each entry point `gridstride.operators`.

A file is imported when its operator is used.
"""

from __future__ import annotations

from functools import cache
from importlib import import_module
from pathlib import Path

from gridstride.workers.operators.listing import class_name, file_of, names, others
from gridstride.workers.operators.recipe import Recipe


def find(name: str) -> type[Recipe]:
    """The recipe of a name: the class of its file whose name is the file's. Raises ValueError if it is not there."""
    name = name.replace("_", "-")
    if name not in names():
        raise ValueError(f"unknown operator {name!r}: expected one of {', '.join(names())}")
    return _find(name)


@cache
def _find(name: str) -> type[Recipe]:
    if not file_of(name).exists():
        return others()[name].load()
    return getattr(import_module(f"gridstride.workers.operators.{file_of(name).stem}"), class_name(name))


def instantiations() -> list[tuple[str, str]]:
    """Every CUDA kernel that a family or an operator can ask for: (file of cuda/, name expression)."""
    found: list[tuple[str, str]] = []
    workers = Path(__file__).parents[1]
    for package in ("families", "operators"):
        for path in sorted((workers / package).glob("*.py")):
            if path.stem != "registry" and "\ndef instantiations(" in path.read_text():
                found += import_module(f"gridstride.workers.{package}.{path.stem}").instantiations()
    return found


__all__ = ["find", "instantiations", "names"]
