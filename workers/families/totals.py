"""Totals: the reports of a tally, joined, and the numbers that follow from them, each rounded once."""

from __future__ import annotations

from fractions import Fraction
from math import isqrt

import numpy as np

from gridstride.workers.families.keys import DIGITS, FINITE, HIGH, HIGH_RESTS, HISTOGRAM, LOW, RESTS, SQUARES, SUM
from gridstride.workers.operators.base import Report

ORIGIN = 34  # parts of 32 bits of a sum before 2^0
MOST_WAITING = 2**21  # rows that wait to be joined
ROOT_BITS = 64  # of a square root before it is rounded to 53


class Totals:
    """counts: int64 (groups, FINITE + 1), of each kind of element; keys: {group: (least, largest)}"""

    def __init__(self, groups: int) -> None:
        self.counts = np.zeros((groups, FINITE + 1), np.int64)
        self.keys: dict[int, tuple[int, int]] = {}
        self._parts: list[dict[int, int]] = [{} for _ in range(groups)]
        self._waiting = [np.zeros((0, 3), np.int64)]

    def take(self, report: Report) -> None:
        """Count a report."""
        many = report[:, 1] >= DIGITS
        self._waiting.append(report[many])
        if sum(map(len, self._waiting)) > MOST_WAITING:
            self._waiting = [self._joined()]
        for group, slot, number in report[~many].tolist():
            if slot <= FINITE:
                self.counts[group, slot] += number
            elif slot in (LOW, HIGH):
                key = number % 2**64
                low, high = self.keys.get(group, (key, key))
                self.keys[group] = min(low, key), max(high, key)
            else:
                self._parts[group][slot] = self._parts[group].get(slot, 0) + number

    def _joined(self) -> np.ndarray:
        """The rows of counts in order, one of each group and slot."""
        rows = np.concatenate(self._waiting)
        rows = rows[np.lexsort((rows[:, 1], rows[:, 0]))]
        new = np.ones(len(rows), bool)
        new[1:] = np.any(rows[1:, :2] != rows[:-1, :2], axis=1)
        first = np.flatnonzero(new)
        return np.column_stack([rows[first, :2], np.add.reduceat(rows[:, 2], first)]) if len(first) else rows

    def rows(self) -> dict[int, np.ndarray]:
        """By the first slot of each: (group, slot after it, number) of counted digits, a histogram's bins, and the sums
        of rests, in order."""
        rows = self._joined()
        ends = {DIGITS: HISTOGRAM, HISTOGRAM: RESTS, RESTS: HIGH_RESTS, HIGH_RESTS: 2 * HIGH_RESTS}
        return {first: rows[(rows[:, 1] >= first) & (rows[:, 1] < end)] - [0, first, 0] for first, end in ends.items()}

    def moments(self, group: int) -> tuple[Fraction, Fraction]:
        """The sum of a group's finite numbers, and that of their squares."""
        found = [0, 0]
        for slot, number in self._parts[group].items():
            squared = slot >= SQUARES
            found[squared] += number << (32 * (slot - (SQUARES if squared else SUM)))
        return Fraction(found[0], 2 ** (32 * ORIGIN)), Fraction(found[1], 2 ** (64 * ORIGIN))


def root(square: Fraction) -> float:
    """The square root of a fraction, rounded once."""
    top, bottom = square.numerator, square.denominator
    shift = ROOT_BITS - (top.bit_length() - bottom.bit_length()) // 2  # of the root, which has about that many bits
    top, bottom = (top << 2 * shift, bottom) if shift >= 0 else (top, bottom << -2 * shift)
    whole, rest = divmod(top, bottom)
    found = isqrt(whole)
    more = rest != 0 or found * found != whole  # the last bit says that there is more
    return float(Fraction(2 * found + more) / Fraction(2) ** (shift + 1))
