"""JobSummary: what a job did, as its commands print it and Python gets it."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from gridstride.pipeline.errors import JobFailed
from gridstride.pipeline.planning.plan import Plan
from gridstride.pipeline.sweep.record import Summary

FAILURES_NAMED = 3  # blocks that a line about a reason names


@dataclass(kw_only=True)
class JobSummary(Summary):
    """What a job did: the figures of its last sweep, with the seconds and the bytes of all of them.

    computed, skipped, retried: counts of blocks; failed: {block: reasons}; voxels: elements of the result computed
    axes: which were filtered and which were not, in words
    groups: of a pipeline's steps: what was fused, what was stored between, and why
    notes: what a user would not expect of the job, a line each
    seconds: of the sweeps; startup_seconds: of the cluster; stages: seconds summed over threads; idle likewise
    """

    out: str
    device: str
    plan: Plan
    workers: int
    threads: int
    axes: str = ""
    groups: tuple[str, ...] = ()
    startup_seconds: float = 0.0
    notes: tuple[str, ...] = ()

    @property
    def idle(self) -> float:
        """Seconds that threads had nothing to do, summed over threads."""
        return max(0.0, self.seconds * self.workers * self.threads - sum(self.stages.values()))

    @property
    def voxels_per_second(self) -> float:
        return self.voxels / self.seconds if self.seconds else 0.0

    def add(self, sweep: Summary, last: bool) -> None:
        """Count a sweep; of those before the last one, the time and the bytes alone."""
        self.seconds += sweep.seconds
        self.bytes_in += sweep.bytes_in
        self.bytes_out += sweep.bytes_out
        for name, seconds in sweep.stages.items():
            self.stages[name] = round(self.stages.get(name, 0.0) + seconds, 4)
        self.failed |= sweep.failed
        if last:
            for name in ("computed", "skipped", "retried", "voxels"):
                setattr(self, name, getattr(sweep, name))

    def failures(self) -> list[str]:
        """A line for each reason: one bad chunk fails all blocks that read it."""
        blocks: dict[str, list[str]] = {}
        for index, reasons in self.failed.items():
            for reason in reasons:
                blocks.setdefault(reason, []).append(index)
        lines = []
        for reason, those in blocks.items():
            more = f" and {len(those) - FAILURES_NAMED} more" if len(those) > FAILURES_NAMED else ""
            named = ", ".join(those[:FAILURES_NAMED]) + more
            lines.append(f"failed: {'block' if len(those) == 1 else 'blocks'} {named}: {reason}")
        return lines

    def raise_if_failed(self) -> None:
        if self.failed:
            raise JobFailed(
                f"{len(self.failed)} of {self.plan.blocks} blocks failed; the others are written to {self.out}"
            )

    def plain(self) -> dict[str, Any]:
        """As JSON holds it."""
        content = asdict(self)
        content["plan"] = {"blocks": self.plan.blocks, "block": self.plan.block, "grid": self.plan.grid}
        return content | {"idle": self.idle}
