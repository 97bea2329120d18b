"""Where a pipeline stores a result between steps: where that takes less time than computing halos, or whole steps,
several times. Pure arithmetic.

A fused group of steps is read once and written once, but each block computes what the later steps need beyond its
edges, which its neighbours compute too; and all steps before one that must know the whole array first (Otsu's
threshold) run once more for each sweep that this one asks for. A stored result is written once and read once for each
of these sweeps. Of all ways to cut, the one that takes the fewest seconds is chosen.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from math import inf

from gridstride.pipeline.errors import UsageError
from gridstride.pipeline.layout import Layout, carried
from gridstride.pipeline.planning.batches import STORE_BYTE_SECONDS
from gridstride.pipeline.planning.plan import Plan, make_plan
from gridstride.pipeline.planning.request import Request
from gridstride.pipeline.storage.journal import Journal
from gridstride.pipeline.text import megabytes
from gridstride.workers.operators.base import Grid, Operator
from gridstride.workers.operators.graph import Graph, Step
from gridstride.workers.operators.staged import Staged, cuttable, part
from gridstride.workers.region import Region

Unit = tuple[int, ...]
# (operator, grid, write unit, read unit, whether it writes the job's result): the request of a sweep.
Ask = Callable[[Operator, Grid, Unit, Unit, bool], Request]
SWEEP_SECONDS = 0.1  # that a sweep takes beside its work
GPU_WORK = 0.02  # of a CPU thread's time, about
WORTH = 0.9  # of the seconds without a cut, at most: estimates are rough


@dataclass(frozen=True)
class Group:
    """Steps that are fused: from `first` to before `last`, counted from 0. grid: what they read, in chunks of `read`

    seconds: of all threads together, for one sweep; again: for the sweeps that steps ask for before it
    trouble: why there is no plan
    """

    first: int
    last: int
    operator: Operator
    grid: Grid
    read: Unit
    plan: Plan | None
    seconds: float
    again: float
    trouble: str = ""

    @property
    def total(self) -> float:
        return self.seconds + self.again


@dataclass(frozen=True)
class Stages:
    """The fused groups of a job, and why they are cut there."""

    groups: tuple[Group, ...]
    reasons: tuple[str, ...]  # for each cut; of one group alone, why there is none

    @property
    def plan(self) -> Plan:
        """Of the sweep that writes the result. Raises UsageError if a group has none."""
        for group in self.groups:
            if group.plan is None:
                raise UsageError(group.trouble)
        assert self.groups[-1].plan is not None
        return self.groups[-1].plan

    def lines(self, names: Sequence[str]) -> Iterator[str]:
        """The groups and the reasons in words. names: of the steps"""
        for number, group in enumerate(self.groups):
            plan = group.plan
            if plan is None:
                continue
            which = f"{group.first + 1} to {group.last}" if group.last > group.first + 1 else str(group.last)
            steps = f"{'steps' if ' ' in which else 'step'} {which} ({', '.join(names[group.first : group.last])})"
            halo = ", ".join(f"{b}+{a}" for b, a in plan.halo.depth)
            kept = group.operator.kept(group.grid)
            read = plan.bytes_in * (1 + group.operator.sweeps() - len(kept)) + sum(kept)
            moved = f"reads {megabytes(read)}, writes {megabytes(plan.bytes_out + sum(kept))}"
            yield (
                f"{steps}: {_times(group)}; halo {halo}, {plan.halo.overhead:.1%} more taken in; "
                f"{megabytes(plan.memory_per_worker)} in a worker; {moved}"
            )
            yield from self.reasons[number : number + 1]

    @property
    def disk(self) -> int:
        return disk(*((group.operator, group.grid) for group in self.groups))


def disk(*groups: tuple[Operator, Grid]) -> int:
    """Bytes that groups of sweeps, one after another, keep on disk at a time at most, before compression: a stored
    result is removed when the next one is there."""
    sizes = [0]
    for operator, grid in groups:
        sizes += [*operator.kept(grid), operator.out_grid(grid).nbytes]
    return max(a + b for a, b in pairwise(sizes))


def _times(group: Group) -> str:
    """How often a group reads and writes, in words."""
    sweeps, stored = group.operator.sweeps() + 1, len(group.operator.kept(group.grid))
    if sweeps == 1:
        return "one sweep"
    which = "each of which" if stored == sweeps - 1 else f"{stored + 1} of which" if stored else "of which the last one"
    return f"{sweeps} sweeps, {which} write{'' if stored and stored < sweeps - 1 else 's'}"


def staged(
    operator: Staged, grid: Grid, read: Unit, layout: Layout, ask: Ask, stored: Journal | None
) -> tuple[Operator, Stages]:
    """A pipeline cut where that is best, or where it was cut when the job of `stored` was begun; and its groups.

    grid, read: of the input, and its chunks. Raises UsageError if there is no plan.
    """
    stager, cuts = Stager(operator.graph, grid, read, layout, ask), operator.cuts
    if not cuts and stored is not None and "cuts" not in stored.read():
        raise UsageError(f"{stored.out} was begun by an earlier gridstride: use --overwrite to start again")
    if not cuts:
        cuts = stager.best() if stored is None else tuple(stored.read()["cuts"])
    return Staged(operator.graph, cuts) if cuts else operator.graph, stager.stages(cuts)


class Stager:
    """Finds and judges the groups of a graph's steps on a grid that is stored in chunks of `read`."""

    def __init__(self, graph: Graph, grid: Grid, read: Unit, layout: Layout, ask: Ask) -> None:
        self.graph, self.layout, self.ask = graph, layout, ask
        self.count = len(graph.steps)
        self.grids = [grid, *(graph.grids(grid)[step.name] for step in graph.steps)]
        self.reads: dict[int, Unit] = {0: read}
        self.known: dict[tuple[int, int], Group] = {}

    @cached_property
    def cuts(self) -> list[int]:
        return cuttable(self.graph)

    def group(self, first: int, last: int) -> Group:
        if (first, last) not in self.known:
            self.known[first, last] = self._judged(first, last)
        return self.known[first, last]

    def read(self, at: int) -> Unit:
        """The chunks of what the group from a step on reads."""
        if at not in self.reads:
            self.reads[at] = between(part(self.graph, 0, at), self.grids[0], self.reads[0], self.layout, self.grids[-1])
        return self.reads[at]

    def _judged(self, first: int, last: int) -> Group:
        operator, grid, read = part(self.graph, first, last), self.grids[first], self.read(first)
        ends = last == self.count
        unit = self.layout.write_unit if ends else self.read(last)
        request = self.ask(operator, grid, unit, read, ends)
        try:
            plan = make_plan(request)
        except UsageError as error:
            return Group(first, last, operator, grid, read, None, inf, 0.0, str(error))
        seconds, again = _seconds(operator, grid, plan, request)
        return Group(first, last, operator, grid, read, plan, seconds, again)

    def stages(self, cuts: tuple[int, ...]) -> Stages:
        """The groups between the cuts, with a reason for each cut."""
        edges = [0, *cuts, self.count]
        groups = [self.group(first, last) for first, last in pairwise(edges)]
        reasons = [self._reason(a, b) for a, b in pairwise(groups)] or [self._why_whole()]
        return Stages(tuple(groups), tuple(reasons))

    def _reason(self, before: Group, after: Group) -> str:
        """Why two groups are not one."""
        size = megabytes(before.operator.out_grid(before.grid).nbytes)
        both = self.group(before.first, after.last)
        if both.plan is None:
            return f"stored ({size}): fused, {both.trouble.partition(': make')[0]}"
        saved = both.total - before.total - after.total
        if saved <= 0:  # memory and workers were others then
            return f"stored ({size}): the job was begun so"
        if not self._on_gpu(both) and (self._on_gpu(before) or self._on_gpu(after)):
            what = "fused, all these steps would run on the CPU, where one of them must"
        elif both.again - before.again - after.again > both.seconds - before.seconds - after.seconds:
            what = "sweeps that a later step asks for read it, and do not compute it again"
        else:
            what = f"fused, blocks would take in {both.plan.halo.overhead:.0%} more elements than there are"
        return f"stored ({size}): {what}, which saves about {_share(saved, both.total)} of the time"

    def _on_gpu(self, group: Group) -> bool:
        """Whether a group's last sweep runs on a GPU."""
        return self.ask(group.operator, group.grid, group.read, group.read, False).device_memory is not None

    def _why_whole(self) -> str:
        """Why all steps are one group."""
        if not self.cuts:
            return "fused: wherever it could be cut, later steps read what comes before"
        least = megabytes(2 * min(self.grids[cut].nbytes for cut in self.cuts))
        return f"fused: a result that is stored between takes {least} more of writing and reading, which saves no time"

    def best(self) -> tuple[int, ...]:
        """The cuts that take the fewest seconds; none unless they are worth it."""
        whole = self.group(0, self.count)
        if not self.cuts or whole.total <= self._least():
            return ()
        best: dict[int, tuple[float, tuple[int, ...]]] = {0: (0.0, ())}
        edges, most = [0, *self.cuts, self.count], WORTH * whole.total
        for first in edges[:-1]:
            before, cuts = best.get(first, (inf, ()))
            for last in edges[edges.index(first) + 1 :]:
                seconds = before + self.group(first, last).total
                if seconds < most:
                    best[last] = min(best.get(last, (inf, ())), (seconds, (*cuts, first) if first else ()))
                elif seconds - self.grids[last].nbytes * STORE_BYTE_SECONDS >= most:
                    break  # more steps take longer
        return best.get(self.count, (inf, ()))[1]

    def _least(self) -> float:
        """Seconds that no way with a cut can take less than."""
        result = self.grids[-1]
        ask = self.ask(self.graph, self.grids[0], self.layout.write_unit, self.reads[0], True)
        steps = self.graph.asked(Region.whole(result.shape), self.grids[0])
        work = sum(_work(step.operator, source, ask) * region.size for step, source, region in steps)
        stored = 2 * min(self.grids[cut].nbytes for cut in self.cuts) + self.grids[0].nbytes + result.nbytes
        return work + stored * STORE_BYTE_SECONDS


def _seconds(operator: Operator, grid: Grid, plan: Plan, request: Request) -> tuple[float, float]:
    """Seconds of all threads for a sweep, and for the sweeps that steps ask for before it."""
    if not plan.blocks:
        return 0.0, 0.0
    block = plan.region([(n - 1) // 2 for n in plan.grid])
    graph = operator if isinstance(operator, Graph) else Graph((Step("alone", operator),))
    taken = operator.needed(block, grid).size * plan.itemsize if plan.halos == "read" else plan.bytes_in / plan.blocks
    done, again = taken * STORE_BYTE_SECONDS, 0.0
    for step, source, region in graph.asked(block, grid):
        sweeps, stored = step.operator.sweeps(), sum(step.operator.kept(source)) / plan.blocks * STORE_BYTE_SECONDS
        work = _work(step.operator, source, request) * region.size
        if stored:  # each of its sweeps stores its share, which the next one reads: what comes before it runs once
            share = work / (sweeps + 1)
            read = stored / sweeps
            again += done + sweeps * share + stored + (sweeps - 1) * read
            done = read + share
        else:
            again += sweeps * done
            done += work
    written = plan.bytes_out * STORE_BYTE_SECONDS
    return done * plan.blocks + written + SWEEP_SECONDS * request.lanes, again * plan.blocks


def _work(operator: Operator, grid: Grid, request: Request) -> float:
    """Seconds for an element of an operator's result."""
    return operator.element_time(grid) * 1e-9 * (1.0 if request.device_memory is None else GPU_WORK)


def _share(part: float, whole: float) -> str:
    return f"{100 * part / whole:.0f} %" if whole else "0 %"


def between(operator: Operator, grid: Grid, read: Unit, layout: Layout, result: Grid) -> Unit:
    """The chunks of what an operator stores before a job's result: of the same shape as those of the result, else those
    of what it reads."""
    out = operator.out_grid(grid)
    if out.shape == result.shape:
        return layout.chunks
    return carried(read, operator.axes_from(grid), out.shape)
