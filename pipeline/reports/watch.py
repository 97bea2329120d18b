"""Which workers come and go while a job runs."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

from gridstride.pipeline.reports.events import Events
from gridstride.pipeline.reports.story import counted

TOPIC = "gridstride-workers"


@contextmanager
def watch_workers(client: Any, events: Events) -> Iterator[None]:
    """Say in `events` which workers the cluster has, and each that is lost, joins or is started again."""
    from distributed.diagnostics.plugin import SchedulerPlugin

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
    try:
        yield
    finally:
        with suppress(Exception):  # where the scheduler is gone
            if client.status == "running":
                client.unsubscribe_topic(TOPIC)
                client.unregister_scheduler_plugin(TOPIC)


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
