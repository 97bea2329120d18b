"""Waiting for tasks, and giving up with one line where none can come back: no scheduler, or no worker for too long."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Iterable
from typing import Any

from gridstride.pipeline.errors import ClusterGone

LOOK_SECONDS = 2.0


class Waiting:
    """Futures, in the order in which they finish.

    patience: seconds without any worker, or without an answer from the scheduler, after which ClusterGone is raised
    """

    def __init__(self, client: Any, patience: float) -> None:
        from distributed import as_completed

        self.client, self.patience = client, patience
        self._completed = as_completed()
        self._ready: deque[Any] = deque()
        self._looked = self._seen = time.monotonic()

    def add(self, futures: Iterable[Any]) -> None:
        self._completed.update(list(futures))

    def next(self) -> Any:
        """The next future that is finished, or failed. Raises ClusterGone if the scheduler or all workers are gone."""
        while True:
            while not self._ready:
                self._ready.extend(self._completed.next_batch(block=False))
                if self._ready:
                    break
                self._look()
                with self._completed.thread_condition:
                    self._completed.thread_condition.wait(timeout=0.1)
            future = self._ready.popleft()
            if future.status == "cancelled":
                raise ClusterGone(f"the scheduler at {self._address} is gone")
            if future.status in ("finished", "error"):
                return future
            self._completed.add(future)  # its worker died with the result: it is on its way again

    def result(self, future: Any) -> Any:
        """What a finished future holds; where its worker died meanwhile, once it is made again."""
        try:
            return future.result(timeout=self.patience)
        except TimeoutError:
            raise ClusterGone(f"a result has not come for {self.patience:.0f} s") from None

    @property
    def _address(self) -> str:
        return str(getattr(self.client.scheduler, "address", "its address"))

    def _look(self) -> None:
        """Whether there is anybody left to wait for."""
        now = time.monotonic()
        if now - self._looked < LOOK_SECONDS:
            return
        if self.client.status != "running":
            raise ClusterGone(f"the scheduler at {self._address} is gone")
        try:
            known = self.client.sync(self.client.scheduler.identity, n_workers=0, callback_timeout=self.patience)
        except TimeoutError:
            raise ClusterGone(f"the scheduler at {self._address} has not answered for {self.patience:.0f} s") from None
        except (OSError, AttributeError):  # it went while it was asked
            raise ClusterGone(f"the scheduler at {self._address} is gone") from None
        self._looked = time.monotonic()
        if known["n_workers"]:
            self._seen = self._looked
        elif self._looked - self._seen > self.patience:
            raise ClusterGone(f"no worker has been there for {self.patience:.0f} s")
