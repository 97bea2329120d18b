"""cluster.yaml: what is accepted, and the one line that bad files get."""

from __future__ import annotations

from pathlib import Path

import pytest

import gridstride
from gridstride.pipeline.config import ClusterConfig, load_cluster, parse_size
from gridstride.pipeline.errors import UsageError


def test_the_shipped_file_holds_the_defaults() -> None:
    assert load_cluster(Path(gridstride.__file__).parent / "cluster.yaml") == ClusterConfig()


@pytest.mark.parametrize(
    ("text", "size"), [("2GB", 2 * 10**9), ("512 MiB", 2**29), ("1.5kB", 1500), (1000, 1000), ("3e6", 3_000_000)]
)
def test_sizes(text: str | int, size: int) -> None:
    assert parse_size(text) == size


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("wokers: 2", "unknown key 'wokers': did you mean 'workers'?"),
        ("zzz: 2", "unknown key 'zzz': expected one of kind"),
        ("kind: slrm", "kind is 'slrm': input should be 'auto', 'local-cuda', 'local' or 'address'"),
        ("workers: 0", "workers is 0: expected 1 or more"),
        ("workers: many", "workers is 'many'"),
        ("memory: lots", "memory is 'lots': 'lots' is no size"),
        ("rmm_pool: 2", "rmm_pool is 2: expected a share"),
        ("kind: address", "needs 'address: tcp://host:port'"),
        ("- a\n- b", "holds a list"),
        ("kind: [", "is not YAML"),
        ("!!python/object/apply:os.system ['true']", "is not YAML"),
    ],
)
def test_bad_files_get_one_line(tmp_path: Path, content: str, words: str) -> None:
    file = tmp_path / "cluster.yaml"
    file.write_text(content)
    with pytest.raises(UsageError) as refused:
        load_cluster(file)
    assert words in str(refused.value)
    assert str(file) in str(refused.value)
    assert "\n" not in str(refused.value)
