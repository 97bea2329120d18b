"""A private SSH server on loopback, with its own port and keys, for one test session. The system's is not touched."""

from __future__ import annotations

import getpass
import os
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

SSHD = shutil.which("sshd", path=f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin")
WHY = (
    "no sshd (Debian: apt-get install openssh-server)" if SSHD is None
    else "no ssh-keygen" if shutil.which("ssh-keygen") is None else ""
)  # fmt: skip


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return found.getsockname()[1]


def source_path() -> str:
    """PYTHONPATH under which another process finds the gridstride that is being tested."""
    for entry in os.environ.get("PYTHONPATH", "").split(":"):
        if entry and (Path(entry) / "gridstride" / "__init__.py").exists():
            return os.environ["PYTHONPATH"]
    return ""


@dataclass(frozen=True)
class SSHServer:
    folder: Path
    port: int

    @property
    def section(self) -> dict[str, object]:
        """The `ssh` section of a cluster file for this server, without hosts."""
        return {
            "port": self.port,
            "username": getpass.getuser(),
            "key": str(self.folder / "user_key"),
            "known_hosts": str(self.folder / "known_hosts"),
        }


def serve(folder: Path) -> Iterator[SSHServer]:
    assert SSHD is not None
    for name in ("host_key", "user_key", "stranger_key"):
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", folder / name], check=True)
    port = free_port()
    host_key = (folder / "host_key.pub").read_text()
    (folder / "known_hosts").write_text(
        "".join(f"[{host}]:{port} {host_key}" for host in ("127.0.0.1", "localhost", "127.0.0.2"))
    )
    (folder / "authorized_keys").write_text((folder / "user_key.pub").read_text())
    environment = f"SetEnv PYTHONPATH={source_path()}\n" if source_path() else ""
    (folder / "sshd_config").write_text(
        f"Port {port}\nListenAddress 127.0.0.1\nListenAddress 127.0.0.2\nHostKey {folder}/host_key\n"
        f"AuthorizedKeysFile {folder}/authorized_keys\nPidFile {folder}/sshd.pid\nUsePAM no\nStrictModes no\n"
        f"PasswordAuthentication no\nPermitRootLogin prohibit-password\n{environment}"
    )
    if os.getuid() == 0:
        Path("/run/sshd").mkdir(exist_ok=True)  # sshd's own folder, which only a service manager makes
    server = subprocess.Popen(
        [SSHD, "-D", "-e", "-f", folder / "sshd_config"], stdout=subprocess.DEVNULL, stderr=(folder / "log").open("w")
    )
    try:
        for _ in range(600):
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", port)) == 0:
                    break
            if server.poll() is not None:
                pytest.skip(f"sshd does not start here: {(folder / 'log').read_text().strip()[-200:]}")
            time.sleep(0.1)
        yield SSHServer(folder, port)
    finally:
        server.terminate()
        server.wait()


@pytest.fixture(scope="session")
def ssh_server() -> Iterator[SSHServer]:
    if WHY:
        pytest.skip(WHY)
    pytest.importorskip("asyncssh")
    with tempfile.TemporaryDirectory(prefix="gridstride-sshd-") as folder:
        yield from serve(Path(folder))
