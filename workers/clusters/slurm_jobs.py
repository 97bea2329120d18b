"""The jobs of a SLURM cluster, as SLURM sees them: why they do not start, which are lost, and new ones for those.

dask-jobqueue starts jobs and forgets them: one that is cancelled, preempted or killed stays lost (dask-jobqueue#611),
and what sbatch says of one that it refuses is only logged. So a job here keeps what sbatch said, and a thread asks
SLURM every few seconds and sends a new job for each that is gone, up to a bound.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from dask_jobqueue.slurm import SLURMJob
from distributed.core import Status

from gridstride.workers.clusters.base import CannotStart, ClusterLost, last_line, log, output_of

# States of a job that has workers, or will have them.
ALIVE = {"PENDING", "RUNNING", "CONFIGURING", "COMPLETING", "SUSPENDED", "REQUEUED", "RESIZING", "STOPPED", "SIGNALING"}
POLL_SECONDS = 5.0


class Job(SLURMJob):
    """A job that keeps what sbatch said where it was refused; it has no number then."""

    refused = ""

    async def start(self) -> None:
        try:
            await super().start()
        except RuntimeError as error:
            self.refused = " ".join(str(error).split("stderr:")[-1].split())[:300]
            self.status = Status.running  # as the cluster expects of what it started

    async def close(self) -> None:
        await super().close()
        self.status = Status.closed  # dask-jobqueue leaves it running


class Jobs:
    """The jobs of one `SLURMCluster`.

    logs: folder of the jobs' logs; most: how many lost jobs are replaced
    """

    def __init__(self, cluster: Any, logs: str, most: int) -> None:
        self.cluster, self.logs, self.most = cluster, Path(logs), most
        self.replaced = 0
        self.hopeless: str | None = None
        self._stop = threading.Event()

    def send(self, count: int) -> None:
        """Send the jobs. Raises CannotStart if sbatch refuses one."""
        self.cluster.scale(jobs=count)
        self.cluster.sync(self._settle)
        for job in self.cluster.workers.values():
            if job.refused:
                raise CannotStart(f"sbatch refused the job: {job.refused}")

    def ids(self) -> dict[str, Any]:
        """Number of each job that was sent, with its name in the cluster."""
        return {str(job.job_id): name for name, job in dict(self.cluster.workers).items() if job.job_id}

    def why(self, late: bool) -> str | None:
        """Why workers do not come; before the time limit only if no job is left that could bring them."""
        states = self._states()
        if states is None or (not late and (not states or any(state in ALIVE for state, _ in states.values()))):
            return None
        if not states:
            return "no job was sent"
        dead = [job for job, (state, _) in states.items() if state not in ALIVE]
        job = dead[0] if dead else next(iter(states))
        state, reason = states[job]
        said = self._said(job)
        if state == "PENDING":
            return f"job {job} waits in the queue: {reason} (squeue -j {job}); set a longer 'timeout'"
        if state in ALIVE:
            return f"job {job} is {state} but its worker has not connected" + (
                f"; its log ends: {said}" if said else ""
            )
        return f"job {job} ended ({state}{'' if reason in ('None', '') else f', {reason}'})" + (
            f"; its log ends: {said}" if said else f"; it left no log in {self.logs}"
        )

    def _states(self) -> dict[str, tuple[str, str]] | None:
        """(state, reason) of each job; None while SLURM does not answer."""
        ids = list(self.ids())
        if not ids:
            return {}
        jobs = f"--jobs={','.join(ids)}"
        code, out, err = output_of("squeue", "--noheader", "--states=all", "--format=%i|%T|%r", jobs)
        if code and "Invalid job id" not in err:
            return None
        found = {}
        for line in out.splitlines():
            job, state, reason = [*line.strip().split("|", 2), "", ""][:3]
            found[job] = (state, reason)
        return {job: found.get(job, ("gone", "")) for job in ids}

    def _said(self, job: str) -> str:
        """The line of a job's error log that says most."""
        for path in sorted(self.logs.glob(f"*-{job}.err")):
            lines = [line for line in path.read_text(errors="replace").splitlines() if line.strip()]
            # The traceback's end says more than what follows it.
            errors = [line for line in lines if "Error" in line or "error:" in line or "No module" in line]
            return last_line("\n".join(errors or lines))
        return ""

    # --- lost jobs ----------------------------------------------------------------------------------------------

    @contextmanager
    def watched(self, client: Any) -> Iterator[None]:
        """Replaces lost jobs while the context lasts. An error of the body, once no job is left, is raised as that."""
        thread = threading.Thread(target=self._watch, args=(client,), name="gridstride-slurm", daemon=True)
        thread.start()
        try:
            yield
        except Exception as error:
            if self.hopeless:
                raise ClusterLost(self.hopeless) from error
            raise
        finally:
            self._stop.set()
            thread.join()

    def _watch(self, client: Any) -> None:
        while not self._stop.wait(POLL_SECONDS):
            try:
                self.look_after()
            except Exception as error:  # SLURM may be away for a while; the workers that are there go on
                log.warning("SLURM's jobs cannot be checked: %s", " ".join(str(error).split())[:200])
            if self.hopeless:
                log.error("%s", self.hopeless)
                client.close()  # wakes whoever waits for results that will not come
                return

    def look_after(self) -> None:
        """Replace the jobs that are gone, and those that could not be sent."""
        ids, states = self.ids(), self._states()
        if states is None:
            return
        lost = {
            ids[job]: f"SLURM job {job} is gone ({state})" for job, (state, _) in states.items() if state not in ALIVE
        }
        # Distributed forgets a job whose worker has been away for a while.
        nowhere = set(self.cluster.worker_spec) - set(ids.values())
        lost |= dict.fromkeys(nowhere, "a SLURM job is gone, or was refused by sbatch")
        for name, what in lost.items():
            if self.replaced >= self.most:
                if len(lost) >= len(self.cluster.worker_spec):
                    self.hopeless = f"{what} and {self.most} were replaced before: no job is left, see {self.logs}"
                return
            self.replaced += 1
            log.warning(
                "%s: a new one replaces it (%d of at most %d)", what, self.replaced, self.most,
                extra={"event": "job-replaced"},
            )  # fmt: skip
            self.cluster.sync(self._replace, name)

    async def _replace(self, name: str) -> None:
        cluster = self.cluster
        # The new one first, so that its name is new: the scheduler may not have missed the old worker yet, and refuses
        # a second of its name.
        cluster.worker_spec.update(cluster.new_worker_spec())
        cluster.worker_spec.pop(name, None)
        gone = cluster.workers.pop(name, None)  # else the scheduler is asked to retire its workers
        if gone is not None:
            await gone.close()
        await self._settle()

    async def _settle(self) -> None:
        """Send what is to be there and is not."""
        await self.cluster
