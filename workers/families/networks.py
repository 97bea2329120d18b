"""Selection networks: minima and maxima that sort lists, or find the median of many, generated and proved.

A network of minima and maxima is right for all inputs if it is right for all inputs of zeros and ones (Knuth, The Art
of Computer Programming 3, 5.3.4). Inputs that come as sorted lists of n have only n + 1 such states each; and for one
output of rank r of N, by monotonicity, only states of N-r-1 ones (it must give 0) and of N-r (it must give 1) count.
Every wire carries its truth table over these states, so equal wires are one, wires that cannot be the wanted rank are
left out, and the result is proved.

After A. Adams, "Fast median filters using separable sorting networks", SIGGRAPH 2021.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache

import numpy as np

Lists = list[list[int]]
# (whether the smaller of the two is kept, wire, wire): its result is the next wire
Operation = tuple[bool, int, int]

# Optimal networks for lists of single elements.
SORT = {
    3: [(0, 2), (0, 1), (1, 2)],
    5: [(0, 3), (1, 4), (0, 2), (1, 3), (0, 1), (2, 4), (1, 2), (3, 4), (2, 3)],
}


class Network:
    """Wires 0 ... inputs - 1 are the inputs, list by list; then comes one for each operation."""

    def __init__(self, lengths: Sequence[int], rank: int | None = None) -> None:
        grids = np.meshgrid(*[np.arange(n + 1) for n in lengths], indexing="ij")
        ones = np.stack([grid.ravel() for grid in grids])  # how many ones each list holds, in each state
        self.inputs, self.rank = sum(lengths), rank
        if rank is not None:
            wanted = self.inputs - rank
            ones = ones[:, np.isin(ones.sum(0), (wanted - 1, wanted))]
            self.high = np.packbits(ones.sum(0) == wanted)
            self.low = np.packbits(ones.sum(0) < wanted)
        self.operations: list[Operation] = []
        self.tables: list[np.ndarray] = []
        self.known: dict[bytes, int] = {}
        self.lists = [
            [self._wire(np.packbits(i >= n - held)) for i in range(n)] for n, held in zip(lengths, ones, strict=True)
        ]

    def _wire(self, table: np.ndarray) -> int:
        self.tables.append(table)
        self.known.setdefault(table.tobytes(), len(self.tables) - 1)
        return len(self.tables) - 1

    def _operation(self, least: bool, a: int, b: int) -> int:
        table = self.tables[a] & self.tables[b] if least else self.tables[a] | self.tables[b]
        found = self.known.get(table.tobytes())
        if found is not None:
            return found
        self.operations.append((least, a, b))
        return self._wire(table)

    def compare(self, a: int, b: int) -> tuple[int, int]:
        return self._operation(True, a, b), self._operation(False, a, b)

    def sort(self, wires: Sequence[int]) -> list[int]:
        sorted_ = list(wires)
        for i, j in SORT[len(sorted_)]:
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

    def prune(self, lists: Lists) -> Lists:
        """Leave out the wires that are below or above the wanted one in every state."""
        left = []
        for wires in lists:
            tables = [self.tables[wire] for wire in wires]
            below = [not (table & self.high).any() for table in tables]  # 0 although the wanted one is 1
            above = [(table & self.low == self.low).all() for table in tables]
            left.append([wire for wire, b, a in zip(wires, below, above, strict=True) if not b and not a])
        return [wires for wires in left if wires]

    def finish(self, outputs: Sequence[int]) -> tuple[list[Operation], list[int]]:
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
        return [(least, name[a], name[b]) for least, a, b in kept], [name[wire] for wire in outputs]


@cache
def sorting(count: int) -> tuple[list[Operation], list[int]]:
    """Sorts `count` (3 or 5) values."""
    network = Network([1] * count)
    return network.finish(network.sort([wires[0] for wires in network.lists]))


@cache
def merging(count: int, length: int) -> tuple[list[Operation], list[int]]:
    """Merges `count` sorted lists of a length to one."""
    network = Network([length] * count)
    lists = network.lists
    while len(lists) > 1:
        lists = sorted(lists, key=len)
        lists = [*lists[2:], network.merge(lists[0], lists[1])]
    return network.finish(lists[0])


@cache
def selecting(count: int, length: int) -> tuple[list[Operation], list[int]]:
    """Finds the median of the elements of `count` (3 or 5) sorted lists of a length."""
    network = Network([length] * count, count * length // 2)
    lists = network.prune(network.cross(network.lists))
    while len(lists) > 1:
        lists = [lists[0], lists[-1], *lists[1:-1]]
        lists = network.prune([network.merge(lists[0], lists[1]), *lists[2:]])
    return network.finish([network.known[network.high.tobytes()]])
