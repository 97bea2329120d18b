"""Thresholds: values that divide a histogram in two classes.

Each takes the histogram's steps as scikit-image does, for its very value: the values that bins stand for, and counts,
in float32 where scikit-image has them so.
"""

from __future__ import annotations

from math import nan, sqrt

import numpy as np

from gridstride.workers.families.histogram import Histogram


def used(counts: np.ndarray, histogram: Histogram) -> tuple[np.ndarray, np.ndarray]:
    """The counts from the first bin that holds an element to the last one, and the values that these bins stand for."""
    there = np.flatnonzero(counts)
    if len(there) == 0:
        return counts[:0], np.zeros(0)
    first, last = int(there[0]), int(there[-1])
    if histogram.edges is None:
        low, high = histogram.low + first, histogram.low + last
        centres = np.arange(low, high + 1, dtype=np.int64 if high < 2**63 else np.uint64)
    else:
        centres = ((histogram.edges[:-1] + histogram.edges[1:]) / 2.0)[first : last + 1]
    return counts[first : last + 1], centres


def otsu(counts: np.ndarray, histogram: Histogram) -> float | int:
    """The value that divides a histogram in two classes of the largest variance between them; NaN if it is empty.

    N. Otsu, "A threshold selection method from gray-level histograms", 1979, eq. 18; in skimage's own steps, counts in
    float32, for its very value.
    """
    counts, centres = used(counts, histogram)
    if len(counts) < 2:
        return centres[0].item() if len(centres) else nan
    weights = counts.astype(np.float32)
    below, beyond = np.cumsum(weights), np.cumsum(weights[::-1])[::-1]
    # Scaled by a power of 2, which changes no bit but the exponent: squares of 1e200 would be infinite.
    numbers = centres.astype(np.float64)
    values = weights * np.ldexp(numbers, -np.frexp(np.abs(numbers).max())[1])
    mean_below = np.cumsum(values) / below
    mean_beyond = (np.cumsum(values[::-1]) / beyond[::-1])[::-1]
    between = below[:-1] * beyond[1:] * (mean_below[:-1] - mean_beyond[1:]) ** 2
    return centres[int(np.argmax(between))].item()


def triangle(counts: np.ndarray, histogram: Histogram) -> float | int:
    """The value whose count is farthest below the line from the histogram's peak to the end of its longer tail; NaN if
    it is empty.

    G. W. Zack, W. E. Rogers, S. A. Latt, "Automatic measurement of sister chromatid exchange frequency", 1977.
    """
    counts, centres = used(counts, histogram)
    if len(counts) < 2:
        return centres[0].item() if len(centres) else nan
    peak = int(np.argmax(counts))
    turned = peak < len(counts) - 1 - peak
    if turned:
        counts, peak = counts[::-1], len(counts) - 1 - peak
    height, width = int(counts[peak]), peak
    norm = sqrt(height**2 + width**2)  # of whole numbers of any size: counts may be beyond 2^31
    across = np.arange(width)
    level = int(np.argmax(height / norm * across - width / norm * counts[:width])) if width else 0
    return centres[len(counts) - 1 - level if turned else level].item()


def li(counts: np.ndarray, histogram: Histogram) -> float | int:
    """The value that makes the cross entropy of integers and of their classes' means least; NaN if there are none.

    C. H. Li, P. K. S. Tam, "An iterative algorithm for minimum cross entropy thresholding", 1998.
    """
    counts, centres = used(counts, histogram)
    if len(counts) < 2:
        return centres[0].item() if len(centres) else nan
    levels = np.arange(len(counts), dtype=np.float64)  # from the smallest on: means have a logarithm
    weights = counts.astype(np.float32)
    total = sum(level * count for level, count in enumerate(counts.tolist()))
    value, before = total / int(counts.sum()), -1.0
    while abs(value - before) > 0.5:
        before, fore = value, levels > value
        mean_fore = np.average(levels[fore], weights=weights[fore])
        mean_back = np.average(levels[~fore], weights=weights[~fore])
        if mean_back == 0:
            break
        value = float((mean_back - mean_fore) / (np.log(mean_back) - np.log(mean_fore)))
    return value + centres[0].item()


METHODS = {"otsu": otsu, "triangle": triangle, "li": li}
