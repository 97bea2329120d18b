"""A Dask cluster as processes of its own, each of which a test may stop or kill."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil

# Dask runs it twice in each worker.
SLOW = """
import time
from gridstride.pipeline.storage.regions import Regions

if not hasattr(Regions, "quick"):
    Regions.quick = Regions.write

def slow(self, start, data):
    time.sleep({seconds})
    self.quick(start, data)

Regions.write = slow
"""
# Passes bytes on between those who connect to it and an address, until it is stopped.
PROXY = """
import asyncio, sys

async def copy(reader, writer):
    try:
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
    except OSError:
        pass
    writer.close()

async def meet(reader, writer):
    there, back = await asyncio.open_connection("127.0.0.1", int(sys.argv[1]))
    await asyncio.gather(copy(reader, back), copy(there, writer))

async def main():
    server = await asyncio.start_server(meet, "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()

asyncio.run(main())
"""


class Processes:
    """`scheduler` and `workers` (the nannies') are processes; `file` is a cluster file for them."""

    def __init__(
        self,
        folder: Path,
        workers: int,
        ttl: float,
        patience: float,
        proxy: bool,
        seconds: float,
        environment: dict[str, str],
    ) -> None:
        self.folder = folder
        self.environment = {**os.environ, **environment, "DASK_DISTRIBUTED__SCHEDULER__WORKER_TTL": f"{ttl} s"}
        where = folder / "scheduler.json"
        self.scheduler = self._start("distributed.cli.dask_scheduler", "--scheduler-file", str(where), "--port", "0")
        while not where.exists() or not where.read_text().endswith("}"):
            assert self.scheduler.poll() is None
            time.sleep(0.05)
        self.address = json.loads(where.read_text())["address"]
        self.proxy: Any = None
        inner = self.address
        if proxy:
            command = [sys.executable, "-c", PROXY, self.address.rpartition(":")[2]]
            self.proxy = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
            inner = f"tcp://127.0.0.1:{self.proxy.stdout.readline().strip()}"
        (folder / "slow.py").write_text(SLOW.format(seconds=seconds))
        self.workers = [
            self._start(
                "distributed.cli.dask_worker", inner, "--nthreads", "1", "--preload", str(folder / "slow.py"),
                "--memory-limit", "2GB", "--local-directory", str(folder / "scratch"),
            )
            for _ in range(workers)
        ]  # fmt: skip
        self.file = folder / "cluster.yaml"
        self.file.write_text(f"kind: address\naddress: {self.address}\npatience: {patience}\n")
        from distributed import Client

        with Client(self.address, timeout="30s") as client:
            client.wait_for_workers(workers, timeout=60)

    def _start(self, module: str, *options: str) -> subprocess.Popen[bytes]:
        with (self.folder / "log").open("ab") as log:
            command = [sys.executable, "-m", module, "--host", "127.0.0.1", "--no-dashboard", *options]
            return subprocess.Popen(command, env=self.environment, stdout=log, stderr=log)

    def close(self) -> None:
        for process in (*self.workers, self.scheduler, self.proxy):
            if process is not None:
                with contextlib.suppress(psutil.Error):
                    for child in psutil.Process(process.pid).children(recursive=True):
                        child.kill()
                process.kill()
                process.wait()


@contextlib.contextmanager
def dask_processes(
    folder: Path,
    workers: int = 2,
    ttl: float = 300,
    patience: float = 300,
    proxy: bool = False,
    seconds: float = 0.05,
    environment: dict[str, str] | None = None,
) -> Iterator[Processes]:
    """A scheduler and workers that take `seconds` longer to write a block."""
    folder.mkdir()
    processes = Processes(folder, workers, ttl, patience, proxy, seconds, environment or {})
    try:
        yield processes
    finally:
        processes.close()
