"""A cluster of pods, through dask-kubernetes and its operator, which must be installed in the Kubernetes cluster.

Pods listen at all of their own addresses, which only the Kubernetes cluster reaches: see docs/security.md. Added to
dask-kubernetes: volumes, a scheduler without the workers' GPU, and the reason of a pod that does not start.
"""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import yaml

from gridstride.workers.clusters.base import CannotStart, Deployment, Size, connected, size_of_equals
from gridstride.workers.clusters.config import Kubernetes

CRD = "daskclusters.kubernetes.dask.org"
GPU = "nvidia.com/gpu"


def size(deployment: Deployment) -> Size:
    """The size of all pods together: a worker for each GPU, or one a pod."""
    options: Kubernetes = deployment.config.section
    return size_of_equals(deployment, options.pods, options.gpus if options.gpus and deployment.device != "cpu" else 1)


def resource(deployment: Deployment, name: str = "") -> dict[str, Any]:
    """The DaskCluster resource that is sent to Kubernetes."""
    try:
        from dask_kubernetes.operator import make_cluster_spec
    except ImportError:
        raise CannotStart("kind kubernetes needs dask-kubernetes: pip install 'gridstride[kubernetes]'") from None
    options: Kubernetes = deployment.config.section
    each = options.gpus if deployment.gpus else 1
    user = os.environ.get("USER") or str(os.getuid())
    command = ["python", "-m", "dask_cuda.cli" if deployment.gpus else "distributed.cli.dask_worker"]
    command += ["--nthreads", str(deployment.size.threads), "--memory-limit", str(options.memory // each)]
    made = make_cluster_spec(
        name=name or f"gridstride-{user.lower().replace('_', '-')[:20]}-{secrets.token_hex(3)}",
        image=options.image,
        n_workers=deployment.size.workers // each,
        resources=_resources(options.cores, options.memory, {GPU: str(options.gpus)} if deployment.gpus else {}),
        env={**deployment.environment, **options.env},
        worker_command=command + (deployment.cuda_arguments if deployment.gpus else []),
    )
    worker, scheduler = made["spec"]["worker"]["spec"], made["spec"]["scheduler"]["spec"]
    # make_cluster_spec gives the scheduler what the workers get: their size, and a GPU that it would leave idle.
    scheduler["containers"][0]["resources"] = _resources(options.scheduler_cores, options.scheduler_memory, {})
    for pod in (worker, scheduler):
        if options.claims:
            named = {f"data-{i}": claim for i, claim in enumerate(options.claims)}
            pod["volumes"] = [{"name": n, "persistentVolumeClaim": {"claimName": c}} for n, c in named.items()]
            mounts = [{"name": n, "mountPath": options.claims[c]} for n, c in named.items()]
            pod["containers"][0]["volumeMounts"] = mounts
        if options.service_account:
            pod["serviceAccountName"] = options.service_account
    if options.node_selector:
        worker["nodeSelector"] = options.node_selector
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
        raise CannotStart(f"Kubernetes does not answer: {_text(error)} (kubectl get pods should work first)") from None


@contextmanager
def client(deployment: Deployment) -> Iterator[Any]:
    from dask_kubernetes.operator import KubeCluster

    made, namespace = resource(deployment), deployment.config.section.namespace
    name, timeout = made["metadata"]["name"], int(deployment.config.timeout)
    try:
        cluster = KubeCluster(custom_cluster_spec=made, namespace=namespace, resource_timeout=timeout, quiet=True)
    except Exception as error:
        raise CannotStart(f"the scheduler's pod does not start: {_why(name, namespace) or _text(error)}") from error
    with cluster, connected(cluster, deployment, lambda late: _why(name, namespace) if late else None) as running:
        yield running


def _text(error: Exception) -> str:
    return " ".join(str(error).split())[:300] or type(error).__name__


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
            last = container.get("lastState", {}).get("terminated", {})
            for state in (container.get("state", {}).get(kind, {}) for kind in ("waiting", "terminated")):
                if state.get("reason") not in (None, "Completed", "ContainerCreating"):
                    said = " ".join((state.get("message") or last.get("message") or "").split())[:200]
                    return f"pod {name}: {state['reason']}" + (f": {said}" if said else "")
        for condition in status.get("conditions", []):
            if condition.get("status") == "False" and condition.get("message"):
                said = " ".join(condition["message"].split())[:200]
                return f"pod {name}: {condition.get('reason', condition['type'])}: {said}"
    return None
