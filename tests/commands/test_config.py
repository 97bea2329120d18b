"""cluster.yaml: what is accepted, and the one line that bad files get."""

from __future__ import annotations

from pathlib import Path

import pytest

import gridstride
from gridstride.pipeline.errors import UsageError
from gridstride.pipeline.options import ClusterConfig, load_cluster
from gridstride.workers.sizes import parse_size


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
        ("kind: slrm", "kind is 'slrm': expected 'auto', 'local-cuda', 'local', 'address', 'ssh', 'slurm' or"),
        ("kind: ssh", "kind ssh needs 'ssh: {hosts: [node1, node2]}'"),
        ("kind: slurm", "kind slurm needs 'slurm: {partition: ..., cores: 8, memory: 32GB}'"),
        ("kind: kubernetes", "kind kubernetes needs 'kubernetes: {image: ..."),
        ("kind: ssh\nssh: {hsts: [a]}", "ssh.hosts is missing"),
        ("kind: ssh\nssh: {hosts: [a], usrname: me}", "unknown key 'ssh.usrname': did you mean 'username'?"),
        ("kind: ssh\nssh: {hosts: [a], password: x}", "unknown key 'ssh.password': expected one of hosts"),
        ("kind: ssh\nssh: {hosts: []}", "ssh.hosts is []"),
        ("kind: slurm\nslurm: {cores: 2}", "slurm.memory is missing"),
        ("kind: slurm\nslurm: {cores: 0, memory: 2GB}", "slurm.cores is 0"),
        ("kind: slurm\nslurm: {cores: 2, memory: lots}", "slurm.memory is 'lots': 'lots' is no size"),
        ("kind: slurm\nslurm: {cores: 2, memory: 2GB, walltme: 1}", "unknown key 'slurm.walltme': did you mean"),
        ("kind: slurm\nslurm: 7", "slurm is 7"),
        ("kind: kubernetes\nkubernetes: {cores: 2, memory: 2GB}", "kubernetes.image is missing"),
        ("security: tsl", "security is 'tsl': expected 'none' or 'tls'"),
        ("tls: {ca: a, cert: b, key: c}", "expected 'security: tls'"),
        ("security: tls\ntls: {ca: a, cert: b}", "tls.key is missing"),
        ("security: tls\nprotocol: ucx", "security tls goes over tcp"),
        ("kind: address\naddress: tls://a:1\nsecurity: tls", "needs 'tls: {ca: ..., cert: ..., key: ...}'"),
        (
            "kind: kubernetes\nkubernetes: {image: i, cores: 2, memory: 2GB}\nsecurity: tls",
            "dask-kubernetes has no TLS between its pods",
        ),
        ("dask: [1]", "dask is [1]"),
        ("timeout: 0", "timeout is 0"),
        ("io_timeout: -1", "io_timeout is -1"),
        ("workers: 0", "workers is 0: expected 1 or more"),
        ("workers: many", "workers is 'many'"),
        ("memory: lots", "memory is 'lots': 'lots' is no size"),
        ("rmm_pool: 2", "rmm_pool is 2: expected less than 1"),
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
