"""Labels as classes on the CPU."""

from __future__ import annotations

import numpy as np
from numba import njit


@njit(nogil=True, cache=True)
def classify(labels, first, most, one, out):
    """out[i, k, j] = one where labels[i, j] is first + k, else 0. labels: unsigned (before, after), those above `most`
    of no class"""
    classes, zero = out.shape[1], out.dtype.type(0)
    for i in range(len(labels)):
        row, target = labels[i], out[i]
        if len(row) < 4:  # the new axis is the last, or nearly: a number for each label
            target[:] = zero
            for j in range(len(row)):
                k = np.int64(row[j]) - first
                if 0 <= k < classes and first + k <= most:
                    target[k, j] = one
        else:
            for k in range(classes):
                line, label = target[k], labels.dtype.type(first + k)
                if first + k > most:
                    line[:] = zero
                else:
                    for j in range(len(row)):
                        line[j] = one if row[j] == label else zero
