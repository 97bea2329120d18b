"""Histograms of tiles, the mappings that follow from them, and their interpolation, on the CPU."""

from __future__ import annotations

import numpy as np
from numba import njit


@njit(nogil=True, cache=True)
def count(bins, firsts, owners, columns, tiles, counts):
    """Add elements to the histograms of their tiles; those whose bin is beyond them are left out.

    bins: flat; firsts, owners: int64 (rows,), where each row begins, and its first tile
    columns, tiles: int64 (n,), the elements of a row that are counted, and their tiles from the row's first one on
    """
    most = counts.shape[1]
    for row in range(len(firsts)):
        for j in range(len(columns)):
            found = bins[firsts[row] + columns[j]]
            if found < most:
                counts[owners[row] + tiles[j], found] += 1


@njit(nogil=True, cache=True)
def clip(counts, limit):
    """Cut a histogram at a limit and spread what is cut off over it, as skimage.exposure.equalize_adapthist."""
    size, excess = len(counts), 0
    for i in range(size):
        if counts[i] > limit:
            excess += counts[i] - limit
            counts[i] = limit
    more = excess // size
    upper = limit - more
    for i in range(size):
        if counts[i] < upper:
            counts[i] += more
            excess -= more
        if upper <= counts[i] < limit:
            excess -= limit - counts[i]
            counts[i] = limit
    while excess > 0:
        before = excess
        for index in range(size):
            under = 0
            for i in range(size):
                under += counts[i] < limit
            for i in range(index, size, max(1, under // excess)):
                if counts[i] < limit:
                    counts[i] += 1
                    excess -= 1
            if excess <= 0:
                break
        if before == excess:
            break


@njit(nogil=True, cache=True)
def mappings(counts, limit, levels, width, maps):
    """The level of each bin of each tile: the part of its elements that are in this bin or below. Counts are changed.

    levels: how many there are; width: of a bin in levels, which an empty tile keeps
    """
    for tile in range(len(counts)):
        row, target = counts[tile], maps[tile]
        elements = row.sum()
        if elements == 0:
            for i in range(len(row)):
                target[i] = min(i * width, levels - 1)
            continue
        clip(row, limit)
        total, scale = 0, (levels - 1) / elements
        for i in range(len(row)):
            total += row[i]
            target[i] = np.int64(min(total * scale, np.float64(levels - 1)))


@njit(nogil=True, cache=True)
def looked_up(flat, table, out):
    """out[i] = table[flat[i]], of unsigned integers that the table has."""
    for i in range(len(flat)):
        out[i] = table[flat[i]]


@njit(nogil=True, cache=True, error_model="numpy")
def bins_of_numbers(flat, rescaled, low, span, table, missing, out):
    """Bins of floating-point numbers by their part of 65535, from (number - low) / span if `rescaled`; NaN is
    missing."""
    kind = flat.dtype.type
    for i in range(len(flat)):
        v = flat[i]
        v = (v - low) / span if rescaled else v
        level = np.rint(v * kind(65535))
        level = min(max(level, kind(0)), kind(65535)) if level == level else kind(0)
        out[i] = table[np.int64(level)] if v == v else missing


@njit(nogil=True, cache=True)
def interpolate(bins, maps, shape, starts, before, after, part, steps, ends, missing, out):
    """Levels between those of the tiles around each element: each corner's product with its weight, in float32.

    bins, out: flat, of `shape`; bins beyond those of maps (tiles, bins) give `missing`
    before, after, part: (all positions of all axes,), the tiles on both sides of each and how far it is to the second;
    those of an axis begin at `starts`; steps: from tile to tile along each axis; ends: where tiles end along a row
    """
    ndim, n, most = len(shape), shape[-1], maps.shape[1]
    every, at = maps.reshape(-1), np.zeros(ndim, np.int64)
    weights, sums, known = np.empty(n, np.float64), np.empty(n, np.float32), np.empty(n, np.uint16)
    last = slice(starts[ndim - 1], starts[ndim - 1] + n)
    sides, shares = (before[last], after[last]), (1 - part[last], part[last])
    for row in range(len(bins) // n):
        line, target, rest = bins[row * n : (row + 1) * n], out[row * n : (row + 1) * n], row
        for axis in range(ndim - 2, -1, -1):
            at[axis] = starts[axis] + rest % shape[axis]
            rest //= shape[axis]
        for i in range(n):
            sums[i] = 0
            known[i] = line[i] if line[i] < most else np.uint16(0)
        for corner in range(2**ndim):
            tile, share, side = 0, shares[corner & 1], sides[corner & 1]
            for i in range(n):
                weights[i] = share[i]
            for axis in range(ndim - 2, -1, -1):
                second = (corner >> (ndim - 1 - axis)) & 1
                tile += (after[at[axis]] if second else before[at[axis]]) * steps[axis]
                weight = part[at[axis]] if second else 1 - part[at[axis]]
                for i in range(n):
                    weights[i] *= weight
            x = 0
            for end in ends:
                own = every[(tile + side[x] * steps[ndim - 1]) * most :]
                for i in range(x, end):
                    sums[i] += np.float32(own[known[i]] * weights[i])
                x = end
        for i in range(n):
            target[i] = np.uint16(sums[i]) if line[i] < most else missing
