"""Commands on several hosts at once, over ssh (asyncssh), and files that only we can read there."""

from __future__ import annotations

import asyncio
import json
import secrets
import shlex
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from gridstride.workers.clusters.base import CannotStart, last_line
from gridstride.workers.clusters.config import SSH, ClusterConfig, TLSFiles

CONNECT_SECONDS, COMMAND_SECONDS = 20, 120
# Writes certificates, given as JSON, into a folder that only we can read. Two names of one host share it.
PUT = """
import json, os, sys
os.umask(0o077)
os.makedirs(sys.argv[1], exist_ok=True)
assert os.stat(sys.argv[1]).st_uid == os.getuid(), "the folder belongs to somebody else"
for name, text in json.load(sys.stdin).items():
    with open(os.path.join(sys.argv[1], name), "w") as file:
        file.write(text)
"""


def connect_options(options: SSH) -> dict[str, Any]:
    """Keywords of asyncssh.connect."""
    given: dict[str, Any] = {"username": options.username, "port": options.port}
    for name, keyword in (("key", "client_keys"), ("known_hosts", "known_hosts")):
        if path := getattr(options, name):
            given[keyword] = str(Path(path).expanduser())
            if not Path(given[keyword]).exists():
                raise CannotStart(f"ssh.{name} is {given[keyword]}: there is no such file")
    found = {k: v for k, v in given.items() if v is not None}
    return {"connect_timeout": CONNECT_SECONDS, "preferred_auth": "publickey", **found}


def on_each(hosts: list[str], options: SSH, command: str, stdin: str = "") -> dict[str, tuple[int, str, str]]:
    """(exit code, stdout, stderr) of a command on each host. Raises CannotStart for a host that is not reached."""
    try:
        import asyncssh
    except ImportError:
        raise CannotStart("kind ssh needs asyncssh: pip install 'gridstride[ssh]'") from None

    async def one(host: str) -> tuple[int, str, str]:
        try:
            async with asyncssh.connect(host, **connect_options(options)) as connection:
                done = await asyncio.wait_for(connection.run(command, input=stdin), COMMAND_SECONDS)
        except asyncssh.HostKeyNotVerifiable:
            raise CannotStart(
                f"the key of host {host} is not known: connect once with ssh {host}, or set ssh.known_hosts"
            ) from None
        except asyncssh.PermissionDenied:
            raise CannotStart(f"{host}: authentication failed; check ssh.username and ssh.key") from None
        except (OSError, asyncssh.Error, TimeoutError) as error:
            text = " ".join(str(error).split()) or "no answer"
            raise CannotStart(f"{host} cannot be reached by ssh: {text}") from None
        return done.exit_status or 0, str(done.stdout), str(done.stderr)

    async def all_of_them() -> list[tuple[int, str, str]]:
        return await asyncio.gather(*(one(host) for host in hosts))

    hosts = list(dict.fromkeys(hosts))
    with ThreadPoolExecutor(1) as thread:  # this one may have a loop already, as in a notebook
        return dict(zip(hosts, thread.submit(asyncio.run, all_of_them()).result(), strict=True))


@contextmanager
def certificates(config: ClusterConfig) -> Iterator[TLSFiles | None]:
    """Our certificates as files on the hosts, in a folder that only we can read, gone afterwards."""
    if config.tls is None:
        yield None
        return
    options: SSH = config.section
    hosts, python = [options.scheduler or options.hosts[0], *options.hosts], options.python or sys.executable
    folder = f"/tmp/gridstride-tls-{secrets.token_hex(16)}"
    content = {f"{name}.pem": Path(path).read_text() for name, path in config.tls.model_dump().items()}
    try:
        put = f"{python} -c {shlex.quote(PUT)} {folder}"
        for host, (code, out, err) in on_each(hosts, options, put, json.dumps(content)).items():
            if code:
                raise CannotStart(f"certificates cannot be put on {host}: {last_line(err) or last_line(out) or code}")
        yield TLSFiles(**{name.removesuffix(".pem"): f"{folder}/{name}" for name in content})
    finally:
        on_each(hosts, options, f"rm -rf {folder}")
