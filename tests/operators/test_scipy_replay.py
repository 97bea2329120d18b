"""scipy's own tests of its filters and its morphology pass with this package's engine in scipy's place.

Each call is computed in one block and in blocks of 4 and 7 elements, with the same bytes: see scipy_replay/plugin.py.
What scipy itself fails here is not asked of the engine.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

TESTS = ["scipy.ndimage.tests.test_filters", "scipy.ndimage.tests.test_morphology"]

# Where a result need not be scipy's bytes (it passes scipy's tests): the uniform filters, as scipy adds and
# subtracts while the window slides, which here would depend on where a block begins; and 1-D weights with no
# symmetry, which scipy sums from the last; squares and roots of float32, which scipy rounds to float32 one by one.
NOT_IN_BYTES = {"uniform_filter", "uniform_filter1d", "convolve1d", "correlate1d", "gaussian_gradient_magnitude"}


def replay(folder: Path, *arguments: str, tests: Sequence[str] = TESTS, **more: str) -> dict[str, Any]:
    """Run scipy's tests in a pytest of their own, and return the plugin's report."""
    report = folder / "report.json"
    not_ours = ("PYTEST_ADDOPTS", "PYTEST_PLUGINS", "SCIPY_ARRAY_API")
    env = {name: value for name, value in os.environ.items() if name not in not_ours}
    env["PYTHONPATH"] = os.pathsep.join([str(Path(__file__).parents[1]), *filter(None, [env.get("PYTHONPATH")])])
    env |= {"GRIDSTRIDE_REPLAY_REPORT": str(report), **more}
    options = ["-q", "--tb=short", "-c", os.devnull, f"--rootdir={folder}", "-p", "no:cacheprovider", *arguments]
    command = [sys.executable, "-m", "pytest", *options, "-p", "scipy_replay.plugin", "--pyargs", *tests]
    done = subprocess.run(command, cwd=folder, env=env, capture_output=True, text=True, timeout=550)
    print(done.stdout[-6000:], done.stderr[-2000:])
    assert done.returncode in (0, 1), "pytest did not run to its end"  # 1: some tests failed
    return json.loads(report.read_text())


@pytest.mark.slow
def test_scipys_own_tests_pass_at_every_cut(tmp_path: Path) -> None:
    ours = replay(tmp_path)
    failed = [test for test, outcome in ours["outcomes"].items() if outcome == "failed"]
    if failed:
        names = [test.split("::")[-1] for test in failed]
        scipys = replay(tmp_path, "-k", " or ".join({name.split("[")[0] for name in names}), GRIDSTRIDE_REPLAY="off")
        assert [test for test in failed if scipys["outcomes"][test] == "passed"] == []
    assert sum(outcome == "passed" for outcome in ours["outcomes"].values()) > 2000  # that there is something to replay

    # That it was the engine that passed them, whole and in blocks.
    assert [name for name in ours["functions"] if not ours["calls"].get(name)] == []
    assert sum(ours["calls"].values()) > 2000
    assert ours["cut"] == {}
    assert {name: tests for name, tests in ours["different"].items() if name not in NOT_IN_BYTES} == {}
