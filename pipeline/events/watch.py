"""Tells which workers join, restart and are lost while a job runs, and why.

A cluster may run several jobs: every name that this one leaves in its scheduler and workers is the job's own, and goes
with it, also when its client dies.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

from gridstride.pipeline.errors import UsageError, first_line
from gridstride.pipeline.events.events import Events
from gridstride.pipeline.text import counted, duration
from gridstride.workers.identity import JOB, job_name

REGISTER_TRIES = 5
LEAVE_SECONDS = 5.0


@contextmanager
def watch_workers(client: Any, events: Events, io_timeout: float | None = None) -> Iterator[None]:
    """Say in `events` which workers the cluster has, and each that is lost, joins or restarts. Tasks that this thread
    sends meanwhile carry the job's name, as an annotation.

    io_timeout: seconds that a read or a write of one of these tasks may take; then its worker's process is ended
    """
    import dask

    from gridstride.workers.watchdog import Watchdog

    job = job_name(client)
    news = _News(events, _list_workers(client, events))
    client.register_plugin(_scheduler_plugin(job, client.id))
    client.subscribe_topic(job, news.hear)
    if io_timeout:
        _register(client, Watchdog(job, io_timeout))
    try:
        with dask.annotate(**{JOB: job}):
            yield
    finally:
        with suppress(Exception):  # where the scheduler is gone
            if client.status == "running":
                client.unsubscribe_topic(job)
                client.unregister_scheduler_plugin(job)
                if io_timeout:  # a worker that hangs is not waited for
                    leave = client.scheduler.unregister_worker_plugin
                    client.sync(leave, name=job, callback_timeout=LEAVE_SECONDS)


def _scheduler_plugin(job: str, ours: str) -> Any:
    """Publishes, under the job's name, what becomes of workers. (A class that travels whole.)"""
    from distributed.diagnostics.plugin import SchedulerPlugin

    class WorkerWatch(SchedulerPlugin):
        name = job

        def add_worker(self, scheduler: Any, worker: str) -> None:
            state = scheduler.workers[worker]
            scheduler.log_event(job, {"action": "add", "worker": worker, "name": str(state.name)})

        def remove_worker(self, scheduler: Any, worker: str, *, stimulus_id: str, **_: Any) -> None:
            said = [m for _, m in scheduler.get_events(worker) if m.get("action") == "remove-worker"]
            last = said[-1] if said else {}
            timed_out = [m for _, m in scheduler.get_events("scheduler") if m.get("action") == "worker-ttl-timed-out"]
            silent = any(worker in m["workers"] for m in timed_out)
            news: dict[str, Any] = {"action": "remove", "worker": worker, "silent": silent}
            news["tasks"] = len(last.get("processing-tasks", ()))
            news["results"] = len(last.get("lost-computed-tasks", ()))
            scheduler.log_event(job, news)

        def remove_client(self, scheduler: Any, client: str) -> None:
            """The client is gone. If it died, nobody else removes its plugins."""
            if client != ours or scheduler.plugins.get(job) is not self:
                return
            scheduler.remove_plugin(job)
            if job in scheduler.worker_plugins:
                import asyncio

                self.leaving = asyncio.ensure_future(scheduler.unregister_worker_plugin(comm=None, name=job))

    return WorkerWatch()


class _News:
    """Turns what the scheduler publishes about workers into events."""

    def __init__(self, events: Events, names: dict[str, str]) -> None:
        self.events, self.names = events, names
        self.lost: set[str] = set()
        self.compiles = False

    def hear(self, event: tuple[float, dict[str, Any]]) -> None:
        news = event[1]
        worker = str(news["worker"])
        actions = {"add": self._added, "stuck": self._stuck, "remove": self._removed, "compile": self._compiles}
        actions[news["action"]](worker, news)

    def _added(self, worker: str, news: dict[str, Any]) -> None:
        name = self.names[worker] = str(news["name"])
        if name in self.lost:
            self.lost.discard(name)
            self.events.say("worker-restarted", f"worker {name} is back, as {worker}", worker=worker, name=name)
        else:
            self.events.say("worker-joined", f"worker {name} joined, as {worker}", worker=worker, name=name)

    def _compiles(self, worker: str, news: dict[str, Any]) -> None:
        if not self.compiles:
            self.compiles = True
            text = "compiling kernels, which takes seconds: only the first run with an operator and a dtype does"
            self.events.say("compiling", text, worker=worker)

    def _stuck(self, worker: str, news: dict[str, Any]) -> None:
        name = self.names.get(worker, worker)
        what, span = f"{news['doing']} {news['what']}", duration(float(news["seconds"]))
        text = f"worker {name} ({worker}) is stuck in {what} for {span}: its process is ended and restarted"
        facts = {key: news[key] for key in ("stage", "what", "seconds")}
        self.events.say("worker-stuck", text, "warning", worker=worker, name=name, **facts)

    def _removed(self, worker: str, news: dict[str, Any]) -> None:
        name = self.names.get(worker, worker)
        self.lost.add(name)
        why = " (it did not answer for too long)" if news["silent"] else ""
        tasks, results = int(news["tasks"]), int(news["results"])
        text = f"worker {name} ({worker}) was lost{why}; {counted(tasks, 'task')} and {counted(results, 'result')}"
        self.events.say(
            "worker-lost", f"{text} rescheduled", "warning", worker=worker, name=name, tasks=tasks, results=results
        )


def _register(client: Any, watchdog: Any) -> None:
    """In all workers, now and later ones. Raises UsageError if they cannot have it."""
    for _ in range(REGISTER_TRIES):
        try:
            client.register_plugin(watchdog)
            return
        except OSError:  # a worker died meanwhile: do the others have it?
            continue
        except Exception as error:
            raise UsageError(f"the workers refuse gridstride's watchdog: {first_line(error)}") from error


def _list_workers(client: Any, events: Events) -> dict[str, str]:
    """Say which workers there are; their names by address."""
    workers = client.scheduler_info(n_workers=-1)["workers"]
    rows = [
        {
            "worker": address,
            "name": str(w.get("name", "")),
            "host": w.get("host"),
            "threads": w.get("nthreads"),
            "memory": w.get("memory_limit"),
        }
        for address, w in workers.items()
    ]
    events.say("cluster", counted(len(rows), "worker"), workers=rows[:64], count=len(rows))
    return {row["worker"]: row["name"] for row in rows}
