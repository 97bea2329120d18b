"""How a job is run: the options of every command, and cluster.yaml."""

from __future__ import annotations

import difflib
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, ValidationError, field_validator

from gridstride.pipeline.errors import UsageError

SIZES = {
    "": 1,
    "b": 1,
    "kb": 10**3,
    "mb": 10**6,
    "gb": 10**9,
    "tb": 10**12,
    "kib": 2**10,
    "mib": 2**20,
    "gib": 2**30,
    "tib": 2**40,
}


def parse_size(text: str | int | float) -> int:
    """Bytes from "2GB", "512 MiB" or a number."""
    digits = str(text).strip().lower().replace("_", "")
    number = digits.rstrip("abcdefghijklmnopqrstuvwxyz ")
    unit = digits[len(number) :].strip()
    try:
        size = int(float(number) * SIZES[unit])
    except (KeyError, ValueError):
        raise ValueError(f"{text!r} is no size: expected a number and a unit, such as 2GB or 512MiB") from None
    if size <= 0:
        raise ValueError(f"{text!r} is no size: expected more than 0")
    return size


@dataclass(frozen=True)
class RunOptions:
    """How to run a job; none of it changes the result, but for `device` and `block` in its last bits.

    device: auto, gpu or cpu
    cluster: path of a cluster file, or None for the defaults
    workers, memory: override the cluster file (memory: bytes of all processes together)
    block: block shape
    halos: where blocks get them from: neighbours (`map_overlap`), store (each task reads its own), or auto
    overwrite: replace what is at the output
    ignore_disk: start even if the result, uncompressed, has no room
    quiet: show no progress
    log_json: events as JSON lines on stderr, and nothing else there; log: a file that gets these lines
    report: an HTML file to write about the run, however it ends
    """

    device: str = "auto"
    cluster: str | None = None
    workers: int | None = None
    memory: int | None = None
    block: tuple[int, ...] | None = None
    halos: str = "auto"
    overwrite: bool = False
    ignore_disk: bool = False
    quiet: bool = True
    debug: bool = False
    log_json: bool = False
    log: str | None = None
    report: str | None = None

    @property
    def watched(self) -> bool:
        """Whether a person is told how it goes."""
        return not (self.quiet or self.log_json)


class ClusterConfig(BaseModel):
    """One deployment.

    kind:      auto (GPUs if there are any, else CPUs), local-cuda, local, or address (join a running cluster)
    workers:   processes; by default one for each GPU, or one for every eight CPU cores
    threads:   threads of each worker; by default 4 beside a GPU, or its share of the CPU cores
    memory:    bytes of host memory for all processes together; by default 60 % of what is free
    address:   of the scheduler, for kind address
    protocol:  between workers: tcp, or ucx (needs ucxx)
    rmm_pool:  share of each GPU's memory that RMM reserves for CuPy at the start (it grows; two jobs have room on one
               GPU); 0 leaves CuPy its own pool
    local_directory: where Dask keeps its scratch files
    dashboard: address of Dask's dashboard; loopback, any free port
    """

    model_config = ConfigDict(extra="forbid")

    kind: Literal["auto", "local-cuda", "local", "address"] = "auto"
    workers: int | None = None
    threads: int | None = None
    memory: int | None = None
    address: str | None = None
    protocol: Literal["tcp", "ucx"] = "tcp"
    rmm_pool: float = 0.3
    local_directory: str | None = None
    dashboard: str = "127.0.0.1:0"

    @field_validator("memory", mode="before")
    @classmethod
    def _memory(cls, value: Any) -> Any:
        return None if value is None else parse_size(value)

    @field_validator("workers", "threads")
    @classmethod
    def _positive(cls, value: int | None) -> int | None:
        if value is not None and value < 1:
            raise ValueError("expected 1 or more")
        return value

    @field_validator("rmm_pool")
    @classmethod
    def _share(cls, value: float) -> float:
        if not 0 <= value < 1:
            raise ValueError("expected a share from 0 to below 1")
        return value


def load_cluster(path: str | Path | None) -> ClusterConfig:
    """Read a cluster file; without one, the defaults. Raises UsageError naming file, field and what was expected."""
    if path is None:
        return ClusterConfig()
    try:
        content = yaml.safe_load(Path(path).read_text())
    except OSError as error:
        raise UsageError(f"{path} cannot be read: {error.strerror}") from None
    except yaml.YAMLError as error:
        raise UsageError(f"{path} is not YAML: {' '.join(str(error).split())}") from None
    if content is None:
        content = {}
    if not isinstance(content, dict):
        raise UsageError(f"{path} holds a {type(content).__name__}: expected keys and values, such as 'kind: auto'")
    config = validate(ClusterConfig, content, str(path))
    if config.kind == "address" and not config.address:
        raise UsageError(f"{path}: kind address needs 'address: tcp://host:port'")
    return config


def validate(model: type[BaseModel], content: dict[str, Any], source: str) -> Any:
    """A model from a file's content. Raises UsageError with one line for the first thing wrong."""
    try:
        return model(**content)
    except ValidationError as error:
        first = error.errors()[0]
        field = ".".join(str(part) for part in first["loc"])
        if first["type"] == "extra_forbidden":
            known = list(model.model_fields)
            near = difflib.get_close_matches(field, known, n=1)
            hint = f"did you mean {near[0]!r}?" if near else f"expected one of {', '.join(known)}"
            raise UsageError(f"{source}: unknown key {field!r}: {hint}") from None
        text = first["msg"].removeprefix("Value error, ")
        raise UsageError(f"{source}: {field} is {first['input']!r}: {text[0].lower() + text[1:]}") from None
