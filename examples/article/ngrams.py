"""n-grams: how often each sequence of n words occurs, and P(word | words before it) from these counts.

    python examples/article/ngrams.py

Words become numbers, and an n-gram one number in base `vocabulary`, so that counting is a sort of whole numbers.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from device import on_host, xp

TEXT = """the cat sat on the mat and the dog sat on the rug and the cat saw the dog"""


def numbered(words: list[str]) -> tuple[list[str], Any]:
    """The vocabulary in alphabetical order, and each word's place in it."""
    vocabulary, places = np.unique(words, return_inverse=True)
    return [str(word) for word in vocabulary], xp.asarray(places.reshape(-1))


def ngrams(places: Any, n: int, vocabulary: int) -> tuple[Any, Any]:
    """The n-grams that occur, (k, n) places in order, and their counts. Raises ValueError where 64 bits are too few."""
    if vocabulary**n >= 2**63:
        raise ValueError(f"{n}-grams of {vocabulary} words have no numbers of 64 bits: expected a smaller n")
    count = max(0, len(places) - n + 1)
    codes = xp.zeros(count, xp.int64)
    for i in range(n):
        codes = codes * vocabulary + places[i : i + count]
    found, counts = xp.unique(codes, return_counts=True)
    digits = [found // vocabulary ** (n - 1 - i) % vocabulary for i in range(n)]
    return xp.stack(digits, 1), counts


def probabilities(grams: Any, counts: Any) -> Any:
    """P(last word | the words before it) = count of the n-gram / count of all n-grams that begin like it."""
    _, group = xp.unique(grams[:, :-1], axis=0, return_inverse=True)
    group = group.reshape(-1)
    return counts / xp.bincount(group, counts)[group]


if __name__ == "__main__":
    vocabulary, places = numbered(TEXT.split())
    grams, counts = ngrams(places, 2, len(vocabulary))
    for gram, count, p in zip(on_host(grams), on_host(counts), on_host(probabilities(grams, counts)), strict=True):
        words = [vocabulary[place] for place in gram]
        print(f"{' '.join(words):10s} {count} times   P({words[1]} | {words[0]}) = {p:.2f}")
