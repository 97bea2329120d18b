"""TLS between client, scheduler and workers: each shows the others a certificate that the same authority signed.

Certificates are given as files, or made for one cluster and thrown away with it. Keys go through files that only their
owner can read, never through a command line, a job script, a log or a result.
"""

from __future__ import annotations

import importlib.util
import os
import secrets
import shutil
import ssl
import stat
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from gridstride.workers.clusters.base import CannotStart
from gridstride.workers.clusters.config import ClusterConfig, TLSFiles

ROLES = ("client", "scheduler", "worker")


def make(config: ClusterConfig) -> Any:
    """The `distributed.Security` of a cluster; None without TLS. Raises CannotStart if its files are not good."""
    from distributed import Security

    if config.security != "tls":
        return None
    files = config.tls
    if files is None:
        return temporary()
    check(files)
    return Security(
        require_encryption=True,
        tls_ca_file=files.ca,
        **{f"tls_{role}_cert": files.cert for role in ROLES},
        **{f"tls_{role}_key": files.key for role in ROLES},
    )


def temporary() -> Any:
    """A `distributed.Security` with new certificates, which are in memory alone."""
    from distributed import Security

    if importlib.util.find_spec("cryptography") is None:
        raise CannotStart("security tls makes certificates with 'cryptography': pip install 'gridstride[tls]'")
    return Security.temporary()


def check(files: TLSFiles) -> None:
    """Raises CannotStart for a file that is missing, that others may read, or that does not match the others."""
    for name in ("ca", "cert", "key"):
        path = Path(getattr(files, name))
        if not path.is_file() or not os.access(path, os.R_OK):
            raise CannotStart(f"tls.{name} is {path}: there is no such file, or it cannot be read")
    mode = Path(files.key).stat().st_mode
    if mode & (stat.S_IRWXG | stat.S_IRWXO):
        raise CannotStart(f"tls.key is {files.key}, which others may read: chmod 600 {files.key}")
    try:
        context = ssl.create_default_context(cafile=files.ca)
        context.load_cert_chain(files.cert, files.key)
    except (ssl.SSLError, OSError) as error:
        raise CannotStart(f"the files of tls do not match: {getattr(error, 'reason', None) or error}") from None


def write(folder: Path) -> TLSFiles:
    """Write new certificates into a new folder that only we can read."""
    content = temporary().get_tls_config_for_role("scheduler")
    folder.mkdir(mode=0o700)
    paths = {}
    for name, key in (("ca", "ca_file"), ("cert", "cert"), ("key", "key")):
        path = folder / f"{name}.pem"
        handle = os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600)
        with os.fdopen(handle, "w") as file:
            file.write(content[key])
        paths[name] = str(path)
    return TLSFiles(**paths)


@contextmanager
def temporary_files(parent: str | Path | None = None) -> Iterator[TLSFiles]:
    """New certificates, in files in a new folder of `parent` that is gone afterwards."""
    folder = Path(parent or tempfile.gettempdir()).absolute() / f"gridstride-tls-{secrets.token_hex(16)}"
    try:
        yield write(folder)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def in_files(config: ClusterConfig, parent: str | Path | None = None) -> Iterator[ClusterConfig]:
    """The configuration with its certificates in files: those that are given, or temporary ones."""
    if config.security != "tls" or config.tls is not None:
        yield config
        return
    with temporary_files(parent) as files:
        yield config.model_copy(update={"tls": files})


def settings(files: TLSFiles) -> dict[str, Any]:
    """Dask's settings that make its parts use these files."""
    return {
        "distributed.comm.require-encryption": True,
        "distributed.comm.tls.ca-file": files.ca,
        **{f"distributed.comm.tls.{role}.cert": files.cert for role in ROLES},
        **{f"distributed.comm.tls.{role}.key": files.key for role in ROLES},
    }
