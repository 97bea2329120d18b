"""The text of a Python function that a user hands over: its own lines, and what it uses of its module.

Modules become imports, numbers and text assignments, and functions and classes of the same module their own lines, all
at the lines where they stand, so that errors name them. Nothing else of the module goes along: a script that calls
gridstride is not run again by the workers.
"""

from __future__ import annotations

import ast
import inspect
import textwrap
import types
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from gridstride.workers.code import Code

MOST_NUMBERS = 1000  # of an array that goes with a function


def code_of_function(function: Callable[..., Any]) -> Code:
    """Raises ValueError for a function whose text is not known, or that uses what no text can say."""
    function = getattr(function, "py_func", function)  # Numba's
    if not inspect.isfunction(function) or function.__name__ == "<lambda>":
        raise ValueError("expected a function with a name, made by def, or FILE.py:FUNCTION")
    if function.__closure__:
        names = ", ".join(function.__code__.co_freevars)
        raise ValueError(f"{function.__name__} uses {names} of the function around it: make that a parameter")
    lines: dict[int, str] = {}
    head: dict[str, str] = {}
    _add(function, function.__globals__, lines, head)
    future = 0x1000000  # from __future__ import annotations
    top = ["from __future__ import annotations"] if function.__code__.co_flags & future else []
    text, at = "; ".join([*top, *head.values()]), 1
    for first in sorted(lines):
        text += "\n" * max(1, first - at) + lines[first]
        at = max(at + 1, first) + lines[first].count("\n")
    path = inspect.getsourcefile(function) or ""
    named = path.endswith(".py") and "ipykernel_" not in path  # where a cell's number is in its name
    return Code(Path(path).name if named else "notebook.py", text + "\n", function.__name__)


def _add(thing: Any, known: dict[str, Any], lines: dict[int, str], head: dict[str, str]) -> None:
    """Add the lines of a function or class, and what it uses."""
    thing = getattr(thing, "py_func", thing)
    try:
        found, first = inspect.getsourcelines(thing)
    except (OSError, TypeError):
        raise ValueError(f"the text of {thing.__name__} is not known: put it into a file, FILE.py:FUNCTION") from None
    if first in lines:
        return
    lines[first] = textwrap.dedent("".join(found)).rstrip("\n")
    tree = ast.parse(lines[first])
    own = {node.arg for node in ast.walk(tree) if isinstance(node, ast.arg)}
    used = [node for node in ast.walk(tree) if isinstance(node, ast.Name)]
    own |= {node.id for node in used if isinstance(node.ctx, ast.Store)}
    for name in dict.fromkeys(node.id for node in used if node.id not in own):
        if name in known and name not in head:
            _add_name(name, known[name], thing.__name__, known, lines, head)


def _add_name(
    name: str, value: Any, user: str, known: dict[str, Any], lines: dict[int, str], head: dict[str, str]
) -> None:
    inner = getattr(value, "py_func", value)
    home = getattr(inner, "__module__", None)
    if isinstance(value, types.ModuleType):
        head[name] = f"import {value.__name__} as {name}"
    elif isinstance(inner, types.FunctionType | type) and home == known.get("__name__"):
        _add(inner, known, lines, head)
    elif callable(value) and home and home != "__main__" and hasattr(inner, "__name__"):
        head[name] = f"from {home} import {inner.__name__} as {name}"
    elif is_constant(value):
        head[name] = f"{name} = {value!r}"
    elif isinstance(value, np.ndarray | np.generic) and value.dtype.kind in "buif" and value.size <= MOST_NUMBERS:
        numbers = repr(value.tolist()).replace("nan", "float('nan')").replace("inf", "float('inf')")
        made = f"__import__('numpy').array({numbers}, '{value.dtype.str}').reshape({value.shape})"
        head[name] = f"{name} = {made}{'[()]' if isinstance(value, np.generic) else ''}"
    else:
        raise ValueError(
            f"{user} uses {name}, a {type(value).__name__}: only functions, modules, numbers and text go with it; make "
            "it a parameter, or put all into a file and give FILE.py:FUNCTION"
        )


def is_constant(value: Any) -> bool:
    if type(value) in (tuple, list):
        return all(map(is_constant, value))
    if type(value) is dict:
        return all(map(is_constant, (*value, *value.values())))
    finite = not isinstance(value, float) or value - value == 0
    return value is None or (type(value) in (bool, int, float, str) and finite)
