"""Metadata that are damaged, absurd or hostile: one line that names the store, at once, and nothing is run."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import zarr
from click.testing import CliRunner

from gridstride.pipeline.commands.main import main
from gridstride.pipeline.storage import tree

GOOD: dict[str, Any] = {
    "zarr_format": 3,
    "node_type": "array",
    "shape": [16, 16],
    "data_type": "uint16",
    "chunk_grid": {"name": "regular", "configuration": {"chunk_shape": [8, 8]}},
    "chunk_key_encoding": {"name": "default", "configuration": {"separator": "/"}},
    "fill_value": 0,
    "codecs": [{"name": "bytes", "configuration": {"endian": "little"}}],
    "attributes": {},
}


def chunks(*shape: int) -> dict[str, Any]:
    return {"chunk_grid": {"name": "regular", "configuration": {"chunk_shape": list(shape)}}}


STORES: dict[str, Any] = {
    "a huge shape": {**GOOD, "shape": [2**62, 2**62]},
    "very many chunks": {**GOOD, "shape": [2**31, 2**31], **chunks(1, 1)},
    "a chunk of 80 TB": {**GOOD, "shape": [6_400_000, 6_400_000], **chunks(6_400_000, 6_400_000)},
    "a chunk of nothing": {**GOOD, **chunks(0, 8)},
    "a shape beyond 64 bits": {**GOOD, "shape": [2**64, 16]},
    "deep JSON": json.dumps(GOOD)[:-1] + ', "x": ' + "[" * 100_000 + "]" * 100_000 + "}",
    "escape codes": {
        **GOOD,
        "dimension_names": ["\x1b]0;owned\x07", "[red]m"],
        "attributes": {"\x1b[2J": "\x1b]0;x\x07"},
    },
    "our attribute of another type": {**GOOD, "attributes": {"gridstride": 5}},
    "our attribute with parts missing": {
        **GOOD,
        "attributes": {"gridstride": {"request": {"command": "\x1b[31m"}, "version": "[bold]x"}},
    },
    "our attribute, wrong inside": {
        **GOOD,
        "attributes": {"gridstride": {"request": [1], "input": 7, "plan": {"block": "x"}}},
    },
    "images of another type": {**GOOD, "attributes": {"multiscales": 3, "ome": [1], "_ARRAY_DIMENSIONS": 5}},
    "a name of 100,000 letters": {**GOOD, "dimension_names": ["x" * 100_000, "y"]},
    "a list": "[1]",
    "null": "null",
    "nothing": "",
    "a separator that climbs": {
        **GOOD,
        "chunk_key_encoding": {"name": "default", "configuration": {"separator": "/../../"}},
    },
    "strings": {**GOOD, "data_type": "string", "fill_value": "", "codecs": [{"name": "vlen-utf8"}]},
    "an unknown codec": {**GOOD, "codecs": [{"name": "bytes"}, {"name": "os.system"}]},
    "a fill value of another type": {**GOOD, "fill_value": "x"},
    "a negative shape": {**GOOD, "shape": [-16, 16]},
}


@pytest.mark.parametrize("name", STORES)
@pytest.mark.parametrize("command", ["info", "preview", "filter"])
def test_hostile_metadata_are_described_or_refused_in_one_line(tmp_path: Path, name: str, command: str) -> None:
    store, document = tmp_path / "a.zarr", STORES[name]
    store.mkdir()
    (store / "zarr.json").write_text(document if isinstance(document, str) else json.dumps(document))
    arguments = {
        "info": ["info", str(store)],
        "preview": ["preview", str(store), str(tmp_path / "a.png")],
        "filter": ["filter", "gaussian", str(store), str(tmp_path / "b.zarr"), "--sigma", "1", "--dry-run", "--quiet"],
    }[command]
    if (command, name) == ("preview", "very many chunks"):
        pytest.skip("tests/pictures looks at which of them are read")
    result = CliRunner().invoke(main, arguments)
    assert result.exit_code in (0, 2), result.output
    assert len(result.stderr.strip().splitlines()) == (result.exit_code == 2), result.stderr
    assert not set(result.output) & {chr(code) for code in (*range(9), *range(11, 32))}
    assert not (tmp_path / "b.zarr").exists()


def test_good_metadata_of_this_form_are_computed(tmp_path: Path) -> None:
    (tmp_path / "a.zarr" / "c" / "0").mkdir(parents=True)
    (tmp_path / "a.zarr" / "zarr.json").write_text(json.dumps({**GOOD, **chunks(16, 16)}))
    (tmp_path / "a.zarr" / "c" / "0" / "0").write_bytes(np.full((16, 16), 7, "<u2").tobytes())
    result = CliRunner().invoke(main, ["preview", str(tmp_path / "a.zarr"), str(tmp_path / "a.png")])
    assert result.exit_code == 0, result.output
    assert (tmp_path / "a.png").stat().st_size > 1000


def test_info_of_an_array_has_no_array_to_name(tmp_path: Path) -> None:
    zarr.create_array(str(tmp_path / "a.zarr"), data=np.ones((4, 4)))
    result = CliRunner().invoke(main, ["info", str(tmp_path / "a.zarr"), "--array", "x"])
    assert result.exit_code == 2
    assert result.stderr.strip() == f"gridstride: {tmp_path / 'a.zarr'} is an array, not a group: leave out --array"


@pytest.mark.parametrize("zarr_format", [2, 3])
def test_names_that_lead_out_of_a_group_are_not_followed(tmp_path: Path, zarr_format: int) -> None:
    zarr.create_array(str(tmp_path / "secret"), data=np.ones((4, 4)))
    zarr.create_group(str(tmp_path / "group"), zarr_format=zarr_format)
    names = ["../secret", "a/../../secret", "/../secret", "a..b"]
    if zarr_format == 3:
        listed: dict[str, Any] = {"consolidated_metadata": {"metadata": dict.fromkeys(names, GOOD)}}
        metadata = {**json.loads((tmp_path / "group" / "zarr.json").read_text()), **listed}
        (tmp_path / "group" / "zarr.json").write_text(json.dumps(metadata))
    else:
        array = {"shape": [16, 16], "dtype": "<u2"}
        index = {"metadata": {f"{name}/.zarray": array for name in names}}
        (tmp_path / "group" / ".zmetadata").write_text(json.dumps(index))
    root = tree.read(tmp_path / "group")
    assert root is not None
    assert [node.path for node in tree.consolidated(tmp_path / "group", root)] == ["a..b"]
    for name in names[:3]:
        result = CliRunner().invoke(main, ["info", str(tmp_path / "group"), "--array", name])
        assert (result.exit_code, "has no array" in result.stderr) == (2, True), result.output
