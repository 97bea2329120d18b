"""Measures in the scheduler what `map_overlap` costs one job, whatever else the cluster computes meanwhile."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

from gridstride.pipeline.errors import UsageError, first_line
from gridstride.workers.identity import JOB, job_name


@contextmanager
def halo_timer(client: Any) -> Iterator[Callable[[], dict[str, float]]]:
    """A function that returns the seconds spent so far, by the tasks that this thread sends within the context: to cut
    edges ("cut"), to move data ("transfer"), and in the tasks that join edges and compute a block ("block")."""
    import dask

    job = job_name(client)
    name = f"{job}-halo"

    def collect(dask_scheduler: Any = None) -> dict[str, float]:
        plugin = dask_scheduler.plugins.get(name)
        return plugin.seconds if plugin else {}

    try:
        client.register_plugin(_scheduler_plugin(name, job, client.id))
    except Exception as error:
        raise UsageError(f"the scheduler refuses gridstride's timer: {first_line(error)}") from error
    try:
        with dask.annotate(**{JOB: job}):
            yield lambda: client.run_on_scheduler(collect)
    finally:
        with suppress(OSError):  # where the scheduler is gone
            if client.status == "running":
                client.unregister_scheduler_plugin(name)


def _scheduler_plugin(name_: str, job: str, ours: str) -> Any:
    """Adds up the seconds of the tasks with a job's annotation. (A class that travels whole.)"""
    from distributed.diagnostics.plugin import SchedulerPlugin

    annotation = JOB

    class HaloTimer(SchedulerPlugin):
        name = name_

        def __init__(self) -> None:
            self.seconds = {"transfer": 0.0, "cut": 0.0, "block": 0.0}

        async def start(self, scheduler: Any) -> None:
            self.tasks = scheduler.tasks

        def transition(self, key: Any, start: str, finish: str, *args: Any, **kwargs: Any) -> None:
            if start != "processing" or finish != "memory" or (task := self.tasks.get(key)) is None:
                return
            if (task.annotations or {}).get(annotation) != job:
                return
            prefix = str(key[0] if isinstance(key, tuple) else key)
            for span in kwargs.get("startstops") or ():
                if span["action"] == "transfer":
                    name = "transfer"
                elif span["action"] == "compute" and prefix.startswith("getitem"):
                    name = "cut"
                elif span["action"] == "compute" and prefix.startswith(("overlap", "concatenate")):
                    name = "block"
                else:
                    continue
                self.seconds[name] += span["stop"] - span["start"]

        def remove_client(self, scheduler: Any, client: str) -> None:
            """The client is gone. If it died, nobody else removes its plugin."""
            if client == ours and scheduler.plugins.get(name_) is self:
                scheduler.remove_plugin(name_)

    return HaloTimer()
