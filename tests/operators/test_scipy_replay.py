"""scipy's own tests of its filters and its morphology pass with this package's engine in scipy's place.

Calls take turns in one block and in blocks of 4 and 7 elements: see scipy_replay/plugin.py. What scipy itself fails
here is not asked of the engine.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from functools import cache
from pathlib import Path
from typing import Any

import pytest

FILTERS, MORPHOLOGY = "scipy.ndimage.tests.test_filters", "scipy.ndimage.tests.test_morphology"
LINEAR = "correlate or convolve"
RUNS = {"linear": (FILTERS, LINEAR), "filters": (FILTERS, f"not ({LINEAR})"), "morphology": (MORPHOLOGY, "")}

# Where a result need not be scipy's bytes (it passes scipy's tests): the uniform filters, as scipy adds and
# subtracts while the window slides, which here would depend on where a block begins; and 1-D weights with no
# symmetry, which scipy sums from the last; squares and roots of float32, which scipy rounds to float32 one by one.
NOT_IN_BYTES = {"uniform_filter", "uniform_filter1d", "convolve1d", "correlate1d", "gaussian_gradient_magnitude"}

# Arrays that hypothesis makes, at times with NaN, which scipy's median puts anywhere.
RANDOM = {("median_filter", "test_gh_22586_crash_property")}

# The other functions that scipy's tests take: no operator is like them.
OUTSIDE = {
    "generic_filter", "generic_filter1d", "generic_laplace", "generic_gradient_magnitude", "vectorized_filter",
    "binary_fill_holes", "binary_hit_or_miss", "binary_propagation", "morphological_laplace",
    "distance_transform_bf", "distance_transform_cdt", "distance_transform_edt",
    "generate_binary_structure", "iterate_structure",
}  # fmt: skip
GREY = {"grey_erosion", "grey_dilation", "grey_opening", "grey_closing"}
# The calls that scipy answers, by the reason.
LEFT = {
    "an array without axes": {"binary_erosion", "binary_dilation"},
    "a mask": {"binary_erosion", "binary_dilation"},
    "iterations until nothing changes": {"binary_erosion"},
    "a structure that is not flat": {"white_tophat", "black_tophat", "morphological_gradient", *GREY},
    "integers, whose squares scipy makes in their own type, where they overflow": {"gaussian_gradient_magnitude"},
    "truncate": {"gaussian_gradient_magnitude", "gaussian_laplace"},
}


def replay(tests: str, which: str, **more: str) -> dict[str, Any]:
    """Run scipy's tests in a pytest of their own, and return the plugin's report."""
    not_ours = ("PYTEST_ADDOPTS", "PYTEST_PLUGINS", "SCIPY_ARRAY_API")
    env = {name: value for name, value in os.environ.items() if name not in not_ours}
    env["PYTHONPATH"] = os.pathsep.join([str(Path(__file__).parents[1]), *filter(None, [env.get("PYTHONPATH")])])
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder, "report.json")
        env |= {"GRIDSTRIDE_REPLAY_REPORT": str(report), **more}
        options = ["-q", "--tb=short", "-c", os.devnull, f"--rootdir={folder}", "-p", "no:cacheprovider", "-k", which]
        command = [sys.executable, "-m", "pytest", *options, "-p", "scipy_replay.plugin", "--pyargs", tests]
        done = subprocess.run(command, cwd=folder, env=env, capture_output=True, text=True, timeout=400)
        print(done.stdout[-6000:], done.stderr[-2000:])
        assert done.returncode in (0, 1), "pytest did not run to its end"  # 1: some tests failed
        return json.loads(report.read_text())


@cache
def ours(run: str) -> dict[str, Any]:
    return replay(*RUNS[run])


@pytest.mark.slow
@pytest.mark.timeout(500)
@pytest.mark.parametrize("run", RUNS)
def test_scipys_own_tests_pass_at_every_cut(run: str) -> None:
    found = ours(run)
    failed = [test for test, outcome in found["outcomes"].items() if outcome == "failed"]
    if failed:
        names = {test.split("::")[-1].split("[")[0] for test in failed}
        scipys = replay(RUNS[run][0], " or ".join(names), GRIDSTRIDE_REPLAY="off")
        assert [test for test in failed if scipys["outcomes"][test] == "passed"] == []
    assert sum(outcome == "passed" for outcome in found["outcomes"].values()) > 400  # there is something to replay
    assert found["cut"] == {}
    different = {(name, test) for name, tests in found["different"].items() for test in tests}
    assert {(name, test) for name, test in different if name not in NOT_IN_BYTES} <= RANDOM


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_every_function_was_replayed_but_those_listed() -> None:
    reports = [ours(run) for run in RUNS]
    calls = {name for report in reports for name in report["calls"]}
    assert calls == set(reports[0]["functions"])
    assert sum(sum(report["calls"].values()) for report in reports) > 10_000
    assert {name for report in reports for name in report["outside"]} == OUTSIDE
    left: dict[str, set[str]] = {}
    for report in reports:
        for name, reasons in report["left"].items():
            for reason in reasons:
                left.setdefault(reason, set()).add(name)
    assert left == LEFT
