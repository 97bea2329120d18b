"""scipy's own tests of its filters pass with this package's engine in scipy's place, in one block and many.

See scipy_replay/plugin.py for how. What scipy itself fails here is not asked of the engine.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

FILTERS = "scipy.ndimage.tests.test_filters"

# Where a result need not be scipy's bytes (it passes scipy's tests): the uniform filters, as scipy adds and
# subtracts while the window slides, which here would depend on where a block begins; and 1-D weights with no
# symmetry, which scipy sums from the last.
NOT_IN_BYTES = {"uniform_filter", "uniform_filter1d", "convolve1d", "correlate1d"}


def replay(folder: Path, block: str) -> dict[str, Any]:
    """Run scipy's tests in a pytest of their own, and return the plugin's report."""
    report = folder / f"{block}.json"
    not_ours = ("PYTEST_ADDOPTS", "PYTEST_PLUGINS", "SCIPY_ARRAY_API")
    env = {name: value for name, value in os.environ.items() if name not in not_ours}
    env["PYTHONPATH"] = os.pathsep.join([str(Path(__file__).parents[1]), *filter(None, [env.get("PYTHONPATH")])])
    env |= {"GRIDSTRIDE_REPLAY_BLOCK": block, "GRIDSTRIDE_REPLAY_REPORT": str(report)}
    options = ["-q", "--tb=short", "-c", os.devnull, f"--rootdir={folder}", "-p", "no:cacheprovider"]
    command = [sys.executable, "-m", "pytest", *options, "-p", "scipy_replay.plugin", "--pyargs", FILTERS]
    done = subprocess.run(command, cwd=folder, env=env, capture_output=True, text=True, timeout=550)
    print(done.stdout[-6000:], done.stderr[-2000:])
    assert done.returncode in (0, 1), "pytest did not run to its end"  # 1: some tests failed
    return json.loads(report.read_text())


@pytest.fixture(scope="module")
def baseline(tmp_path_factory: Any) -> dict[str, Any]:
    """scipy's own outcomes."""
    return replay(tmp_path_factory.mktemp("scipy"), "off")


@pytest.mark.slow
def test_scipys_filter_tests_pass_in_blocks_of_three(baseline: dict[str, Any], tmp_path: Path) -> None:
    ours = replay(tmp_path, "3")
    outcomes, scipys = ours["outcomes"], baseline["outcomes"]

    assert outcomes.keys() == scipys.keys()
    assert sum(outcome == "passed" for outcome in scipys.values()) > 1500  # that there is something to replay
    assert [test for test, outcome in outcomes.items() if outcome not in ("passed", scipys[test])] == []

    # That it was the engine that passed them.
    assert baseline["calls"] == {}
    assert [name for name in ours["functions"] if not ours["calls"].get(name)] == []
    assert sum(ours["calls"].values()) > 1000
    assert {name: tests for name, tests in ours["different"].items() if name not in NOT_IN_BYTES} == {}
