"""Commands whose terminal, pipe or streams are gone do their work all the same."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

COMMAND = f"{sys.executable} -m gridstride.pipeline.commands.main"


def shell(command: str, folder: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    settings = " ".join(f"{name}={value}" for name, value in environment.items())
    return subprocess.run(
        ["bash", "-c", f"set -o pipefail; {settings} {COMMAND} {command}"],
        cwd=folder, capture_output=True, text=True, timeout=120,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("streams", "said"),
    [("| true", ""), (">&-", ""), ("2>&1 | true", ""), ("<&- 2>&- >&-", ""), ("2>&- | wc -l", "some")],
)
def test_streams_may_be_closed(streams: str, said: str, store: Any, tmp_path: Path) -> None:
    store(np.zeros((4, 4)), (2, 2), name="in.zarr")
    done = shell(f"info in.zarr {streams}", tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    assert (done.stdout != "") == (said != "")


def test_what_goes_wrong_is_said_where_stdout_is_closed(tmp_path: Path) -> None:
    done = shell("info none.zarr >&-", tmp_path)
    assert (done.returncode, done.stderr) == (2, "gridstride: none.zarr does not exist\n")


def test_a_full_disk_is_not_a_closed_pipe(store: Any, tmp_path: Path) -> None:
    store(np.zeros((4, 4)), (2, 2), name="in.zarr")
    assert shell("info in.zarr > /dev/full", tmp_path).returncode != 0


def test_letters_that_a_terminal_lacks_are_escaped(store: Any, tmp_path: Path) -> None:
    store(
        np.zeros((4, 4)), (2, 2), name="in.zarr", attributes={"unit": "\N{GREEK SMALL LETTER MU}m \N{RIGHTWARDS ARROW}"}
    )
    done = shell("info in.zarr", tmp_path, PYTHONIOENCODING="ascii")
    assert (done.returncode, done.stderr) == (0, "")
