"""Clusters: local ones, one that runs already, and the CUDA one, which can be started without CUDA."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import zarr
from click.testing import CliRunner
from scipy import ndimage

import gridstride
from gridstride.pipeline.commands.main import main
from gridstride.workers import cluster, device
from gridstride.workers.clusters import Deployment, Size, address, local
from gridstride.workers.clusters.config import ClusterConfig


def test_auto_takes_the_cpu_where_there_is_no_gpu(monkeypatch: Any) -> None:
    monkeypatch.setattr(device, "gpu_count", lambda: 0)
    assert device.resolve("auto") == ("cpu", "CPU: no CUDA device was found")
    with pytest.raises(ValueError, match="--device gpu: no CUDA device was found; use --device cpu or auto"):
        device.resolve("gpu")


def test_a_gpu_without_cupy_is_said(monkeypatch: Any) -> None:
    monkeypatch.setattr(device, "gpu_count", lambda: 2)
    monkeypatch.setattr(device.importlib.util, "find_spec", lambda name: None)
    assert device.resolve("auto") == ("cpu", "CPU: 2 GPUs are here but cupy and dask_cuda is not installed")
    with pytest.raises(ValueError, match="pip install"):
        device.resolve("gpu")


def test_one_worker_for_each_gpu(monkeypatch: Any) -> None:
    def size(kind: str, workers: int | None = None) -> Size:
        request = Deployment(kind, Size(1, 1, None), ClusterConfig(), (workers, None, 1))
        return local.size(request)

    monkeypatch.setattr(device, "gpu_count", lambda: 8)
    monkeypatch.setattr(device, "device_memory", lambda: 7)
    monkeypatch.setattr(local, "cpu_count", lambda: 64)
    assert size("gpu") == Size(8, 8, 1, 7)
    assert size("cpu") == Size(8, 8, 1)
    monkeypatch.setattr(local, "cpu_count", lambda: 2)
    assert size("cpu") == Size(1, 2, 1)
    assert size("cpu", 4) == Size(4, 1, 1)


def test_everything_listens_on_loopback() -> None:
    with cluster.start("cpu", cluster.Size(1, 1, 2_000_000_000)) as client:
        info = client.scheduler_info()
        assert info["address"].startswith("tcp://127.0.0.1:")
        assert all(address.startswith("tcp://127.0.0.1:") for address in info["workers"])

        def listening() -> set[str]:
            import psutil

            return {c.laddr.ip for c in psutil.Process().net_connections("tcp") if c.status == "LISTEN"}

        for addresses in (client.run_on_scheduler(listening), *client.run(listening).values()):
            assert addresses == {"127.0.0.1"}


def test_a_running_cluster_is_joined(store: Any, tmp_path: Path) -> None:
    array = np.random.default_rng(0).integers(0, 255, (32, 32)).astype(np.uint8)
    source = store(array, (8, 32))
    with cluster.start("cpu", cluster.Size(2, 1, 2_000_000_000)) as client:
        file = tmp_path / "cluster.yaml"
        file.write_text(f"kind: address\naddress: {client.scheduler.address}\n")
        summary = gridstride.gaussian(
            source, tmp_path / "out", 1.0, cluster=str(file), precision="double", cast="scipy"
        )
        assert (summary.workers, summary.retried, summary.failed) == (2, 0, {})
        assert client.run(os.getpid)  # it is still there
    np.testing.assert_array_equal(zarr.open_array(str(tmp_path / "out"))[...], ndimage.gaussian_filter(array, 1.0))


def test_no_cluster_at_the_address_is_one_line(store: Any, tmp_path: Path, monkeypatch: Any) -> None:
    source = store(np.zeros((8, 8), np.uint8), (8, 8))
    file = tmp_path / "cluster.yaml"
    file.write_text("kind: address\naddress: tcp://127.0.0.1:9\n")
    monkeypatch.setattr(address, "CONNECT_TIMEOUT", "1s")
    result = CliRunner().invoke(
        main, ["filter", "gaussian", source, str(tmp_path / "out"), "--sigma", "1", "--cluster", str(file)]
    )
    assert result.exit_code == 2
    assert "no Dask scheduler answers at tcp://127.0.0.1:9" in result.output
    assert not (tmp_path / "out").exists()


def test_the_cuda_cluster_starts_one_worker_for_each_gpu(tmp_path: Path) -> None:
    """Dask-CUDA has a switch for its own tests that leaves the devices alone: the path is real, the GPUs are not."""
    pytest.importorskip("dask_cuda")
    script = tmp_path / "script.py"
    script.write_text(
        textwrap.dedent(
            """
            import os
            from gridstride.workers import cluster

            size = cluster.Size(2, 3, 4_000_000_000)
            with cluster.start("gpu", size, kind="local-cuda", rmm_pool=0) as client:
                seen = client.run(lambda: os.environ["CUDA_VISIBLE_DEVICES"])
                threads = client.nthreads()
                total = sum(client.gather(client.map(lambda i: i * i, range(10))))
            devices = sorted(v.split(",")[0] for v in seen.values())
            print(devices, sorted(threads.values()), total)
            """
        )
    )
    environment = {**os.environ, "DASK_CUDA_TEST_DISABLE_DEVICE_SPECIFIC": "1", "CUDA_VISIBLE_DEVICES": "0,1"}
    result = subprocess.run([sys.executable, str(script)], env=environment, capture_output=True, text=True, timeout=180)
    assert result.stdout.strip() == "['0', '1'] [3, 3] 285", result.stderr[-2000:]
