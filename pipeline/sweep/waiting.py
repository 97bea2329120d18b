"""Waits for tasks, and gives up with one line where none can come back: no scheduler, or no worker for too long."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import CancelledError  # not asyncio's: Dask's own errors are of this one
from contextlib import contextmanager
from typing import Any

from gridstride.pipeline.errors import ClusterGone

LOOK_SECONDS = 2.0
RESULT_SECONDS = 10.0
LOOK_AT = 16  # workers


@contextmanager
def reachable(client: Any) -> Iterator[None]:
    """Turns the errors of a broken connection to the scheduler into ClusterGone."""
    try:
        yield
    except CancelledError as error:  # Dask alone cancels what we wait for, when the connection breaks
        raise ClusterGone("the scheduler is gone") from error
    except OSError as error:
        if client.status == "running" and type(error).__name__ != "CommClosedError":
            raise
        raise ClusterGone("the scheduler is gone") from error


class Waiting:
    """Gives futures in the order in which they finish.

    patience: seconds without any worker, or without an answer from the scheduler, after which ClusterGone is raised
    check: called every LOOK_SECONDS while nothing comes; what it raises ends the wait
    """

    def __init__(self, client: Any, patience: float, check: Callable[[], None] = lambda: None) -> None:
        from distributed import as_completed

        self.client, self.patience, self.check = client, patience, check
        self._completed = as_completed()
        self._ready: deque[Any] = deque()
        self._looked = self._heard = time.monotonic()
        self._signs: dict[str, float] = {}

    def add(self, futures: Iterable[Any]) -> None:
        self._completed.update(list(futures))

    def next(self) -> Any:
        """The next future that finished or failed. Raises ClusterGone if the scheduler or all workers are gone."""
        while True:
            while not self._ready:
                self._ready.extend(self._completed.next_batch(block=False))
                if self._ready:
                    break
                self._look()
                with self._completed.thread_condition:
                    if self._completed.queue.empty():  # else it was notified already
                        self._completed.thread_condition.wait(timeout=0.1)
            future = self._ready.popleft()
            if future.status == "cancelled":
                raise ClusterGone(f"the scheduler at {self._address} is gone")
            if future.status in ("finished", "error"):
                self._heard = time.monotonic()
                return future
            self._completed.add(future)  # its worker died with the result: Dask computes it again

    def result(self, future: Any) -> Any:
        """The result of a future that finished; it may have been lost since. Raises as `next`, or the task's error."""
        while True:
            try:
                return future.result(timeout=RESULT_SECONDS)
            except TimeoutError:
                if future.status == "error":
                    raise
                self._look()

    @property
    def _address(self) -> str:
        return str(getattr(self.client.scheduler, "address", "its address"))

    def _look(self) -> None:
        """Raise ClusterGone if nobody is left to wait for."""
        now = time.monotonic()
        if now - self._looked < LOOK_SECONDS:
            return
        if self.client.status != "running":
            raise ClusterGone(f"the scheduler at {self._address} is gone")
        try:
            known = self.client.sync(self.client.scheduler.identity, n_workers=LOOK_AT, callback_timeout=self.patience)
        except TimeoutError:
            raise ClusterGone(f"the scheduler at {self._address} has not answered for {self.patience:.0f} s") from None
        except (OSError, AttributeError):  # it went while it was asked
            raise ClusterGone(f"the scheduler at {self._address} is gone") from None
        self._looked = time.monotonic()
        # A sign of life counts when it is new, however old it says it is: clocks jump. A worker behind a stopped
        # network is still known to the scheduler, but gives none.
        signs = {address: worker["last_seen"] for address, worker in known["workers"].items()}
        if any(self._signs.get(address) != sign for address, sign in signs.items()):
            self._heard = self._looked
        elif self._looked - self._heard > self.patience:
            raise ClusterGone(f"no worker has been heard of for {self.patience:.0f} s")
        self._signs = signs
        self.check()
