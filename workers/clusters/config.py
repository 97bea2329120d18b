"""The cluster file: its keys, what they mean, and their defaults. `cluster.yaml` shows them all."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from gridstride.workers.sizes import Bytes

# Seconds without a sign of life after which a worker is given up.
WORKER_TIMEOUT = 120.0


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class TLSFiles(_Section):
    """Files in PEM format, at the same paths wherever a part of the cluster runs.

    ca: certificate of the authority that signed the others; cert, key: of this cluster's client, scheduler and workers
    """

    ca: str
    cert: str
    key: str


class SSH(_Section):
    """How hosts are reached, and what runs there.

    hosts:       names or addresses of the hosts that run workers
    scheduler:   host of the scheduler (default: the first of `hosts`)
    python:      the hosts' Python that has gridstride (default: the path of the Python that runs here)
    username, port, key, known_hosts: as for the command ssh (default: from ~/.ssh/config)
    interface:   network interface to listen on, such as ib0
    processes:   workers of each host (default: one for each GPU, or one for every eight cores)
    """

    hosts: list[str] = Field(min_length=1)
    scheduler: str | None = None
    python: str | None = None
    username: str | None = None
    port: int | None = None
    key: str | None = None
    known_hosts: str | None = None
    interface: str | None = None
    processes: int | None = Field(default=None, ge=1)


class Slurm(_Section):
    """What is asked of SLURM. Cores, memory and gpus are those of one job, which has one node.

    jobs:          number of jobs that run workers
    partition, account, qos, walltime: as for sbatch
    gpus:          GPUs of each job, with one worker each; gres: the same in SLURM's words, such as gpu:a100:4
    gpu_memory:    bytes that are free on each GPU; blocks are planned to fit in it
    processes:     workers of each job (default: one for each GPU, or one for every eight cores)
    python:        the nodes' Python that has gridstride (default: the path of the Python that runs here)
    log_directory: folder for the logs of jobs; all nodes must share it
    prologue:      shell lines to run before the worker starts, such as `module load cuda`
    job_extra:     further #SBATCH lines, such as --exclusive
    interface:     network interface of scheduler and workers, such as ib0
    replacements:  number of lost jobs that are replaced at most
    allocation:    send no jobs: start the workers on the nodes of the job that this command runs in
    """

    cores: int = Field(ge=1)
    memory: Bytes
    jobs: int = Field(default=1, ge=1)
    partition: str | None = None
    account: str | None = None
    qos: str | None = None
    walltime: str = "01:00:00"
    gpus: int = Field(default=0, ge=0)
    gres: str | None = None
    gpu_memory: Bytes = 16 * 10**9
    processes: int | None = Field(default=None, ge=1)
    python: str | None = None
    log_directory: str = "gridstride-logs"
    prologue: list[str] = Field(default_factory=list)
    job_extra: list[str] = Field(default_factory=list)
    interface: str | None = None
    replacements: int = Field(default=10, ge=0)
    allocation: bool = False

    @property
    def directives(self) -> list[str]:
        """The #SBATCH lines that dask-jobqueue has no keyword for."""
        gres = self.gres or (f"gpu:{self.gpus}" if self.gpus else None)
        given = [f"--gres={gres}" if gres else "", f"--qos={self.qos}" if self.qos else ""]
        return [line for line in given if line] + self.job_extra


class Kubernetes(_Section):
    """What is asked of Kubernetes. Cores, memory and gpus are those of one worker's pod.

    image:        container image with gridstride, for the scheduler and the workers
    pods:         number of pods that run workers; each has one worker, or one for each of its GPUs
    gpus:         GPUs of each pod; gpu_memory: bytes that are free on each; blocks are planned to fit in it
    namespace:    of the cluster (default: that of the kubeconfig)
    claims:       persistent volume claims to mount, as name: path. Input and output must be on them, at the same paths
                  as on this machine
    scheduler_cores, scheduler_memory: of the scheduler's pod, which gets no GPU
    node_selector, service_account, env: as in a pod's specification
    """

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


class Started(_Section):
    """The process that holds a cluster: on which machine, its number, and when it began (seconds since 1970)."""

    machine: str
    pid: int
    begun: float


class ClusterConfig(_Section):
    """One cluster.

    kind:      auto (GPUs if there are any, else CPUs), local-cuda, local, address (join a running cluster), ssh, slurm
               or kubernetes; the last three have a section of their name
    workers:   number of processes (default: one for each GPU, or one for every eight CPU cores)
    threads:   threads of each worker (default: 2 to 8 beside a GPU, else its share of the CPU cores)
    memory:    bytes of host memory for all processes together (default: 60 % of what is free)
    address:   address of the scheduler, for kind address
    host:      address of this machine that a scheduler started here listens at; loopback by default
    timeout:   seconds to wait for workers to connect
    security:  none, or tls between client, scheduler and workers
    tls:       certificate files (default: temporary ones are made)
    protocol:  between workers: tcp, or ucx (needs ucxx)
    rmm_pool:  share of each GPU's memory that RMM reserves for CuPy at the start (it grows; two jobs fit on one GPU);
               0 leaves CuPy its own pool
    worker_timeout: seconds without a sign of life after which a worker is killed and restarted (kind address: the
               cluster's own setting applies)
    io_timeout: seconds that one read or write of a worker may take; then its process is ended and restarted. 0 or null:
               no limit
    patience:  seconds without any worker after which a job gives up
    local_directory: folder for Dask's scratch files
    dashboard: address of Dask's dashboard; loopback, any free port
    dask:      settings handed to dask.config as they are; they override gridstride's
    started:   written by `gridstride cluster start`: the process that holds the cluster
    """

    kind: Literal["auto", "local-cuda", "local", "address", "ssh", "slurm", "kubernetes"] = "auto"
    workers: int | None = Field(default=None, ge=1)
    threads: int | None = Field(default=None, ge=1)
    memory: Bytes | None = None
    address: str | None = None
    host: str = "127.0.0.1"
    timeout: float = Field(default=120.0, gt=0)
    security: Literal["none", "tls"] = "none"
    tls: TLSFiles | None = None
    protocol: Literal["tcp", "ucx"] = "tcp"
    rmm_pool: float = Field(default=0.3, ge=0, lt=1)
    worker_timeout: float = Field(default=WORKER_TIMEOUT, ge=1)
    io_timeout: float | None = Field(default=600.0, ge=0)
    patience: float = Field(default=300.0, ge=1)
    local_directory: str | None = None
    dashboard: str = "127.0.0.1:0"
    dask: dict[str, Any] = Field(default_factory=dict)
    ssh: SSH | None = None
    slurm: Slurm | None = None
    kubernetes: Kubernetes | None = None
    started: Started | None = None

    @property
    def section(self) -> Any:
        """The section of the kind; None for kinds without one."""
        return getattr(self, self.kind.replace("-", "_"), None)

    @property
    def scheme(self) -> str:
        """The transport's name in addresses."""
        return "tls" if self.security == "tls" else self.protocol
