"""Selection networks: minima and maxima that sort lists, merge them, or find one element of many, generated and proved.

A network of minima and maxima is right for all inputs if it is right for all inputs of zeros and ones (Knuth, The Art
of Computer Programming 3, 5.3.4). Inputs that come as sorted lists of n have only n + 1 such states each; and for one
output of rank r of N, by monotonicity, only states of N-r-1 ones (it must give 0) and of N-r (it must give 1) count.
Every wire carries its truth table over these states, so equal wires are one, wires that cannot be the wanted rank are
left out, and the result is proved. Where there are too many states, wires are left out by counting what must lie below
and above them: some operations more, right by construction.

After A. Adams, "Fast median filters using separable sorting networks", SIGGRAPH 2021.
"""

from __future__ import annotations

import sys
import textwrap
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

import numpy as np

Lists = list[list[int]]
# (whether the smaller of the two is kept, wire, wire): its result is the next wire
Operation = tuple[bool, int, int]

MOST_STATES = 2**19  # half a second and 100 MB: five lists of 25
# Optimal networks for lists of single elements.
SORT = {
    2: [(0, 1)],
    3: [(0, 2), (0, 1), (1, 2)],
    4: [(0, 1), (2, 3), (0, 2), (1, 3), (1, 2)],
    5: [(0, 3), (1, 4), (0, 2), (1, 3), (0, 1), (2, 4), (1, 2), (3, 4), (2, 3)],
    7: [(0, 6), (2, 3), (4, 5), (0, 2), (1, 4), (3, 6), (0, 1), (2, 5), (3, 4), (1, 2), (4, 6), (2, 3), (4, 5), (1, 2),
        (3, 4), (5, 6)],
}  # fmt: skip


class Stage(NamedTuple):
    """Wires 0 ... inputs - 1 are the inputs, list by list; then comes one for each operation."""

    inputs: int
    operations: list[Operation]
    outputs: list[int]

    def uses(self, length: int) -> tuple[int, ...]:
        """The elements of its input lists, all of a length, that it uses of any of them."""
        wires = {wire for _, a, b in self.operations for wire in (a, b)} | set(self.outputs)
        return tuple(sorted({wire % length for wire in wires if wire < self.inputs}))


class Network:
    """Wires 0 ... inputs - 1 are the inputs, list by list; then comes one for each operation."""

    def __init__(self, lengths: Sequence[int]) -> None:
        self.inputs = sum(lengths)
        self.operations: list[Operation] = []
        self.known: dict[object, int] = {}
        starts = np.cumsum([0, *lengths])
        self.lists = [list(range(int(start), int(start) + n)) for start, n in zip(starts, lengths, strict=False)]

    def operation(self, least: bool, a: int, b: int) -> int:
        key = (least, min(a, b), max(a, b))
        if key not in self.known:
            self.operations.append((least, a, b))
            self.known[key] = self.inputs + len(self.operations) - 1
        return self.known[key]

    def compare(self, a: int, b: int) -> tuple[int, int]:
        return self.operation(True, a, b), self.operation(False, a, b)

    def sort(self, wires: Sequence[int]) -> list[int]:
        sorted_, middle = list(wires), len(wires) // 2
        if len(sorted_) > 1 and len(sorted_) not in SORT:
            return self.merge(self.sort(sorted_[:middle]), self.sort(sorted_[middle:]))
        for i, j in SORT.get(len(sorted_), ()):
            sorted_[i], sorted_[j] = self.compare(sorted_[i], sorted_[j])
        return sorted_

    def merge(self, a: Sequence[int], b: Sequence[int]) -> list[int]:
        """Two sorted lists as one: Batcher's odd-even merge, for any lengths."""
        if not a or not b:
            return [*a, *b]
        if len(a) == len(b) == 1:
            return list(self.compare(a[0], b[0]))
        even, odd = self.merge(a[::2], b[::2]), self.merge(a[1::2], b[1::2])
        merged = [even[0]]
        for i in range(max(len(even) - 1, len(odd))):
            if i < len(odd) and i + 1 < len(even):
                merged += self.compare(odd[i], even[i + 1])
            else:
                merged.append(odd[i] if i < len(odd) else even[i + 1])
        return merged

    def cross(self, lists: Lists) -> Lists:
        """Sort the lists' first elements, their second ones, and so on: each list stays sorted."""
        columns = [self.sort(column) for column in zip(*lists, strict=True)]
        return [list(row) for row in zip(*columns, strict=True)]

    def finish(self, outputs: Sequence[int]) -> Stage:
        """The operations that the outputs need, and the outputs, wires renumbered."""
        used, waiting = set(), list(outputs)
        while waiting:
            wire = waiting.pop()
            if wire >= self.inputs and wire not in used:
                used.add(wire)
                waiting += self.operations[wire - self.inputs][1:]
        order = sorted(used)
        name = {wire: i for i, wire in enumerate([*range(self.inputs), *order])}
        kept = [self.operations[wire - self.inputs] for wire in order]
        operations = [(least, name[a], name[b]) for least, a, b in kept]
        return Stage(self.inputs, operations, [name[wire] for wire in outputs])


class Counted(Network):
    """Finds the element of a rank of sorted lists of one length; wires are left out by counting."""

    def __init__(self, count: int, length: int, rank: int) -> None:
        super().__init__([length] * count)
        self.left, self.rank = self.inputs, rank

    def drop(self, lists: Lists, rows: int) -> Lists:
        """Leave out the wires that too many wires are below or above: wire i of list j has i + 1 below or at it, and of
        `rows` lists that are sorted across too (j + 1) (i + 1)."""
        kept: Lists = []
        low = high = 0
        for j, wires in enumerate(lists):
            below, above = (j + 1, rows - j) if rows > 1 else (1, 1)
            kept.append([])
            for i, wire in enumerate(wires):
                if (len(wires) - i) * above > self.left - self.rank:
                    low += 1
                elif (i + 1) * below > self.rank + 1:
                    high += 1
                else:
                    kept[-1].append(wire)
        self.left, self.rank = self.left - low - high, self.rank - low
        return [wires for wires in kept if wires]

    def selected(self, shortest: bool) -> Stage:
        """shortest: merge the shortest lists first, not those that lie side by side"""
        lists = self.drop(self.cross(self.lists), len(self.lists))
        while len(lists) > 1:
            lists = sorted(lists, key=len) if shortest else lists
            lists = self.drop([self.merge(lists[0], lists[1]), *lists[2:]], 1)
        return self.finish(lists[0])


class Tabled(Network):
    """Sorted lists of one length, every wire with its truth table; ones: how many ones each list holds, by state."""

    def __init__(self, length: int, ones: np.ndarray) -> None:
        super().__init__([length] * len(ones))
        self.tables = [np.packbits(i >= length - held) for held in ones for i in range(length)]
        for wire, table in enumerate(self.tables):
            self.known.setdefault(table.tobytes(), wire)

    def operation(self, least: bool, a: int, b: int) -> int:
        table = self.tables[a] & self.tables[b] if least else self.tables[a] | self.tables[b]
        key = table.tobytes()
        if key not in self.known:
            self.operations.append((least, a, b))
            self.tables.append(table)
            self.known[key] = len(self.tables) - 1
        return self.known[key]


class Proved(Tabled):
    """Finds the element of a rank of sorted lists of one length."""

    def __init__(self, count: int, length: int, rank: int) -> None:
        wanted = count * length - rank
        free = np.indices((length + 1,) * (count - 1), np.int32).reshape(count - 1, -1)  # ones in all but the last list
        rest = [total - free.sum(0, dtype=np.int32) for total in (wanted - 1, wanted)]
        kept = [(last >= 0) & (last <= length) for last in rest]
        ones = np.hstack([np.vstack([free[:, k], last[k]]) for k, last in zip(kept, rest, strict=True)])
        self.high, self.low = np.packbits(ones.sum(0) == wanted), np.packbits(ones.sum(0) < wanted)
        super().__init__(length, ones)

    def prune(self, lists: Lists) -> Lists:
        """Leave out the wires that are below or above the wanted one in every state."""
        left = []
        for wires in lists:
            tables = [self.tables[wire] for wire in wires]
            below = [not (table & self.high).any() for table in tables]  # 0 although the wanted one is 1
            above = [(table & self.low == self.low).all() for table in tables]
            left.append([wire for wire, b, a in zip(wires, below, above, strict=True) if not b and not a])
        return [wires for wires in left if wires]

    def selected(self) -> Stage:
        lists = self.prune(self.cross(self.lists))
        while len(lists) > 1:
            lists = sorted(lists, key=len)
            lists = self.prune([self.merge(lists[0], lists[1]), *lists[2:]])
        return self.finish([self.known[self.high.tobytes()]])


@lru_cache(256)
def merging(count: int, length: int, kept: tuple[int, ...]) -> Stage:
    """The elements `kept` of the sorted list that `count` sorted lists of a length make together."""
    if length == 1:
        network = Network([1] * count)
        sorted_ = network.sort(range(count))
        return network.finish([sorted_[i] for i in kept])
    found = []
    for crossed in (False, True):
        network = Network([length] * count)
        if (length + 1) ** count <= MOST_STATES:
            network = Tabled(length, np.indices((length + 1,) * count, np.int32).reshape(count, -1))
        lists = network.cross(network.lists) if crossed else network.lists
        while len(lists) > 1:
            lists = sorted(lists, key=len)
            lists = [*lists[2:], network.merge(lists[0], lists[1])]
        found.append(network.finish([lists[0][i] for i in kept]))
    return min(found, key=lambda stage: len(stage.operations))


@lru_cache(256)
def selecting(count: int, length: int, rank: int) -> Stage:
    """Finds the element of a rank (0: the smallest) of those of `count` sorted lists of a length."""
    if count == 1:
        return Stage(length, [], [rank])
    if (length + 1) ** (count - 1) <= MOST_STATES:
        return Proved(count, length, rank).selected()
    found = [Counted(count, length, rank).selected(shortest) for shortest in (True, False)]
    return min(found, key=lambda stage: len(stage.operations))


def box_stages(a: int, b: int, c: int, rank: int) -> list[tuple[Stage, tuple[int, ...]]]:
    """Sort a values, merge b such lists, select the element of a rank from c of those: each stage, and the elements of
    its lists that it gives out (of those of a sorted list of all it has)."""
    last = selecting(c, a * b, rank)
    kept = last.uses(a * b)
    middle = merging(b, a, kept)
    first_kept = middle.uses(a)
    return [(merging(a, 1, first_kept), first_kept), (middle, kept), (last, (rank,))]


# Boxes whose medians the CUDA kernels find by networks: cuda/networks.cuh, which `make networks` writes.
CUDA_BOXES = [(1, 3, 3), (1, 5, 5), (1, 7, 7), (3, 3, 3), (5, 5, 5)]
HEAD = """// Made by `make networks`; do not edit it. Sort A values, merge B such lists, find the median of C of those:
// in(list, element) is read, out(element, value) takes what is found. The elements of lists of one are numbered 0.
template <int A, int B, int C> struct Network;
template <class K> __device__ inline K lo(K a, K b) { return a < b ? a : b; }
template <class K> __device__ inline K hi(K a, K b) { return a < b ? b : a; }
"""


def cuda_source() -> str:
    """The networks of CUDA_BOXES in CUDA C++."""
    parts = [HEAD]
    for a, b, c in CUDA_BOXES:
        stages = zip(("sort", "merge", "select"), box_stages(a, b, c, a * b * c // 2), (1, a, a * b), strict=True)
        bodies = [_function(name, stage, kept, length) for name, (stage, kept), length in stages]
        parts.append(f"template <> struct Network<{a}, {b}, {c}> {{\n" + "".join(bodies) + "};\n")
    return "\n".join(parts)


def _function(name: str, stage: Stage, kept: tuple[int, ...], length: int) -> str:
    read = [wire for wire in range(stage.inputs) if wire % length in stage.uses(length)]
    words = [f"w{wire} = in({wire // length}, {wire % length})" for wire in read]
    words += [
        f"w{wire} = {'lo' if least else 'hi'}(w{p}, w{q})"
        for wire, (least, p, q) in enumerate(stage.operations, stage.inputs)
    ]
    ends = [f"out({element}, w{wire});" for element, wire in zip(kept, stage.outputs, strict=True)]
    body = _filled("const K " + ", ".join(words) + ";") + "\n" + _filled(" ".join(ends))
    head = "    template <class K, class In, class Out> static __device__ inline void "
    return f"{head}{name}(In in, Out out)\n    {{\n{body}\n    }}\n"


def _filled(text: str) -> str:
    return textwrap.fill(text, 118, initial_indent=" " * 8, subsequent_indent=" " * 8)


if __name__ == "__main__":
    Path(sys.argv[1]).write_text(cuda_source())
