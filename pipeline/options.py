"""How a job is run: the options of every command, and the cluster file."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, ValidationError

from gridstride.pipeline.errors import UsageError
from gridstride.pipeline.validation import complaint, read_yaml
from gridstride.workers.clusters.config import ClusterConfig
from gridstride.workers.operators.kinds import Place, Shape, Size, within

# The first edition's words for where halos come from.
FORMER = {"neighbours": "exchange", "store": "read"}
Halos = Annotated[
    Literal["auto", "exchange", "read"],
    BeforeValidator(lambda word: FORMER.get(word, word) if isinstance(word, str) else word),
]
Memory = Annotated[int, BeforeValidator(within(1, 10**18))]


class RunOptions(BaseModel):
    """How to run a job; none of it changes the result, but for `device` and `block` in its last bits.

    device: auto, gpu or cpu
    cluster: path of a cluster file, or None for the defaults
    workers, memory: override the cluster file (memory: bytes of all processes together)
    block: block shape
    halos: where blocks get them: exchange (from their neighbours, by `map_overlap`), read (each task reads its own), or
           auto
    missing: what absent chunks of the input are: fill (the fill value, as Zarr says) or error
    overwrite: replace what is at the output
    ignore_disk: start even if the result, uncompressed, has no room
    force_labels: filter labels as if their numbers were measurements
    quiet: show no progress
    log_json: events as JSON lines on stderr, and nothing else there; log: a file that gets these lines
    report: an HTML file to write about the run, however it ends
    Raises UsageError, in one line, for an option or a value that there is not.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    device: Literal["auto", "gpu", "cpu"] = "auto"
    cluster: Place | None = None
    workers: Size | None = None
    memory: Memory | None = None
    block: Shape | None = None
    halos: Halos = "auto"
    missing: Literal["fill", "error"] = "fill"
    overwrite: bool = False
    ignore_disk: bool = False
    force_labels: bool = False
    quiet: bool = True
    debug: bool = False
    log_json: bool = False
    log: Place | None = None
    report: Place | None = None

    def __init__(self, **values: object) -> None:
        try:
            super().__init__(**values)
        except ValidationError as error:
            raise UsageError(complaint(error, type(self))) from None

    def but(self, **changes: object) -> RunOptions:
        """These options with some changed."""
        return RunOptions(**(dict(self) | changes))

    @property
    def watched(self) -> bool:
        """Whether a person is told how it goes."""
        return not (self.quiet or self.log_json)


def load_cluster(path: str | Path | None) -> ClusterConfig:
    """Read a cluster file; without one, the defaults. Raises UsageError naming file, field and what was expected."""
    if path is None:
        return ClusterConfig()
    content: Any = read_yaml(Path(os.path.expanduser(path)))  # noqa: PTH111
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
