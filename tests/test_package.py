"""The package's own shape: what is installed, what must never be, and which way imports run."""

from __future__ import annotations

import ast
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

import gridstride

ROOT = Path(gridstride.__file__).parent


def test_cuda_is_never_a_python_package() -> None:
    """NVIDIA's packages live in the namespace `cuda`: a package of ours by that name, on the path because someone
    works in this folder, would hide them."""
    assert not list((ROOT / "cuda").rglob("*.py"))
    assert not (ROOT / "cuda.py").exists()
    code = "import cuda.bindings, cupy; print(cuda.bindings.__file__)"
    result = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    if "No module named" in result.stderr:
        pytest.skip("cupy and cuda-bindings are not installed")
    assert result.returncode == 0, result.stderr
    assert str(ROOT / "cuda") not in result.stdout


def test_the_package_list_is_the_folders_with_code() -> None:
    listed = set(tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]["packages"])
    rooms = [ROOT / name for name in ("pipeline", "workers")]
    folders = {p.parent for room in rooms for p in room.rglob("__init__.py")}
    named = {".".join(("gridstride", *p.relative_to(ROOT).parts)) for p in folders}
    assert listed == named | {"gridstride", "gridstride.cuda"}


def test_our_rooms_are_not_top_level_modules() -> None:
    code = "import gridstride.pipeline.job, sys; print([n for n in ('pipeline', 'workers') if n in sys.modules])"
    result = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "[]"


def imports(file: Path) -> set[str]:
    """Names of the modules that a file imports, wherever in it."""
    found = set()
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
    return found


def test_imports_run_one_way() -> None:
    """pipeline -> workers -> cuda: a worker never knows a command."""
    for file in (ROOT / "workers").rglob("*.py"):
        assert not [name for name in imports(file) if name.startswith("gridstride.pipeline")], file


def test_the_reports_template_is_installed_with_the_package() -> None:
    data = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]["package-data"]
    templates = {p.suffix for p in (ROOT / "pipeline" / "reports").iterdir() if p.is_file()} - {".py"}
    assert templates == {Path(pattern).suffix for pattern in data["gridstride.pipeline.reports"]} == {".html"}


def test_cuda_sources_are_installed_with_the_package() -> None:
    data = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]["package-data"]
    assert {p.suffix for p in (ROOT / "cuda").iterdir() if p.is_file()} <= {
        Path(pattern).suffix for pattern in data["gridstride.cuda"]
    }
