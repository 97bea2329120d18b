"""A file in workers/operators/ is an operator: command, Python function, reference page, job, with no other edit."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import zarr

import gridstride

ROOT = Path(gridstride.__file__).parent.resolve()
FILE = '''
"""doubled: every element twice as large."""

from dataclasses import dataclass

from pydantic import Field

from gridstride.workers.operators.base import Operator
from gridstride.workers.operators.recipe import Recipe


@dataclass(frozen=True)
class Times(Operator):
    factor: int

    def cpu(self, window, out):
        out[...] = self.factor * window.part(window.want).data


class DoubledNow(Recipe):
    """Every element some times as large.

    Example: gridstride filter doubled-now a.zarr b.zarr --factor 3
    """

    factor: int = Field(2, description="How many times.")

    def bind(self, grid):
        if self.factor < 1:
            raise ValueError(f"factor is {self.factor}: expected 1 or more")
        return Times(self.factor)
'''
CODE = """
import sys, gridstride
from gridstride.pipeline.reports.reference import reference_page
assert "## doubled-now" in reference_page() and "| `--factor` | 2 | How many times. |" in reference_page()
if __name__ == "__main__":
    summary = gridstride.doubled_now(sys.argv[1], sys.argv[2], 5, device="cpu")
    print(gridstride.__file__, summary.computed)
"""


def test_one_file_is_enough(tmp_path: Path, store: object) -> None:
    package = tmp_path / "gridstride"
    package.mkdir()
    shutil.copy(ROOT / "__init__.py", package)
    for room in ("pipeline", "workers", "cuda"):
        shutil.copytree(ROOT / room, package / room, ignore=shutil.ignore_patterns("__pycache__"))
    (package / "workers" / "operators" / "doubled_now.py").write_text(FILE)
    (tmp_path / "script.py").write_text(CODE)
    array = np.arange(600, dtype=np.int16).reshape(20, 30)
    source = store(array, (8, 8))  # type: ignore[operator]
    environment = {**os.environ, "PYTHONPATH": str(tmp_path)}

    def run(*arguments: object) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, *map(str, arguments)]
        return subprocess.run(command, env=environment, capture_output=True, text=True, cwd=tmp_path, timeout=120)

    program = ("-m", "gridstride.pipeline.commands.main", "filter")
    listed = run(*program, "--help")
    assert re.search(r"doubled-now +Every element some times as large\.", listed.stdout), listed.stderr
    assert "--factor INTEGER" in run(*program, "doubled-now", "--help").stdout
    done = run(*program, "doubled-now", source, tmp_path / "by-command", "--factor", "3")
    assert done.returncode == 0, done.stderr
    np.testing.assert_array_equal(zarr.open_array(str(tmp_path / "by-command"))[...], 3 * array)
    refused = run(*program, "doubled-now", source, tmp_path / "not", "--factor", "0")
    assert (refused.returncode, refused.stderr) == (2, "gridstride: factor is 0: expected 1 or more\n")
    done = run("script.py", source, tmp_path / "by-function")
    assert done.returncode == 0, done.stderr
    assert str(package) in done.stdout
    np.testing.assert_array_equal(zarr.open_array(str(tmp_path / "by-function"))[...], 5 * array)
