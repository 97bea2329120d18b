"""The models there are: folders here, each of which has a class `MODEL` and a function `instantiations`.

A folder is imported when its model is used. Others add models by the entry point group `gridstride.models`: the name is
the model's, the value the module path of such a folder.
"""

from __future__ import annotations

from functools import cache
from importlib import import_module
from importlib.metadata import entry_points
from pathlib import Path
from types import ModuleType

from gridstride.workers.models.base import Model

DEFAULT = "edac"  # of case files that name no model
GROUP = "gridstride.models"


@cache
def modules() -> dict[str, str]:
    """Module paths by the models' names."""
    here = Path(__file__).parent
    ours = sorted(path.parent.name for path in here.glob("*/__init__.py"))
    found = {name: f"{__package__}.{name}" for name in ours}
    return {entry.name: entry.value for entry in entry_points(group=GROUP)} | found


def model(name: str) -> type[Model]:
    """The class of a model's cases. Raises ValueError for a name that no model has."""
    if name not in modules():
        raise ValueError(f"model is {name!r}: expected one of {', '.join(modules())}")
    return _module(name).MODEL


def instantiations() -> list[tuple[str, str]]:
    """Every (file, name expression) of cuda/ that a model can ask for."""
    return [found for name in modules() for found in _module(name).instantiations()]


def _module(name: str) -> ModuleType:
    return import_module(modules()[name])
