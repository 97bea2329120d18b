"""Code: a program of the user's that travels with an operator as text, and the rule by which it may be run.

An output holds the text of the program that wrote it, and an output may be from a stranger. So a process runs no text
but what was allowed in it: by the user, who named the file, or by a task, which comes from the user's own client.
"""

from __future__ import annotations

import dataclasses
import hashlib
import os
import re
import sys
import tempfile
import threading
import types
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

CACHE = "GRIDSTRIDE_CACHE"  # the environment's folder for what belongs to programs, instead of ~/.cache
MARK = "+"  # between the name of a run and the hashes of the programs that its tasks may run


class CodeError(RuntimeError):
    """A fault of the user's program, in one line that begins with its file and line."""


@dataclass(frozen=True)
class Code:
    """file: its name, for people; text: all of it; function: the one to call, or the kernel"""

    file: str
    text: str
    function: str

    @cached_property
    def digest(self) -> str:
        return hashlib.sha256(f"{len(self.file)} {self.file}\n{self.text}".encode()).hexdigest()

    @cached_property
    def call(self) -> str:
        """The hash of the text and of which of its functions is called."""
        return hashlib.sha256(f"{self.digest} {self.function}".encode()).hexdigest()

    @property
    def name(self) -> str:
        return f"{self.file}:{self.function}"

    @property
    def is_cuda(self) -> bool:
        return self.file.endswith(".cu")

    @property
    def path(self) -> Path:
        """Where the text is kept on this machine for those who look for it: tracebacks, Numba's cache, compilers."""
        return kept(self.digest) / self.file


# --- who may run it ---
_allowed: set[str] = set()


def allow(calls: Iterable[str]) -> None:
    """Let this process call the functions of these hashes."""
    _allowed.update(calls)


def codes(value: Any) -> Iterator[Code]:
    """The programs in an operator."""
    if isinstance(value, Code):
        yield value
    elif isinstance(value, tuple | list):
        for item in value:
            yield from codes(item)
    elif dataclasses.is_dataclass(value) and not isinstance(value, type):
        for field in dataclasses.fields(value):
            yield from codes(getattr(value, field.name))


def marked(run_id: str, operator: Any) -> str:
    """The name of a run, with the hashes of its programs: it goes to workers with every task."""
    return MARK.join([run_id, *dict.fromkeys(code.call for code in codes(operator))])


def allow_marked(run_id: str) -> None:
    allow(run_id.split(MARK)[1:])


def check_allowed(code: Code) -> None:
    if code.call not in _allowed:
        raise CodeError(f"{code.file}: the program in this output is not run unless you name it: give the same command")


# --- Python ---
_lock = threading.RLock()
_modules: dict[str, types.ModuleType] = {}


def function_of(code: Code) -> Callable[..., Any]:
    """The function, of a module that is made of the text once a process. Raises CodeError."""
    check_allowed(code)
    with _lock:
        module = _modules.get(code.digest)
        if module is None:
            module = _modules[code.digest] = _module(code)
    found = getattr(module, code.function, None)
    if not callable(found):
        raise CodeError(f"{code.file}: {code.function} is no function")
    return found


def _module(code: Code) -> types.ModuleType:
    keep(code.path, code.text.encode())
    module = types.ModuleType(f"gridstride_own_{code.digest[:16]}")
    module.__file__ = str(code.path)
    sys.modules[module.__name__] = module  # dataclasses and pickles look there for it
    try:
        exec(compile(code.text, str(code.path), "exec", dont_inherit=True), module.__dict__)
    except (Exception, SystemExit) as error:
        del sys.modules[module.__name__]
        raise located(error, code) from error
    return module


def located(error: BaseException, code: Code, where: str = "") -> CodeError:
    """An error of the user's program at the last of its lines that led there. where: what was computed, for people"""
    line, trace = 0, error.__traceback__
    while trace is not None:
        if trace.tb_frame.f_code.co_filename == str(code.path):
            line = trace.tb_lineno
        trace = trace.tb_next
    if isinstance(error, SyntaxError) and error.filename == str(code.path):
        line = error.lineno or line
    text = error.msg if isinstance(error, SyntaxError) else str(error)
    text = " ".join(text.replace(str(code.path), code.file).split())[:300]
    if isinstance(error, ImportError):
        text += f" (install it where workers run: of your own files only {code.file} goes there)"
    if "Implicit conversion to a NumPy array" in text or "cupy.ndarray" in text:
        text = f"it takes NumPy arrays alone, and the block is CuPy's: use --device cpu ({text[:100]})"
    place = f"{code.file}:{line}" if line else code.name
    return CodeError(f"{place}: {type(error).__name__}{': ' if text else ''}{text}{f' ({where})' if where else ''}")


# --- CUDA ---
def compilers_complaint(log: str, code: Code) -> str:
    """The first error of a compiler's log at a line of the user's file: bilateral.cu:12:5: what is wrong."""
    file = re.escape(code.file)
    if found := re.search(
        rf"^{file}[:(](\d+)(?::(\d+))?\)?:\s*(?:catastrophic |fatal )?error:?\s*(.*)$", log, re.MULTILINE
    ):
        place = ":".join(filter(None, (code.file, found[1], found[2])))
        return f"{place}: {' '.join(found[3].split())[:300]}"
    line = re.search(rf"{file}[:(](\d+)", log)
    text = re.search(r"error:?\s*(.*)", log)
    place = f"{code.file}:{line[1]}" if line else code.file
    return f"{place}: {(text[1] if text else ' '.join(log.split()))[:300]}"


# --- where files are kept ---
def kept(digest: str) -> Path:
    """A folder of the user's own for what belongs to a hash, on this machine."""
    with _lock:
        if digest not in _folders:
            _folders[digest] = _make_folder(digest)
    return _folders[digest]


_folders: dict[str, Path] = {}


def _make_folder(digest: str) -> Path:
    try:
        cache = os.environ.get(CACHE) or os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
        folder = Path(cache) / "gridstride" / "own" / digest[:24]
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        if not os.access(folder, os.W_OK) or folder.stat().st_uid != os.getuid():
            raise OSError
        return folder
    except (OSError, RuntimeError):
        return Path(tempfile.mkdtemp(prefix="gridstride-own-"))


def keep(path: Path, content: bytes) -> Path:
    """Write a file where it is not there yet as it is to be; other processes see all of it or none."""
    if not path.is_file() or path.read_bytes() != content:
        handle, name = tempfile.mkstemp(dir=path.parent)
        with os.fdopen(handle, "wb") as file:
            file.write(content)
        os.replace(name, path)  # noqa: PTH105
    return path
