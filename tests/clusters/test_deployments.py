"""Deployments without their servers: the example files, what would be sent, and the reasons for what does not start."""

from __future__ import annotations

import ast
import os
import subprocess
from importlib import resources
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import CliRunner

import gridstride
from gridstride.pipeline.clusters import batch, deployment
from gridstride.pipeline.commands.main import main
from gridstride.pipeline.errors import UsageError
from gridstride.pipeline.options import RunOptions, load_cluster
from gridstride.workers import cluster, device
from gridstride.workers.clusters import CannotStart, Deployment, Size, kubernetes, module, slurm_site
from gridstride.workers.clusters.base import environment, wait_for_workers
from gridstride.workers.clusters.config import ClusterConfig

pytestmark = pytest.mark.slow

EXAMPLES = Path(gridstride.__file__).parent / "examples" / "clusters"
GPU = "nvidia.com/gpu"


def example(name: str, **options: Any) -> Deployment:
    config = load_cluster(EXAMPLES / name)
    return deployment.described(config, RunOptions(cluster=str(EXAMPLES / name), **options))[0]


def directives(script: str) -> list[str]:
    return [line.removeprefix("#SBATCH ") for line in script.splitlines() if line.startswith("#SBATCH")]


def checked_by_bash(script: str) -> None:
    assert subprocess.run(["bash", "-n"], input=script, text=True, capture_output=True, check=True).stderr == ""


def test_every_example_is_read_and_is_tested_here() -> None:
    kinds = {path.name: load_cluster(path).kind for path in EXAMPLES.glob("*.yaml")}
    assert kinds == {
        "laptop.yaml": "local",
        "gpu-node.yaml": "local-cuda",
        "ssh.yaml": "ssh",
        "slurm-cpu.yaml": "slurm",
        "slurm-gpu.yaml": "slurm",
        "kubernetes.yaml": "kubernetes",
        "tls.yaml": "local",
        "joined.yaml": "address",
    }


def test_the_laptop_and_the_node(monkeypatch: Any) -> None:
    assert example("laptop.yaml").size == Size(1, 4, 8 * 10**9)
    assert example("tls.yaml").config.tls.key == "/etc/gridstride/node-key.pem"
    monkeypatch.setattr(device, "gpu_count", lambda: 8)
    monkeypatch.setattr(device, "device_memory", lambda: 70 * 10**9)
    monkeypatch.setattr(device.importlib.util, "find_spec", lambda name: object())
    assert example("gpu-node.yaml").size == Size(8, 8, 400 * 10**9, 70 * 10**9)
    monkeypatch.setattr(device, "gpu_count", lambda: 4)
    with pytest.raises(UsageError, match="8 workers for 4 GPUs"):
        example("gpu-node.yaml")


def test_job_script_for_cpus() -> None:
    deployed = example("slurm-cpu.yaml")
    assert deployed.size == Size(16, 8, int(0.8 * 128e9) * 4)
    script = module("slurm").script(deployed)
    checked_by_bash(script)
    logs = Path("gridstride-logs").absolute()
    assert directives(script) == [
        "-J gridstride", "-p standard", "-n 1", "--cpus-per-task=32", "--mem=120G", "-t 04:00:00",
        f"-e {logs}/gridstride-%j.err", f"-o {logs}/gridstride-%j.out",
    ]  # fmt: skip
    last = script.strip().splitlines()[-1]
    assert " -m distributed.cli.dask_worker tcp://SCHEDULER:PORT " in last
    assert "--nthreads 8 " in last
    assert "--nworkers 4 " in last
    assert " 10.0.0.1)" in script  # the workers listen where they reach this machine from, and nowhere else
    assert last.count("--host $HERE") == 1
    assert "--dashboard-address 127.0.0.1:0" in last
    assert "ulimit -n 65536" in script
    assert "export DASK_DISTRIBUTED__SCHEDULER__WORKER_TTL='120.0 s'" in script
    assert not logs.exists()  # looking writes nothing


def test_job_script_for_gpus() -> None:
    deployed = example("slurm-gpu.yaml")
    assert deployed.device == "gpu"
    assert deployed.size == Size(8, 8, int(0.8 * 256e9) * 2, 70 * 10**9)
    script = module("slurm").script(deployed)
    checked_by_bash(script)
    assert {"--gres=gpu:4", "--cpus-per-task=32", "-p gpu"} <= set(directives(script))
    last = script.strip().splitlines()[-1]
    assert " -m dask_cuda.cli tcp://" in last
    assert "--nthreads 8 " in last
    assert "--device-memory-limit 0" in last
    on_cpus = module("slurm").script(example("slurm-gpu.yaml", device="cpu"))
    assert "dask_cuda" not in on_cpus


def test_one_batch_job_for_all() -> None:
    words = ["filter", "gaussian", "in put.zarr", "out", "--sigma", "1,2,2"]
    script = batch.script(words, RunOptions(cluster=str(EXAMPLES / "slurm-gpu.yaml")))
    checked_by_bash(script)
    assert {"--nodes=2", "--ntasks-per-node=1", "--cpus-per-task=32", "--gres=gpu:4", "--mem=244141M"} <= set(
        directives(script)
    )
    assert "main filter gaussian 'in put.zarr' out --sigma 1,2,2 --cluster \"$CLUSTER\"" in script
    inside = yaml.safe_load(script.split("<<'END'\n")[1].split("END\n")[0])
    assert (inside["slurm"]["gpus"], inside["slurm"]["jobs"], inside["slurm"]["allocation"]) == (4, 2, True)
    cpus = batch.script(words, RunOptions(cluster=str(EXAMPLES / "slurm-cpu.yaml")))
    assert {"--nodes=4", "--ntasks-per-node=1", "--cpus-per-task=32"} <= set(directives(cpus))
    with pytest.raises(UsageError, match="is of kind local: submit needs kind slurm"):
        batch.script(words, RunOptions(cluster=str(EXAMPLES / "laptop.yaml")))


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (["filter", "gausian", "a", "b"], "there is no operator 'gausian'"),
        (["filter", "gaussian", "a", "b"], "Missing option '--sigma'"),
        (["filter", "gaussian", "a", "b", "--sigma", "x"], "expected numbers"),
        (["filter"], "filter needs a command"),
        (["run", "gone.yaml", "a", "b"], "gone.yaml cannot be read"),
        (["info", "a"], "info needs no cluster: run it here"),
        (["cluster", "check"], "cluster needs no cluster: run it here"),
        (["filter", "gaussian", "a", "b", "--sigma", "1", "--cluster", "c"], "give it before the command"),
    ],
)
def test_a_wrong_command_is_not_sent(words: list[str], complaint: str) -> None:
    """It would say so hours later, after its time in the queue."""
    result = CliRunner().invoke(main, ["submit", "--cluster", str(EXAMPLES / "slurm-cpu.yaml"), "--dry-run", *words])
    assert result.exit_code == 2
    assert complaint in result.output


def strict(schema: Any) -> Any:
    """A schema that allows no other keys than it names: Kubernetes drops those silently."""
    if isinstance(schema, list):
        return [strict(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    result = {key: strict(value) for key, value in schema.items()}
    if isinstance(result.get("properties"), dict) and "additionalProperties" not in result:
        result["additionalProperties"] = False
    return result


def test_the_kubernetes_resource_fits_its_definition(monkeypatch: Any) -> None:
    """Against the definitions that dask-kubernetes ships; GPUs for the workers alone."""
    pytest.importorskip("dask_kubernetes")
    jsonschema = pytest.importorskip("jsonschema")
    import dask_kubernetes.operator

    folder = resources.files(dask_kubernetes.operator) / "deployment" / "helm" / "dask-kubernetes-operator" / "crds"
    definition = yaml.safe_load((folder / "daskcluster.yaml").read_text())
    schema = strict(definition["spec"]["versions"][0]["schema"]["openAPIV3Schema"])
    text = CliRunner().invoke(main, ["cluster", "script", "--cluster", str(EXAMPLES / "kubernetes.yaml")])
    assert text.exit_code == 0, text.output
    made = yaml.safe_load(text.output)
    version = f"{definition['spec']['group']}/{definition['spec']['versions'][0]['name']}"
    assert (made["apiVersion"], made["kind"]) == (version, definition["spec"]["names"]["kind"])
    jsonschema.validate({"spec": made["spec"]}, schema)
    for broken in ({"replicas": "many"}, {"spce": {}}, {"spec": {"containers": [{"name": "w", "imgae": "i"}]}}):
        other = yaml.safe_load(text.output)
        other["spec"]["worker"] |= broken
        with pytest.raises(jsonschema.ValidationError):  # the definition does look inside
            jsonschema.validate({"spec": other["spec"]}, schema)
    worker, scheduler = (made["spec"][part]["spec"] for part in ("worker", "scheduler"))
    for kind in ("limits", "requests"):
        assert worker["containers"][0]["resources"][kind] == {"cpu": "8", "memory": "64000000000", GPU: "1"}
        assert scheduler["containers"][0]["resources"][kind] == {"cpu": "1", "memory": "4000000000"}
    assert made["spec"]["worker"]["replicas"] == 2
    assert worker["containers"][0]["args"][:3] == ["python", "-m", "dask_cuda.cli"]
    for pod in (worker, scheduler):  # the scheduler's pod reads nothing, but a client there would
        assert pod["volumes"][0]["persistentVolumeClaim"]["claimName"] == "microscopy"
        assert pod["containers"][0]["volumeMounts"] == [{"name": "data-0", "mountPath": "/data"}]
    assert worker["nodeSelector"] == {"nvidia.com/gpu.present": "true"}
    names = {e["name"] for e in worker["containers"][0]["env"]}
    assert "DASK_DISTRIBUTED__SCHEDULER__WORKER_TTL" in names
    cpu = kubernetes.resource(example("kubernetes.yaml", device="cpu"), "name")
    jsonschema.validate({"spec": cpu["spec"]}, schema)
    assert GPU not in str(cpu["spec"]["worker"]["spec"]["containers"])
    assert cpu["spec"]["worker"]["spec"]["containers"][0]["args"][2] == "distributed.cli.dask_worker"


def test_without_kubernetes_that_is_said(monkeypatch: Any, tmp_path: Path) -> None:
    pytest.importorskip("dask_kubernetes")
    from kr8s._api import Api

    monkeypatch.setattr(Api, "_instances", {})
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "none"))
    monkeypatch.setenv("HOME", str(tmp_path))
    result = CliRunner().invoke(main, ["cluster", "check", "--cluster", str(EXAMPLES / "kubernetes.yaml")])
    assert result.exit_code == 2
    assert result.output.startswith("gridstride: Kubernetes does not answer: ")
    assert result.output.count("\n") == 1


def test_without_the_operator_that_is_said(kubernetes_api: Any) -> None:
    kubernetes_api.operator = False
    result = CliRunner().invoke(main, ["cluster", "check", "--cluster", str(EXAMPLES / "kubernetes.yaml")])
    assert result.exit_code == 2
    assert result.output.startswith(
        "gridstride: Kubernetes has no resource daskclusters.kubernetes.dask.org: install the"
    )
    assert result.output.count("\n") == 1
    assert kubernetes_api.sent == {}


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:not found")
def test_what_kubernetes_is_sent_and_why_it_does_not_start(kubernetes_api: Any, tmp_path: Path) -> None:
    """By what answers like its API: one DaskCluster is made, its pod says why not, and it is taken away again."""
    file = tmp_path / "kubernetes.yaml"
    content = yaml.safe_load((EXAMPLES / "kubernetes.yaml").read_text())
    file.write_text(yaml.safe_dump({**content, "timeout": 2}))
    result = CliRunner().invoke(main, ["cluster", "check", "--cluster", str(file)])
    assert result.exit_code == 2
    said = "gridstride: the scheduler's pod does not start: pod pod-of-the-scheduler: ImagePullBackOff: no such image\n"
    assert result.output == said
    [(name, sent)] = kubernetes_api.deleted.items()
    expected = kubernetes.resource(example("kubernetes.yaml"), name)
    assert sent["spec"] == expected["spec"]
    assert kubernetes_api.sent == {}


def test_pods_say_why_they_are_not_ready() -> None:
    def pod(**status: Any) -> dict[str, Any]:
        return {"metadata": {"name": "p"}, "status": status}

    pulling = pod(containerStatuses=[{"state": {"waiting": {"reason": "ImagePullBackOff", "message": "no\nsuch"}}}])
    assert kubernetes.why_not_ready([pulling]) == "pod p: ImagePullBackOff: no such"
    no_room = {
        "type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": "0/3 nodes: Insufficient GPU"
    }  # fmt: skip
    assert kubernetes.why_not_ready([pod(conditions=[no_room])]) == "pod p: Unschedulable: 0/3 nodes: Insufficient GPU"
    crashed = {"state": {"waiting": {"reason": "CrashLoopBackOff"}}, "lastState": {"terminated": {"message": "boom"}}}
    assert kubernetes.why_not_ready([pod(containerStatuses=[crashed])]) == "pod p: CrashLoopBackOff: boom"
    assert kubernetes.why_not_ready([pod(containerStatuses=[{"state": {"running": {}}}])]) is None


def test_the_commands_over_ssh() -> None:
    result = CliRunner().invoke(main, ["cluster", "script", "--cluster", str(EXAMPLES / "ssh.yaml")])
    assert result.exit_code == 0, result.output
    lines = result.output.splitlines()
    assert [line.split()[1] for line in lines] == ["node1", "node1", "node2"]
    assert all("/opt/gridstride/bin/python -m distributed.cli.dask_spec " in line for line in lines)
    assert '"cls": "distributed.Scheduler"' in lines[0]
    assert '"dashboard_address": "127.0.0.1:0"' in lines[0]
    gpus = Deployment("gpu", Size(8, 4, 10**10, 10**10), load_cluster(EXAMPLES / "ssh.yaml"))
    assert '"cls": "dask_cuda.CUDAWorker"' in module("ssh").script(gpus)


def test_kinds_that_start_no_script_say_so() -> None:
    for name, word in (("laptop.yaml", "starts processes on this machine"),):
        result = CliRunner().invoke(main, ["cluster", "script", "--cluster", str(EXAMPLES / name)])
        assert result.exit_code == 2
        assert word in result.output


@pytest.mark.parametrize("lacking", ["sbatch", "squeue"])
def test_without_slurm_that_is_said(monkeypatch: Any, tmp_path: Path, lacking: str) -> None:
    for name in {"sbatch", "squeue", "sinfo", "scontrol", "scancel"} - {lacking}:
        (tmp_path / name).write_text("#!/bin/sh\n")
        (tmp_path / name).chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    result = CliRunner().invoke(main, ["cluster", "check", "--cluster", str(EXAMPLES / "slurm-cpu.yaml")])
    assert result.exit_code == 2
    assert result.output == f"gridstride: {lacking} is not on the PATH: is this a login node of a SLURM cluster?\n"


def test_a_scheduler_on_loopback_is_refused_where_nodes_cannot_reach_it(monkeypatch: Any, tmp_path: Path) -> None:
    def on(host: str) -> tuple[Any, str]:
        return example("slurm-cpu.yaml").config.slurm, host

    (tmp_path / "sinfo").write_text("#!/bin/sh\necho node07\n")
    (tmp_path / "sinfo").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    with pytest.raises(CannotStart, match=r"host is 127\.0\.0\.1, which node node07 cannot reach"):
        slurm_site.check_reach(*on("127.0.0.1"))
    slurm_site.check_reach(*on("10.0.0.1"))


def test_settings_reach_workers_through_their_environment() -> None:
    """As Dask reads them back."""
    made = environment({"distributed": {"worker": {"memory": {"spill": False}}, "x-y": None}, "a.b": "30s", "n": 1.5})
    assert made == {
        "DASK_DISTRIBUTED__WORKER__MEMORY__SPILL": "False", "DASK_DISTRIBUTED__X_Y": "None",
        "DASK_A__B": "30s", "DASK_N": "1.5",
    }  # fmt: skip
    assert ast.literal_eval(made["DASK_DISTRIBUTED__X_Y"]) is None


def test_the_dask_section_reaches_dask(tmp_path: Path) -> None:
    import dask

    section = {"distributed": {"scheduler": {"allowed-failures": 7}}}
    with cluster.start("cpu", Size(1, 1, 2_000_000_000), dask=section) as client:
        assert dask.config.get("distributed.scheduler.allowed-failures") == 7
        assert client.run_on_scheduler(lambda dask_scheduler: dask_scheduler.allowed_failures) == 7
    assert dask.config.get("distributed.scheduler.allowed-failures") != 7


class Slow:
    """A client whose workers come one by one, up to a number."""

    def __init__(self, most: int) -> None:
        self.most, self.asked = most, 0

    def scheduler_info(self, n_workers: int) -> dict[str, Any]:
        self.asked += 1
        return {"workers": dict.fromkeys(range(min(self.most, self.asked)))}


def test_waiting_for_workers(caplog: Any) -> None:
    patient, deployed = (Deployment("cpu", Size(3, 1, None), ClusterConfig(timeout=s)) for s in (60, 0.05))
    wait_for_workers(Slow(3), patient, poll=0.01)
    with pytest.raises(CannotStart, match=r"no worker connected within 0\.05 s: the queue is full"):
        wait_for_workers(Slow(0), deployed, lambda late: "the queue is full" if late else None, poll=0.01)
    with pytest.raises(CannotStart, match=r"^all jobs failed"):  # at once: the time limit is a minute
        wait_for_workers(Slow(0), patient, lambda late: "all jobs failed", poll=0.01)
    two = Slow(2)
    two.asked = 2
    wait_for_workers(two, deployed, poll=0.01)
    assert "2 of 3 workers connected within 0.05 s; the job starts with those" in caplog.text


# --- a cluster that stays ---------------------------------------------------------------------------------------


@pytest.mark.slow
def test_a_cluster_is_started_joined_and_stopped(tmp_path: Path, store: Any) -> None:
    import numpy as np
    import psutil

    source = store(np.arange(4096, dtype=np.uint16).reshape(64, 64), (16, 16))
    state, file = tmp_path / "state.yaml", tmp_path / "cluster.yaml"
    file.write_text("kind: local\nworkers: 2\nthreads: 1\nmemory: 2GB\nsecurity: tls\n")
    run = lambda *words: CliRunner().invoke(main, [*words])  # noqa: E731
    started = run("cluster", "start", "--cluster", str(file), "--state", str(state))
    assert started.exit_code == 0, started.output
    content = yaml.safe_load(state.read_text())
    try:
        assert started.output.startswith(f"2 workers, scheduler at {content['address']}, log in {state}.log")
        assert (content["kind"], content["memory"], content["threads"]) == ("address", 2 * 10**9, 1)
        assert state.stat().st_mode & 0o077 == 0
        again = run("cluster", "start", "--cluster", str(file), "--state", str(state))
        assert again.exit_code == 2
        assert "is of a running cluster" in again.output
        job = run("filter", "gaussian", source, str(tmp_path / "a"), "--sigma", "2", "--cluster", str(state), "--quiet")
        assert job.exit_code == 0, job.output
        gridstride.gaussian(source, tmp_path / "b", 2.0, workers=1)
        chunks = sorted((tmp_path / "a" / "c").rglob("*"))
        for chunk in (c for c in chunks if c.is_file()):
            assert chunk.read_bytes() == (tmp_path / "b" / chunk.relative_to(tmp_path / "a")).read_bytes()
    finally:
        stopped = run("cluster", "stop", "--state", str(state))
    assert stopped.exit_code == 0, stopped.output
    assert stopped.output == f"stopped the cluster at {content['address']}\n"
    assert not psutil.pid_exists(content["started"]["pid"])
    assert {p.name for p in tmp_path.glob("*state*")} == {"state.yaml.log"}
    assert not list(tmp_path.glob("gridstride-tls-*"))
    assert "PRIVATE" not in Path(f"{state}.log").read_text()


def test_a_state_file_whose_cluster_is_gone(tmp_path: Path) -> None:
    state = tmp_path / "state.yaml"
    import socket

    content = {"kind": "address", "address": "tcp://127.0.0.1:9"}
    state.write_text(yaml.safe_dump(content))
    stop = lambda: CliRunner().invoke(main, ["cluster", "stop", "--state", str(state)])  # noqa: E731
    assert "was not written by 'gridstride cluster start'" in stop().output
    holder = {"machine": "another", "pid": os.getpid(), "begun": 1.0}
    state.write_text(yaml.safe_dump({**content, "started": holder}))
    assert "is of a cluster held on another: stop it there" in stop().output
    # Our own number, but another process's beginning: it must not be ended.
    state.write_text(yaml.safe_dump({**content, "started": {**holder, "machine": socket.gethostname()}}))
    assert "was gone already" in stop().output
    assert not state.exists()


def test_a_cluster_that_cannot_start_says_so_at_once(tmp_path: Path) -> None:
    file = tmp_path / "cluster.yaml"
    file.write_text("kind: local\nlocal_directory: /proc/nowhere\n")
    result = CliRunner().invoke(main, ["cluster", "start", "--cluster", str(file), "--state", str(tmp_path / "s")])
    assert result.exit_code != 0
    assert result.output.startswith("gridstride: ")
    assert result.output.count("\n") == 1
    assert not (tmp_path / "s").exists()
