"""How a user names a program and its parameters: FILE.py:FUNCTION, or a function itself; --param NAME=VALUE.

Nothing of a program is run to read it; to judge its parameters its definitions are.
"""

from __future__ import annotations

import ast
import difflib
import inspect
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from gridstride.workers.code import Code, CodeError, function_of
from gridstride.workers.families.user_function import code_of_function
from gridstride.workers.families.user_program import ARRAYS, Signature, kernels_of
from gridstride.workers.operators.kinds import plain

MOST_BYTES = 2**20  # of a program
# What a function is told of its block if it has parameters of these names.
GIVEN = ("origin", "shape", "whole", "spacing", "where", "halo", "inner")
KINDS: dict[Any, type] = {kind: kind for kind in (bool, int, float, str)} | {
    kind.__name__: kind for kind in (bool, int, float, str)
}
WORDS = {bool: "true or false", int: "a whole number", float: "a number"}


class Text(str):
    """A value as it was typed."""


def split_program(value: object) -> tuple[str, str] | None:
    """The file and the function (or "") of FILE.py:FUNCTION or FILE.cu:KERNEL; None of what is no such text."""
    found = re.fullmatch(r"(.*\.(?:py|cu))(?::([^/]*))?", str(value)) if isinstance(value, str | Path) else None
    return (found[1], found[2] or "") if found else None


def is_program(value: object) -> bool:
    """Whether a value names a program, rather than an operator of ours."""
    return split_program(value) is not None or (callable(value) and not isinstance(value, type))


# --- programs ---
def code_of(value: Any) -> Code:
    """The program that a user names. Raises ValueError."""
    if isinstance(value, Code):
        return value
    if callable(value) and not isinstance(value, type):
        return code_of_function(value)
    if (found := split_program(value)) is None:
        raise ValueError("expected FILE.py:FUNCTION, FILE.cu or a function")
    path, function = found
    text = _read(os.path.expanduser(path))  # noqa: PTH111 (it may be anything)
    file = Path(path).name
    if path.endswith(".cu"):
        if re.search(r'["\\\n]', file):
            raise ValueError("compilers cannot name a file with quotes or backslashes in its name: rename it")
        offered = [name for name, *_ in kernels_of(text)]
        return Code(file, text, _chosen(file, function, offered, offered, "kernel"))
    offered, own, imported = _functions(file, text)
    return Code(file, text, _chosen(file, function, offered, [*own, *imported]))


def named(value: Any) -> Code:
    """The program that a user names, whatever of it is called: its function may be "". Raises ValueError."""
    if (found := split_program(value)) is None:
        return code_of(value)
    path, function = found
    return Code(Path(path).name, _read(os.path.expanduser(path)), function)  # noqa: PTH111


def is_meant(code: Code, mine: Code) -> bool:
    """Whether a program in an output is the one that a user names: of the same text, and calling what is named, or
    what the text itself defines."""
    if code.digest != mine.digest or mine.function not in ("", code.function):
        return False
    if code.is_cuda:
        return code.function in [name for name, *_ in kernels_of(code.text)]
    return code.function in _functions(code.file, code.text)[1]


def _read(path: str) -> str:
    try:
        with open(path, "rb") as file:  # noqa: PTH123
            content = file.read(MOST_BYTES + 1)
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise ValueError(f"{path} cannot be read ({reason}); expected FILE.py:FUNCTION or FILE.cu") from None
    if len(content) > MOST_BYTES:
        raise ValueError(f"{path} is larger than 1 MB: expected a program")
    try:
        return content.decode("utf-8-sig").replace("\r\n", "\n")
    except UnicodeDecodeError:
        raise ValueError(f"{path} is no text: expected a program in UTF-8") from None


def _functions(file: str, text: str) -> tuple[list[str], list[str], list[str]]:
    """The functions that a file defines for others, all names that it defines, and those that it imports. Raises
    ValueError for its syntax."""
    try:
        body = ast.parse(text, file).body
    except SyntaxError as error:
        raise ValueError(f"{file}:{error.lineno}: SyntaxError: {error.msg}") from None
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{file}: {error}") from None
    found = [node.name for node in body if isinstance(node, ast.FunctionDef)]
    imported: list[str] = []
    others = [node.id for part in body if isinstance(part, ast.Assign) for t in part.targets for node in ast.walk(t)
              if isinstance(node, ast.Name)]  # fmt: skip
    for node in body:
        if isinstance(node, ast.Import | ast.ImportFrom):
            imported += [name.asname or name.name for name in node.names]
        elif not isinstance(node, ast.FunctionDef | ast.Assign | ast.Expr):  # under if, try, ...
            others += [n.name for n in ast.walk(node) if isinstance(n, ast.FunctionDef | ast.ClassDef)]
    return [name for name in found if not name.startswith("_")], [*found, *others], imported


def _chosen(file: str, function: str, offered: list[str], known: list[str], what: str = "function") -> str:
    if function in known:
        return function
    some = ", ".join(offered[:8])
    if function:
        near = difflib.get_close_matches(function, known, n=1)
        hint = f"did you mean {near[0]!r}?" if near else f"it defines {some or 'none'}"
        raise ValueError(f"{file} has no {what} {function!r}: {hint}")
    if len(offered) != 1:
        text = f"{file} defines {some}: say which" if offered else f"{file} defines no {what}: write one"
        raise ValueError(f"{text}, {file}:{offered[0] if offered else 'NAME'}")
    return offered[0]


# --- parameters ---
def pairs(value: Any) -> dict[str, Any]:
    """Names and values, from a mapping or from texts NAME=VALUE. Raises ValueError."""
    if isinstance(value, Mapping):
        if not all(isinstance(name, str) for name in value):
            raise ValueError("expected names and values, such as {'gain': 1.5}")
        return {name: _value(name, given) for name, given in value.items()}
    if isinstance(value, str):
        value = [value]
    if not isinstance(value, list | tuple) or not all(isinstance(item, str) for item in value):
        raise ValueError("expected names and values, such as {'gain': 1.5}")
    found: dict[str, Any] = {}
    for item in value:
        name, equals, text = (part.strip() for part in item.partition("="))
        if not equals or not name:
            raise ValueError(f"{item!r} is no parameter: expected NAME=VALUE, such as gain=1.5")
        if name in found:
            raise ValueError(f"{name} is given twice")
        found[name] = Text(text)
    return found


def _value(name: str, given: Any) -> Any:
    """A value as data: numbers, text, arrays, and sequences of them."""
    if isinstance(given, np.ndarray) and given.dtype.kind in "buif":
        return given
    found = plain(given)
    for item in found if isinstance(found, tuple) else (found,):
        if isinstance(item, tuple):
            _value(name, item)
        elif not (item is None or isinstance(item, bool | int | float | str)):
            raise ValueError(f"{name} is a {type(item).__name__}: expected numbers, text, or an array of numbers")
    return found


def parsed(text: str) -> Any:
    """A typed value: a number, or several with commas between them, else what YAML takes it for."""
    import yaml

    for kind in (int, float):
        try:
            numbers = tuple(kind(part) for part in text.split(","))
        except ValueError:
            continue
        return numbers if len(numbers) > 1 else numbers[0]
    if not text:
        return text
    try:
        return _value("", yaml.safe_load(text))
    except (yaml.YAMLError, ValueError, RecursionError):
        return str(text)


def check_parameters(code: Code, given: Mapping[str, Any]) -> tuple[tuple[str, Any], ...]:
    """The values of a function's parameters, in its order. Raises ValueError for a name or a value that it does not
    take, and for one that it lacks; CodeError for a fault in its file."""
    try:
        signature = inspect.signature(function_of(code))
    except (TypeError, ValueError):
        return tuple((name, parsed(value) if isinstance(value, Text) else value) for name, value in given.items())
    called = f"{code.function}{signature}"
    places = list(signature.parameters.values())
    if not places or places[0].kind not in (places[0].POSITIONAL_ONLY, places[0].POSITIONAL_OR_KEYWORD):
        raise CodeError(f"{code.name}: {called} takes no block: expected it as the first parameter")
    known = {p.name: p for p in places[1:] if p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY)}
    any_name = any(p.kind == p.VAR_KEYWORD for p in places)
    for name in given:
        if name in GIVEN and name in known:
            raise ValueError(f"param {name} is not yours to give: {called} is told it of each block")
        if name not in known and not any_name:
            near = difflib.get_close_matches(name, [k for k in known if k not in GIVEN], n=1)
            hint = f": did you mean {near[0]!r}?" if near else ""
            raise ValueError(f"param {name}: {called} has no such parameter{hint}")
    for name, place in known.items():
        if place.default is place.empty and name not in given and name not in GIVEN:
            raise ValueError(f"param {name} is missing: {called} needs it; give --param {name}=VALUE")
    order = [*(name for name in known if name in given), *(name for name in given if name not in known)]
    return tuple((name, typed(name, given[name], known.get(name), called)) for name in order)


def typed(name: str, value: Any, place: inspect.Parameter | None, called: str) -> Any:
    """A value as its parameter's annotation says, or its default."""
    kind = KINDS.get(place.annotation) if place and isinstance(place.annotation, type | str) else None
    hint = kind or (type(place.default) if place and type(place.default) in (float, str) else None)
    if isinstance(value, Text):
        if hint is str:
            return str(value)
        value = parsed(value)
    if hint is float and isinstance(value, int) and not isinstance(value, bool):
        value = _as_float(name, value, called)
    if kind is int and isinstance(value, float) and value.is_integer():
        value = int(value)
    if kind is not None and type(value) is not kind:
        raise ValueError(f"param {name} is {value!r}: expected {WORDS.get(kind, 'text')}, for {called}")
    return value


def _as_float(name: str, value: int, called: str) -> float:
    try:
        return float(value)
    except OverflowError:
        raise ValueError(f"param {name} is beyond the range of float64: expected a number, for {called}") from None


def check_arguments(
    code: Code, given: Mapping[str, Any], takes: np.dtype, gives: np.dtype
) -> tuple[tuple[str, Any], ...]:
    """The values of a CUDA kernel's parameters, in its order, as its types have them. Raises ValueError."""
    signature = Signature.of(code)
    own = [(name, kind) for name, kind in signature.places if name not in ARRAYS]
    called = f"{code.function}({', '.join(f'{kind} {name}' for name, kind in own)})"
    for name in given:
        if name not in dict(own):
            near = difflib.get_close_matches(name, dict(own), n=1)
            raise ValueError(
                f"param {name}: {called} has no such parameter{f': did you mean {near[0]!r}?' if near else ''}"
            )
    values = {name: Text(re.sub(r"(?<=[\d.])[fFuUlL]+$", "", text)) for name, text in signature.defaults} | dict(given)
    found = []
    for name, kind in own:
        if name not in values:
            raise ValueError(f"param {name} is missing: {called} needs it; give --param {name}=VALUE")
        value = parsed(values[name]) if isinstance(values[name], Text) else values[name]
        dtype = signature.dtype_of(kind, takes, gives)
        whole = isinstance(value, int) or (isinstance(value, float) and value.is_integer())
        if not whole and (dtype.kind != "f" or not isinstance(value, float)):
            what = "a number" if dtype.kind == "f" else "a whole number"
            raise ValueError(f"param {name} is {value!r}: expected {what}, for {called}")
        if dtype.kind == "f" and isinstance(value, int):
            value = _as_float(name, value, called)
        if dtype.kind in "iu" and not np.iinfo(dtype).min <= value <= np.iinfo(dtype).max:
            raise ValueError(f"param {name} is {value!r}: expected what {dtype} holds, for {called}")
        with np.errstate(over="ignore"):
            held = dtype.type(value).item()
        if dtype.kind == "f" and np.isinf(held) and not np.isinf(value):
            raise ValueError(f"param {name} is {value!r}: expected what {dtype} holds, for {called}")
        found.append((name, held))
    return tuple(found)
