"""A cluster of pods, through dask-kubernetes and its operator, which must be installed in the Kubernetes cluster.

Pods listen at all of their own addresses, which only the Kubernetes cluster reaches: see docs/security.md.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import yaml
from pydantic import BaseModel, ConfigDict, Field

from gridstride.workers.clusters.base import (
    CannotStart,
    Deployment,
    Size,
    connected,
    environment,
    flat,
    size_of_equals,
    user,
)
from gridstride.workers.sizes import Bytes

CRD = "daskclusters.kubernetes.dask.org"
GPU = "nvidia.com/gpu"


class Options(BaseModel):
    """What to ask of Kubernetes. Cores, memory and gpus are of one worker's pod.

    image:        container image with gridstride, of the scheduler and the workers
    pods:         how many pods of workers; each has one worker, or one for each of its GPUs
    gpus:         GPUs of each pod; gpu_memory: bytes that are free on each, what the planner counts on
    namespace:    of the cluster; by default that of the kubeconfig
    claims:       persistent volume claims to mount, as name: path. Input and output must lie on them, at the same paths
                  as on this machine
    scheduler_cores, scheduler_memory: of the scheduler's pod, which gets no GPU
    node_selector, service_account, env: as in a pod's specification
    """

    model_config = ConfigDict(extra="forbid")

    image: str
    cores: int = Field(ge=1)
    memory: Bytes
    pods: int = Field(default=1, ge=1)
    gpus: int = Field(default=0, ge=0)
    gpu_memory: Bytes = 16 * 10**9
    namespace: str | None = None
    claims: dict[str, str] = Field(default_factory=dict)
    scheduler_cores: float = 1
    scheduler_memory: Bytes = 4 * 10**9
    node_selector: dict[str, str] = Field(default_factory=dict)
    service_account: str | None = None
    env: dict[str, str] = Field(default_factory=dict)


def size(deployment: Deployment) -> Size:
    """What the pods will have: a worker for each GPU, or one."""
    options: Options = deployment.options
    return size_of_equals(deployment, options.pods, options.gpus if options.gpus and deployment.device != "cpu" else 1)


def resource(deployment: Deployment, name: str = "") -> dict[str, Any]:
    """The DaskCluster resource that is sent to Kubernetes."""
    try:
        from dask_kubernetes.operator import make_cluster_spec
    except ImportError:
        raise CannotStart("kind kubernetes needs dask-kubernetes: pip install 'gridstride[kubernetes]'") from None
    from gridstride.workers.cluster import settings

    options: Options = deployment.options
    size = deployment.size
    gpu = size.device_memory is not None
    each = options.gpus if gpu else 1
    command = ["python", "-m", "dask_cuda.cli" if gpu else "distributed.cli.dask_worker"]
    command += ["--nthreads", str(size.threads), "--memory-limit", str(options.memory // each)]
    if gpu:
        command += ["--device-memory-limit", "0", *deployment.rmm_arguments]
    made = make_cluster_spec(
        name=name or f"gridstride-{user().lower().replace('_', '-')[:20]}-{secrets.token_hex(3)}",
        image=options.image,
        n_workers=size.workers // each,
        resources=_resources(options.cores, options.memory, {GPU: str(options.gpus)} if gpu else {}),
        env={**environment({**settings(deployment.worker_timeout), **flat(deployment.dask)}), **options.env},
        worker_command=command,
    )
    spec = made["spec"]
    # make_cluster_spec gives the scheduler what the workers get: their size, and a GPU that it would leave idle.
    spec["scheduler"]["spec"]["containers"][0]["resources"] = _resources(
        options.scheduler_cores, options.scheduler_memory, {}
    )
    for part in (spec["worker"]["spec"], spec["scheduler"]["spec"]):
        if options.claims:
            names = {claim: f"data-{i}" for i, claim in enumerate(options.claims)}
            part["volumes"] = [
                {"name": names[claim], "persistentVolumeClaim": {"claimName": claim}} for claim in options.claims
            ]
            part["containers"][0]["volumeMounts"] = [
                {"name": names[claim], "mountPath": path} for claim, path in options.claims.items()
            ]
        if options.service_account:
            part["serviceAccountName"] = options.service_account
    if options.node_selector:
        spec["worker"]["spec"]["nodeSelector"] = options.node_selector
    return made


def _resources(cores: float, memory: int, more: dict[str, str]) -> dict[str, Any]:
    asked = {"cpu": f"{cores:g}", "memory": str(memory), **more}
    return {"requests": asked, "limits": dict(asked)}


def script(deployment: Deployment) -> str:
    """The resource as YAML, for kubectl."""
    return yaml.safe_dump(resource(deployment), sort_keys=False)


def check(deployment: Deployment) -> None:
    """Whether Kubernetes answers, and has the operator's resources."""
    resource(deployment)
    import kr8s
    from kr8s.objects import CustomResourceDefinition

    try:
        CustomResourceDefinition.get(CRD)
    except kr8s.NotFoundError:
        raise CannotStart(
            f"Kubernetes has no resource {CRD}: install the Dask operator (helm install --repo "
            "https://helm.dask.org --generate-name dask-kubernetes-operator)"
        ) from None
    except Exception as error:
        text = " ".join(str(error).split())[:200] or type(error).__name__
        raise CannotStart(f"Kubernetes does not answer: {text} (kubectl get pods should work first)") from None


@contextmanager
def client(deployment: Deployment) -> Iterator[Any]:
    from dask_kubernetes.operator import KubeCluster

    made = resource(deployment)
    try:
        cluster = KubeCluster(
            custom_cluster_spec=made,
            namespace=deployment.options.namespace,
            resource_timeout=int(deployment.timeout),
            quiet=True,
        )
    except Exception as error:
        text = " ".join(str(error).split())[:300] or type(error).__name__
        reason = _why(made["metadata"]["name"], deployment.options.namespace) or text
        raise CannotStart(f"the scheduler's pod does not start: {reason}") from error
    with cluster:
        name = made["metadata"]["name"]
        why = lambda late: _why(name, deployment.options.namespace) if late else None  # noqa: E731
        with connected(cluster, deployment, why) as running:
            yield running


def _why(name: str, namespace: str | None) -> str | None:
    import kr8s

    try:
        pods = kr8s.get("pods", namespace=namespace, label_selector=f"dask.org/cluster-name={name}")
        return why_not_ready([dict(pod.raw) for pod in pods])
    except Exception as error:
        return f"and its pods cannot be asked why ({type(error).__name__})"


def why_not_ready(pods: list[dict[str, Any]]) -> str | None:
    """The reason that a pod gives for not being ready, from its own description; None if all are."""
    for pod in pods:
        name, status = pod["metadata"]["name"], pod.get("status", {})
        for container in status.get("containerStatuses", []):
            state = container.get("state", {})
            for kind in ("waiting", "terminated"):
                if kind in state and state[kind].get("reason") not in (None, "Completed", "ContainerCreating"):
                    said = state[kind].get("message") or container.get("lastState", {}).get("terminated", {}).get(
                        "message"
                    )
                    return f"pod {name}: {state[kind]['reason']}" + (
                        f": {' '.join(said.split())[:200]}" if said else ""
                    )
        for condition in status.get("conditions", []):
            if condition.get("status") == "False" and condition.get("message"):
                said = " ".join(condition["message"].split())[:200]
                return f"pod {name}: {condition.get('reason', condition['type'])}: {said}"
    return None
