"""Imports run one way: from commands down to the workers. Lazy imports count too."""

from __future__ import annotations

import ast
from itertools import pairwise
from pathlib import Path

import pytest

import gridstride

ROOT = Path(gridstride.__file__).parent.resolve()
# From low to high: a file imports from its own layer or a lower one. Longest prefix wins.
LAYERS = (
    ("workers",),
    ("pipeline.errors", "pipeline.validation", "pipeline.text", "pipeline.stopping"),
    ("pipeline.options",),
    ("pipeline.storage",),
    ("pipeline.events",),
    ("pipeline.clusters", "pipeline.planning"),
    ("pipeline.sweep",),
    ("pipeline.layout", "pipeline.checks", "pipeline.summary", "pipeline.pipelines"),
    ("pipeline.job", "pipeline.simulations"),
    ("pipeline.runner", "pipeline.kernel_check"),
    ("pipeline.measure",),
    ("pipeline.pictures",),
    ("pipeline.reports",),
    ("pipeline.api",),
    ("pipeline.commands",),
)
WORKERS = (
    ("workers.identity", "workers.region", "workers.launches", "workers.saving", "workers.stages", "workers.sizes"),
    ("workers.code", "workers.array_files"),
    ("workers.nodata",),
    ("workers.operators.base", "workers.operators.boundary", "workers.operators.listing", "workers.operators.kinds"),
    ("workers.operators.fields", "workers.operators.recipe", "workers.kernels", "workers.loops"),
    ("workers.families", "workers.operators.graph", "workers.gpu"),
    ("workers.operators",),
    ("workers.split", "workers.slots", "workers.device"),
    ("workers.models",),
    ("workers.clusters", "workers.cluster", "workers.watchdog", "workers.security"),
)


def modules() -> dict[str, Path]:
    found = {}
    for room in ("pipeline", "workers"):
        for path in sorted((ROOT / room).rglob("*.py")):
            parts = path.relative_to(ROOT).with_suffix("").parts
            found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


def imports(path: Path, known: dict[str, Path], typing: bool = True) -> set[str]:
    """The modules of this package that a file imports; without those for type checkers unless `typing`."""
    tree = ast.parse(path.read_text())
    skipped = {
        inner
        for node in ast.walk(tree)
        if not typing and isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"
        for inner in ast.walk(node)
    }
    found = set()
    for node in ast.walk(tree):
        if node in skipped:
            continue
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("gridstride."):
            module = str(node.module).removeprefix("gridstride.")
            found |= {f"{module}.{a.name}" if f"{module}.{a.name}" in known else module for a in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module == "gridstride":
            found |= {a.name for a in node.names if a.name in known}
        elif isinstance(node, ast.Import):
            found |= {a.name.removeprefix("gridstride.") for a in node.names if a.name.startswith("gridstride.")}
    return found & set(known)


def layer_of(module: str, layers: tuple[tuple[str, ...], ...]) -> int | None:
    best: tuple[int, int] | None = None
    for number, names in enumerate(layers):
        for name in names:
            if (module == name or module.startswith(name + ".")) and (best is None or len(name) > best[0]):
                best = len(name), number
    return None if best is None else best[1]


@pytest.mark.parametrize("layers", [LAYERS, WORKERS], ids=["packages", "workers"])
def test_imports_run_one_way(layers: tuple[tuple[str, ...], ...]) -> None:
    known, wrong = modules(), []
    for module, path in known.items():
        here = layer_of(module, layers)
        if here is None:
            continue
        for other in imports(path, known, typing=False):
            there = layer_of(other, layers)
            if there is not None and there > here:
                wrong.append(f"{module} imports {other}, which lies above it")
    assert not wrong, "\n".join(sorted(wrong))


def test_every_file_of_the_pipeline_has_a_layer() -> None:
    without = [m for m in modules() if m.startswith("pipeline.") and layer_of(m, LAYERS) is None]
    assert not without


def test_no_file_imports_itself_by_way_of_others() -> None:
    known = modules()
    graph = {module: imports(path, known, typing=False) - {module} for module, path in known.items()}
    done: set[str] = set()

    def visit(module: str, way: list[str]) -> None:
        if module in way:
            circle = [*way[way.index(module) :], module]
            pytest.fail("a circle: " + ", ".join(f"{a} imports {b}" for a, b in pairwise(circle)))
        if module in done:
            return
        for other in sorted(graph[module]):
            visit(other, [*way, module])
        done.add(module)

    for module in sorted(graph):
        visit(module, [])
