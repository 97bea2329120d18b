"""An output that is removed or moved while a job writes it."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from gridstride.pipeline.errors import JobFailed
from gridstride.pipeline.storage.journal import Journal


def test_what_goes_wrong_where_the_output_is_gone_is_said_in_one_line(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "out.zarr")
    journal.begin({"command": "gaussian"})

    def write() -> None:
        with journal.must_stay():
            (tmp_path / "out.zarr" / "block").write_bytes(b"")
            (tmp_path / "out.zarr" / "none" / "block").write_bytes(b"")

    with pytest.raises(FileNotFoundError):
        write()
    shutil.rmtree(tmp_path / "out.zarr")
    with pytest.raises(JobFailed, match=r"out.zarr was removed or moved while it was written"):
        write()
