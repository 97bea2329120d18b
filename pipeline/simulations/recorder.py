"""What comes of a simulation as it runs: diagnostics, checkpoints, times by stage; and the stop when it blows up."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np

from gridstride.pipeline.errors import JobFailed
from gridstride.pipeline.events.events import Events
from gridstride.pipeline.simulations import states
from gridstride.pipeline.simulations.diagnostics import Diagnostics
from gridstride.pipeline.simulations.job import Simulation
from gridstride.pipeline.simulations.restart import check_unchanged
from gridstride.pipeline.simulations.states import Checkpoint
from gridstride.pipeline.simulations.tasks import Due, Record
from gridstride.pipeline.sweep.record import Record as BlockRecord


class Recorder:
    """The records of one process's way through a simulation.

    checkpoint: the state to go on from, None before the first
    report: told which step has been reached
    """

    def __init__(
        self, simulation: Simulation, checkpoint: Checkpoint | None, events: Events, report: Callable[[int], None]
    ) -> None:
        self.simulation, self.checkpoint, self.events, self.report = simulation, checkpoint, events, report
        self.out = str(simulation.out.resolve())
        self.diagnostics = Diagnostics(simulation.out)
        self.stages: dict[str, float] = {}
        self.largest: dict[str, float] = {}

    @property
    def reached(self) -> int:
        """The step of the checkpoint."""
        return 0 if self.checkpoint is None else self.checkpoint.step

    @property
    def unscheduled(self) -> bool:
        """Whether the case leaves it to us when checkpoints are made."""
        return self.simulation.case.output.checkpoints is None

    def begin(self) -> None:
        """Forget what was recorded after the checkpoint: it is computed again."""
        self.diagnostics.truncate(-1 if self.checkpoint is None else self.checkpoint.step)

    def due(self, step: int, state: str | None = None, keep: bool = False) -> Due:
        timeline = self.simulation.timeline
        return Due(timeline.snapshot(step), timeline.sampled(step), state, keep)

    def new_state(self, step: int) -> str:
        """Make room for the state after a step; its name."""
        simulation = self.simulation
        chunks, codec = simulation.plan.chunks, simulation.case.output.codec
        return states.create_state(self.out, simulation.setup.domain, step, chunks, codec, self.checkpoint)

    def take(self, step: int, due: Due, records: Sequence[Record]) -> None:
        """Put together what the blocks say after a round. Raises JobFailed if the state blew up."""
        if step == 0:
            check_unchanged(self.out)
        for record in records:
            self.add_stages(record.stages)
            self.events.spans.take(record.worker, record.spans)
        blown = sorted((r for r in records if r.blown), key=lambda r: r.step)
        if blown:
            self.stop(blown[0].blown or "")
        if due.sample:
            row = self._row(step, records)
            self.diagnostics.append(row)
            reason = self.simulation.case.stops(row)
            if reason:
                self.end(reason)
        if due.state is not None:
            self.diagnostics.flush()
            self.checkpoint = states.switch(self.out, Checkpoint(due.state, step), self.checkpoint)
            self.events.say("checkpoint", f"checkpoint at step {step}", step=step)
        self.report(step)

    def take_block(self, record: BlockRecord) -> None:
        """What a block of a pass says of its worker."""
        self.events.spans.take(record.worker, record.spans)

    def add_stages(self, seconds: dict[str, float]) -> None:
        for name, value in seconds.items():
            self.stages[name] = self.stages.get(name, 0.0) + value

    def stop(self, where: str) -> None:
        """Raise JobFailed for a state that blew up."""
        self.end(self.simulation.case.blown_up(where, self.simulation.setup, self.largest))

    def end(self, reason: str) -> None:
        """Raise JobFailed for a state that is of no use."""
        good = "from the beginning" if self.checkpoint is None else f"from step {self.checkpoint.step}"
        raise JobFailed(f"{reason}; good {good}")

    def _row(self, step: int, records: Sequence[Record]) -> dict[str, float]:
        """One sample: sums over planes in their order, so that the cut changes no bit."""
        case, setup = self.simulation.case, self.simulation.setup
        parts = sorted((r.sums for r in records if r.sums is not None), key=lambda s: s.first)
        totals = np.concatenate([s.values for s in parts]).sum(axis=0) / self.simulation.cells
        row: dict[str, float] = {"step": step, **dict(zip(case.sums(), totals.tolist(), strict=True))}
        for name in case.largest():
            row[name] = max(s.largest[name] for s in parts)
            self.largest[name] = max(self.largest.get(name, -math.inf), row[name])
        names = case.gathered()
        if names:
            blocks = sorted(records, key=lambda r: r.index)
            found = [r.gathered for r in blocks if r.gathered is not None and r.gathered.size]
            values = np.full(len(names), np.nan)
            if found:
                values = case.from_gathered(np.concatenate(found).sum(axis=0), setup)
            row |= dict(zip(names, values.tolist(), strict=True))
        return row | case.derive(row)
