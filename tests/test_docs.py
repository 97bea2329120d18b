"""The documents name files, modules and tests that exist, and their links lead somewhere."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
DOCUMENTS = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
FOLDERS = ("pipeline", "workers", "cuda", "tests", "benchmarks", "docs", "examples")
QUOTED = re.compile(r"`([^`\n]+)`")
# A file of the tree, quoted or not: `pipeline/job.py`, docs/faults.md, `workers/operators/NAME.py`.
FILE = re.compile(rf"(?<![\w/.])(?:{'|'.join(FOLDERS)})/[\w/.*-]+\.(?:py|cu|cuh|h|md|yaml|json|csv|png|tif)\b")
FOLDER = re.compile(rf"(?:{'|'.join(FOLDERS)})/[\w/-]*")
LINK = re.compile(r"\]\(([^)\s]+)\)|src=\"([^\"]+)\"")
TESTS = "".join(file.read_text() for file in sorted((ROOT / "tests").rglob("test_*.py")))

each = pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)


def exists(path: str) -> bool:
    """Whether there is a file of a path, in which * and NAME, the reader's own, stand for any name."""
    return any(ROOT.glob(path.replace("NAME", "*").rstrip("/")))


def missing_paths(text: str) -> list[str]:
    """Files and folders of the tree that a text names and that do not exist."""
    quoted = QUOTED.findall(text)
    paths = {*FILE.findall(text), *(word for word in quoted if FOLDER.fullmatch(word))}
    paths |= {word for word in quoted if re.fullmatch(r"[\w*-]+/[\w/*-]+\.(py|cu|cuh)", word)}
    return sorted(path for path in paths if not exists(path))


def missing_modules(text: str) -> list[str]:
    """Modules of the package and benchmarks that a text names and that do not exist."""
    dotted = re.findall(r"\bgridstride\.((?:pipeline|workers)(?:\.[a-z_]+)+)", text)
    paths = {name.replace(".", "/") for name in dotted}
    paths |= {f"benchmarks/{name}" for name in re.findall(r"-m benchmarks ([a-z_]+)", text)}
    return sorted(path for path in paths if not exists(f"{path}.py") and not exists(f"{path}/__init__.py"))


def missing_tests(text: str) -> list[str]:
    """Names of test functions that a text quotes and that do not exist."""
    names = {word for word in QUOTED.findall(text) if re.fullmatch(r"test_\w+", word)}
    return sorted(name for name in names if f"def {name}(" not in TESTS)


@each
def test_files_modules_and_tests_exist(document: Path) -> None:
    text = document.read_text()
    assert missing_paths(text) + missing_modules(text) + missing_tests(text) == []


@each
def test_links_resolve(document: Path) -> None:
    links = [first or second for first, second in LINK.findall(document.read_text())]
    files = [link.partition("#")[0] for link in links if "://" not in link and not link.startswith("#")]
    assert [file for file in files if not (document.parent / file).exists()] == []


def test_a_stale_name_is_found() -> None:
    assert missing_paths(
        "see `pipeline/gone.py`, `workers/gone/` and tests/test_gone.py, not `workers/operators/NAME.py`"
    ) == [
        "pipeline/gone.py",
        "tests/test_gone.py",
        "workers/gone/",
    ]
    assert missing_paths("`families/gone.py`, `pipeline/storage/`, `s3://raw/cells.zarr`, `a/b`") == [
        "families/gone.py"
    ]
    assert missing_modules("python -m benchmarks gone; gridstride.pipeline.job and gridstride.workers.gone") == [
        "benchmarks/gone",
        "workers/gone",
    ]
    assert missing_tests("`test_gone` and `test_a_stale_name_is_found`") == ["test_gone"]
