"""Clusters by ssh, against a real server of our own: the same bytes, nothing left behind, reasons in one line."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest
import yaml
from click.testing import CliRunner
from test_security import everything

import gridstride
from gridstride.pipeline.clusters import deployment
from gridstride.pipeline.commands.main import main
from gridstride.pipeline.options import RunOptions
from gridstride.workers.clusters import CannotStart, probe

pytestmark = pytest.mark.slow
FILES = dict.fromkeys(["ca.pem", "cert.pem", "key.pem"], 0)


@pytest.fixture
def cluster_file(ssh_server: Any, tmp_path: Path) -> Any:
    def write(hosts: list[str], more: dict[str, Any] | None = None, **section: Any) -> str:
        file = tmp_path / "ssh.yaml"
        content = {
            "kind": "ssh",
            "ssh": {**ssh_server.section, "hosts": hosts, "processes": 1, **section},
            "threads": 1,
        }
        file.write_text(yaml.safe_dump({**content, **(more or {})}))
        return str(file)

    return write


def chunks(out: Path) -> dict[str, bytes | None]:
    return {str(Path(path).relative_to(out)): data for path, data in everything(out / "c").items()}


def parts() -> list[Any]:
    """Processes of clusters by ssh on this machine: schedulers and nannies, and the workers that these started."""
    found = [p for p in psutil.process_iter(["cmdline"]) if "dask_spec" in " ".join(p.info["cmdline"] or [])]
    return found + [child for process in found for child in process.children(recursive=True)]


def test_the_same_bytes_as_here(cluster_file: Any, store: Any, tmp_path: Path) -> None:
    """Two hosts, which are two addresses of this machine."""
    source = store(np.random.default_rng(1).integers(0, 4000, (32, 64, 64)).astype(np.uint16), (8, 32, 32))
    gridstride.gaussian(source, tmp_path / "here", 2.0, block=(16, 32, 32), workers=1)
    file, before = cluster_file(["127.0.0.1", "127.0.0.2"], {"memory": "2GB"}), {p.pid for p in parts()}
    job = ["filter", "gaussian", source, str(tmp_path / "there"), "--sigma", "2", "--block", "16,32,32"]
    result = CliRunner().invoke(main, [*job, "--cluster", file])
    assert result.exit_code == 0, result.output
    assert "2 workers, 1 thread each" in result.output
    assert chunks(tmp_path / "there") == chunks(tmp_path / "here")
    assert not left_over(before)


def left_over(before: set[int]) -> set[int]:
    """Processes that are there now and not before, once they had the time to end."""
    for _ in range(300):
        if not (left := {p.pid for p in parts()} - before):
            break
        time.sleep(0.1)
    return left


def test_a_client_that_is_killed_leaves_nothing_on_the_hosts(cluster_file: Any) -> None:
    file, before = cluster_file(["127.0.0.1"], {"memory": "2GB"}), {p.pid for p in parts()}
    code = (
        "from gridstride.pipeline import options\nfrom gridstride.pipeline.clusters import deployment\nimport time\n"
        + (
            f"with deployment.open_cluster(options.RunOptions(cluster={file!r})):\n    print('here', flush=True)\n"
            "    time.sleep(600)\n"
        )
    )
    client = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    assert client.stdout is not None
    assert client.stdout.readline() == "here\n"
    assert len({p.pid for p in parts()} - before) >= 3  # scheduler, nanny, worker
    client.kill()
    client.wait()
    client.stdout.close()
    assert not left_over(before)


def test_hosts_listen_where_they_were_reached_and_nowhere_else(cluster_file: Any) -> None:
    """With TLS, whose keys are in files of our own and on no command line."""
    pytest.importorskip("cryptography")
    options = RunOptions(cluster=cluster_file(["127.0.0.2", "127.0.0.1"], {"security": "tls", "memory": "2GB"}))
    before = {p.pid for p in parts()}
    with deployment.open_cluster(options) as (client, reason):
        assert reason == "CPU: 2 workers of kind ssh"
        assert client.submit(sum, [1, 2]).result() == 3
        ours = [p for p in parts() if p.pid not in before]
        ips = [c.laddr.ip for p in ours for c in p.net_connections("inet") if c.status == "LISTEN"]
        hosts = sorted(w.split("//")[1].split(":")[0] for w in client.scheduler_info(n_workers=-1)["workers"])
        assert hosts == ["127.0.0.1", "127.0.0.2"]
        assert client.scheduler.address.startswith("tls://127.0.0.2:")
        # Here, and on the hosts, which are here too.
        folders = list(Path("/tmp").glob("gridstride-tls-*/"))
        assert len(folders) == 2
        for folder in folders:
            assert folder.stat().st_mode & 0o077 == 0
            assert {path.name: path.stat().st_mode & 0o077 for path in folder.iterdir()} == FILES
        key = (folders[0] / "key.pem").read_text().splitlines()[1]
        assert key in (folders[1] / "key.pem").read_text()
        assert not any(key in " ".join(process.cmdline()) for process in ours)
    assert len(ips) >= 8  # scheduler and its dashboard; nanny, worker and worker's pages, twice
    assert set(ips) == {"127.0.0.1", "127.0.0.2"}
    assert not list(Path("/tmp").glob("gridstride-tls-*"))


def refused(file: str) -> str:
    result = CliRunner().invoke(main, ["cluster", "check", "--cluster", file])
    assert result.exit_code == 2, result.output
    assert result.output.count("\n") == 1
    return result.output


def test_what_is_wrong_is_said_before_anything_starts(cluster_file: Any, ssh_server: Any, monkeypatch: Any) -> None:
    here = ["127.0.0.1"]
    stranger = str(ssh_server.folder / "stranger_key")
    assert "127.0.0.1: authentication failed; check ssh.username and ssh.key" in refused(
        cluster_file(here, key=stranger)
    )
    assert "ssh.key is /none: there is no such file" in refused(cluster_file(here, key="/none"))
    assert "the key of host 127.0.0.1 is not known" in refused(cluster_file(here, known_hosts="/dev/null"))
    assert "127.0.0.1 cannot be reached by ssh: " in refused(cluster_file(here, port=9))
    assert "nowhere.invalid cannot be reached by ssh" in refused(cluster_file([*here, "nowhere.invalid"]))
    assert "(/no/python) does not run: " in refused(cluster_file(here, python="/no/python"))
    bare = "/usr/bin/env PYTHONPATH= /usr/bin/python3"
    if Path("/usr/bin/python3").exists():
        assert f"the python of 127.0.0.1 ({bare}) cannot import gridstride" in refused(cluster_file(here, python=bare))
    monkeypatch.setattr(gridstride, "__version__", "9.9.9")
    assert "has gridstride 0.1.0, this process 9.9.9: install the same version" in refused(cluster_file(here))


def test_a_worker_that_does_not_start_says_why(cluster_file: Any, tmp_path: Path) -> None:
    """What distributed itself would call "Worker failed to start"."""
    file = cluster_file(["127.0.0.1"], {"local_directory": "/proc/nowhere", "memory": "2GB", "timeout": 30})
    said = refused(file)
    assert "the cluster does not start over ssh" in said or "no worker connected" in said
    assert "/proc/nowhere" in said or "Error" in said


def test_what_a_host_says_is_understood() -> None:
    look = '{"gridstride": null, "distributed": "1", "error": "ImportError: x", "python": "3.11.1"}'
    with pytest.raises(CannotStart, match=r"there cannot import gridstride \(ImportError: x\)"):
        probe.read("there", 0, f"Welcome!\n{probe.MARK}{look}\nbye", "")
    with pytest.raises(CannotStart, match="there does not run: command not found"):
        probe.read("there", 127, "Welcome!", "a\ncommand not found\n")
    import distributed

    theirs = {"gridstride": gridstride.__version__, "distributed": distributed.__version__, "python": "2.7.18"}
    with pytest.raises(CannotStart, match=r"there is Python 2\.7\.18, this process"):
        probe.read("there", 0, probe.MARK + str(theirs).replace("'", '"'), "")
