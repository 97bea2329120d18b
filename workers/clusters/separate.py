"""A local cluster in a process between client and workers, whose `__main__`, this file, the workers can import.

client ---- stdin: deployment, Dask's settings; then "close", or its end ---->  python -m gridstride...separate
       <--- stdout: one line, {"address": ...} or {"error": ...} -------------    scheduler, nannies --- workers
"""

from __future__ import annotations

import json
import os
import pickle
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

from gridstride.workers import security
from gridstride.workers.clusters import processes
from gridstride.workers.clusters.base import CannotStart, Deployment

MODULE = "gridstride.workers.clusters.separate"
CLOSE = b"close"


@contextmanager
def running(deployment: Deployment) -> Iterator[dict[str, Any]]:
    """Keywords of a `distributed.Client` of the cluster. Its processes end with this one, however that ends."""
    import dask

    path = os.pathsep.join(str(Path(folder).absolute()) for folder in sys.path)
    with security.in_files(deployment.config) as config:
        with processes.signals_for_client():
            between = subprocess.Popen(
                [sys.executable, "-P", "-m", MODULE], env={**os.environ, "PYTHONPATH": path},
                stdin=subprocess.PIPE, stdout=subprocess.PIPE, start_new_session=True,
            )  # fmt: skip
        try:
            address = _asked(between, (replace(deployment, config=config), dask.config.config))
            yield {"address": address, "security": security.make(config)}
        finally:
            _close(between)


def _asked(between: subprocess.Popen[bytes], what: tuple[Deployment, dict[str, Any]]) -> str:
    """The address of the scheduler that the process between has started."""
    assert between.stdin is not None
    assert between.stdout is not None
    with suppress(BrokenPipeError):
        between.stdin.write(pickle.dumps(what))
        between.stdin.flush()
    answer = json.loads(between.stdout.readline() or "{}")
    if "address" not in answer:
        raise CannotStart(answer.get("error") or f"the cluster does not start: its process ended ({between.wait()})")
    return str(answer["address"])


def _close(between: subprocess.Popen[bytes]) -> None:
    assert between.stdin is not None
    assert between.stdout is not None
    with suppress(BrokenPipeError):
        between.stdin.write(CLOSE)
        between.stdin.close()
    try:
        between.wait(2 * processes.CLOSE_SECONDS)
    except subprocess.TimeoutExpired:
        between.kill()
        between.wait()
    between.stdout.close()


def main() -> None:
    """The process between."""
    import dask

    deployment, settings = pickle.load(sys.stdin.buffer)
    answer = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what workers print would fill the pipe

    def say(**words: str) -> None:
        print(json.dumps(words), file=answer, flush=True)

    with dask.config.set(settings):
        try:
            with processes.running(deployment) as where:
                say(address=where["address"].scheduler_address)
                if sys.stdin.buffer.read() != CLOSE:
                    os._exit(1)  # the client was killed: workers end with the process that started them
        except CannotStart as error:
            say(error=str(error))


if __name__ == "__main__":
    main()
