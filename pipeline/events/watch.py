"""Which workers come and go while a job runs, and why."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

from gridstride.pipeline.errors import UsageError, first_line
from gridstride.pipeline.events.events import Events
from gridstride.pipeline.events.story import counted, duration
from gridstride.workers.cluster import TOPIC

REGISTER_TRIES = 5
LEAVE_SECONDS = 5.0


@contextmanager
def watch_workers(client: Any, events: Events, io_timeout: float | None = None) -> Iterator[None]:
    """Say in `events` which workers the cluster has, and each that is lost, joins or is started again.

    io_timeout: seconds that a read or a write of a worker may take; then its process is ended
    """
    from distributed.diagnostics.plugin import SchedulerPlugin

    from gridstride.workers.watchdog import Watchdog

    class WorkerWatch(SchedulerPlugin):
        name = TOPIC

        def add_worker(self, scheduler: Any, worker: str) -> None:
            state = scheduler.workers[worker]
            scheduler.log_event(TOPIC, {"action": "add", "worker": worker, "name": str(state.name)})

        def remove_worker(self, scheduler: Any, worker: str, *, stimulus_id: str, **_: Any) -> None:
            said = [m for _, m in scheduler.get_events(worker) if m.get("action") == "remove-worker"]
            last = said[-1] if said else {}
            timed_out = [m for _, m in scheduler.get_events("scheduler") if m.get("action") == "worker-ttl-timed-out"]
            silent = any(worker in m["workers"] for m in timed_out)
            news: dict[str, Any] = {"action": "remove", "worker": worker, "silent": silent}
            news["tasks"] = len(last.get("processing-tasks", ()))
            news["results"] = len(last.get("lost-computed-tasks", ()))
            scheduler.log_event(TOPIC, news)

    names = _cluster(client, events)
    lost: set[str] = set()

    def hear(event: tuple[float, dict[str, Any]]) -> None:
        news = event[1]
        worker = str(news["worker"])
        if news["action"] == "add":
            name = names[worker] = str(news["name"])
            if name in lost:
                lost.discard(name)
                events.say("worker-restarted", f"worker {name} is back, as {worker}", worker=worker, name=name)
            else:
                events.say("worker-joined", f"worker {name} joined, as {worker}", worker=worker, name=name)
            return
        name = names.get(worker, worker)
        if news["action"] == "stuck":
            what, span = f"{news['doing']} {news['what']}", duration(float(news["seconds"]))
            text = f"worker {name} ({worker}) is stuck in {what} for {span}: its process is ended, to start another"
            facts = {key: news[key] for key in ("stage", "what", "seconds")}
            events.say("worker-stuck", text, "warning", worker=worker, name=name, **facts)
            return
        lost.add(name)
        why = "did not answer for too long" if news["silent"] else "died or was cut off"
        tasks, results = int(news["tasks"]), int(news["results"])
        lost_work = f"{counted(tasks, 'task')} and {counted(results, 'result')}"
        events.say(
            "worker-lost",
            f"worker {name} ({worker}) {why}: {lost_work} of it go to others",
            "warning",
            worker=worker,
            name=name,
            tasks=tasks,
            results=results,
        )

    client.register_plugin(WorkerWatch())
    client.subscribe_topic(TOPIC, hear)
    watchdog = Watchdog(f"gridstride-watchdog-{client.id}", io_timeout) if io_timeout else None
    if watchdog:
        _register(client, watchdog)
    try:
        yield
    finally:
        with suppress(Exception):  # where the scheduler is gone
            if client.status == "running":
                client.unsubscribe_topic(TOPIC)
                client.unregister_scheduler_plugin(TOPIC)
                if watchdog:  # a worker that hangs is not waited for
                    leave = client.scheduler.unregister_worker_plugin
                    client.sync(leave, name=watchdog.name, callback_timeout=LEAVE_SECONDS)


def _register(client: Any, watchdog: Any) -> None:
    """In all workers, now and later ones. Raises UsageError if they cannot have it."""
    for _ in range(REGISTER_TRIES):
        try:
            client.register_plugin(watchdog)
            return
        except OSError:  # a worker died meanwhile: do the others have it?
            continue
        except Exception as error:
            raise UsageError(f"the workers do not take our watchdog: {first_line(error)}") from error


def _cluster(client: Any, events: Events) -> dict[str, str]:
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
