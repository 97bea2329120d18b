"""What `map_overlap` costs, measured in the scheduler."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

from gridstride.pipeline.errors import UsageError, first_line


@contextmanager
def halo_timer(client: Any) -> Iterator[Callable[[], dict[str, float]]]:
    """Measures in the scheduler what `map_overlap` costs: seconds to cut edges, to move them, and in the tasks that
    join them and compute the block."""
    from distributed.diagnostics.plugin import SchedulerPlugin

    class HaloTimer(SchedulerPlugin):
        name = "gridstride-halo"

        def __init__(self) -> None:
            self.seconds = {"transfer": 0.0, "cut": 0.0, "block": 0.0}

        def transition(self, key: Any, start: str, finish: str, *args: Any, **kwargs: Any) -> None:
            if start != "processing" or finish != "memory":
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

    def collect(dask_scheduler: Any = None) -> dict[str, float]:
        plugin = dask_scheduler.plugins.get("gridstride-halo")
        return plugin.seconds if plugin else {}

    try:
        client.register_plugin(HaloTimer())
    except Exception as error:
        raise UsageError(f"the scheduler does not take our timer: {first_line(error)}") from error
    try:
        yield lambda: client.run_on_scheduler(collect)
    finally:
        with suppress(OSError):  # where the scheduler is gone
            if client.status == "running":
                client.unregister_scheduler_plugin("gridstride-halo")
