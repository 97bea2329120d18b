"""Jobs that read from a web server."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import zarr
from object_stores import web_server
from remote_jobs import CHUNKS, chunks, gridstride, prepared

from gridstride.pipeline import api
from gridstride.pipeline.errors import UsageError
from gridstride.pipeline.storage.describe import describe
from gridstride.pipeline.storage.regions import open_regions
from gridstride.pipeline.storage.remote import parse

pytestmark = pytest.mark.slow

pytest.importorskip("obstore", reason="needs obstore: pip install 'gridstride[remote]'")
pytest.importorskip("moto", reason="needs moto's S3 server: pip install 'moto[s3]' flask flask-cors")


@pytest.fixture(scope="module")
def web(image: np.ndarray, calm: Path) -> Iterator[str]:
    group = zarr.create_group(str(calm.with_name("group.zarr")))
    group.create_array("a", data=image, chunks=CHUNKS, shards=(32, 32, 32))
    with web_server(calm.parent) as address:
        yield address


def test_from_the_web(web: str, calm: Path, client: Any, tmp_path: Path) -> None:
    api.run(prepared(f"{web}/in.zarr", tmp_path / "out.zarr"), client)
    assert chunks(tmp_path / "out.zarr") == chunks(calm)
    info = gridstride("info", f"{web}/out.zarr")
    assert info.exit_code == 0, info.output
    assert "made by" in info.output
    assert gridstride("preview", f"{web}/in.zarr", tmp_path / "a.png").exit_code == 0


def test_an_array_of_a_group_with_shards(web: str, image: np.ndarray, client: Any) -> None:
    info = describe(f"{web}/group.zarr", "a")
    np.testing.assert_array_equal(open_regions(info.path).read((3, 3, 3), (40, 50, 60)), image[3:40, 3:50, 3:60])
    result = gridstride("info", f"{web}/group.zarr")
    assert result.exit_code == 2
    assert "--array" in result.output
    for name in ("b", "../in.zarr"):
        result = gridstride("info", f"{web}/group.zarr", "--array", name)
        assert result.exit_code == 2
        assert len(result.output.strip().splitlines()) == 1


def test_the_web_is_not_written(web: str, source: str) -> None:
    result = gridstride("filter", "gaussian", source, f"{web}/out2.zarr", "--sigma", "1", "--device", "cpu")
    assert result.exit_code == 2
    assert "cannot be written: web servers are read only here" in result.output
    with pytest.raises(UsageError, match="web servers are read only"):
        parse(f"{web}/x").write_bytes(b"x")
    result = gridstride("info", f"{web}/nothing.zarr")
    assert result.exit_code == 2
    assert "does not exist" in result.output
