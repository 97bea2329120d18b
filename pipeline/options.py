"""How a job is run: the options of every command, and the cluster file."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from pydantic import BaseModel, ValidationError

from gridstride.pipeline.errors import UsageError
from gridstride.pipeline.validation import complaint
from gridstride.workers.clusters.config import ClusterConfig
from gridstride.workers.sizes import parse_size


@dataclass(frozen=True)
class RunOptions:
    """How to run a job; none of it changes the result, but for `device` and `block` in its last bits.

    device: auto, gpu or cpu
    cluster: path of a cluster file, or None for the defaults
    workers, memory: override the cluster file (memory: bytes of all processes together)
    block: block shape
    halos: where blocks get them: exchange (from their neighbours, by `map_overlap`), read (each task reads its own), or
           auto
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

    def __post_init__(self) -> None:
        for name in ("workers", "memory"):
            value = getattr(self, name)
            if isinstance(value, str):
                value = parse_size(value) if name == "memory" else int(value)
            object.__setattr__(self, name, None if value is None else int(value))
        if self.block is not None:
            object.__setattr__(self, "block", tuple(int(n) for n in self.block))
        # The first edition's words.
        halos = {"neighbours": "exchange", "store": "read"}.get(self.halos, self.halos)
        object.__setattr__(self, "halos", halos)
        for name, known in (("device", ("auto", "gpu", "cpu")), ("halos", ("auto", "exchange", "read"))):
            if getattr(self, name) not in known:
                raise UsageError(f"{name} is {getattr(self, name)!r}: expected one of {', '.join(known)}")
        if self.workers is not None and self.workers < 1:
            raise UsageError(f"workers is {self.workers}: expected 1 or more")

    @property
    def watched(self) -> bool:
        """Whether a person is told how it goes."""
        return not (self.quiet or self.log_json)


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
    _check_whole(config, str(path))
    return config


def _check_whole(config: ClusterConfig, source: str) -> None:
    """Raise UsageError for keys that do not go together."""
    examples = {
        "address": "'address: tcp://host:port'",
        "ssh": "'ssh: {hosts: [node1, node2]}'",
        "slurm": "'slurm: {partition: ..., cores: 8, memory: 32GB}'",
        "kubernetes": "'kubernetes: {image: ..., cores: 8, memory: 32GB}'",
    }
    if config.kind in examples and not getattr(config, config.kind):
        raise UsageError(f"{source}: kind {config.kind} needs {examples[config.kind]}")
    if config.tls and config.security != "tls":
        raise UsageError(f"{source}: tls names certificates but security is none: expected 'security: tls'")
    if config.security == "tls" and config.protocol != "tcp":
        raise UsageError(f"{source}: security tls goes over tcp: leave out 'protocol: {config.protocol}'")
    if config.kind == "address" and config.security == "tls" and not config.tls:
        raise UsageError(f"{source}: kind address with security tls needs 'tls: {{ca: ..., cert: ..., key: ...}}'")
    if config.kind == "kubernetes" and config.security == "tls":
        raise UsageError(
            f"{source}: dask-kubernetes has no TLS between its pods: leave out 'security: tls' (docs/security.md)"
        )


def validate(model: type[BaseModel], content: dict[str, Any], source: str) -> Any:
    """A model from a file's content. Raises UsageError with one line for the first thing wrong."""
    try:
        return model(**content)
    except ValidationError as error:
        raise UsageError(f"{source}: {complaint(error, model)}") from None
