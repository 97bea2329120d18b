"""The minimum of keys over flat footprints of any form, exactly, by their chords along x.

E. R. Urbach, M. H. F. Wilkinson, "Efficient 2-D grayscale morphological transformations with arbitrary flat structuring
elements", 2008. A footprint is the union of runs of elements along x, chords. The minima over all chords of one length
are made once for each row of the data, from two overlapping windows of 2^k elements:

       . x x x .        chord of 3         discs that are equal in several planes of a footprint
       x x x x x        chord of 5         (z and -z of a ball) are made once for each plane of
       . x x x .        chord of 3         the data, and lowered into each result that has them

A ball of radius 5 has 515 elements, 6 lengths of chords, and 45 chords in its 6 different discs.
"""

from __future__ import annotations

from numba import njit

from gridstride.workers.families.minmax_box import ahead, padded_row
from gridstride.workers.families.minmax_keys import store, to_keys, turned
from gridstride.workers.vectors import elements, every, get, lanes, low, put


@njit(nogil=True, cache=True)
def lowest(rows, at, m, n, to, first, add, flip):
    """to[first : first + n] = the minima of m rows, which begin at at[:m], and of what is there, if `add`,
    turned round with `flip`."""
    step, turn, x = lanes(rows), every(rows, flip), 0
    while x + 4 * step <= n:
        p = at[0] + x
        a, b, c, d = get(rows, p), get(rows, p + step), get(rows, p + 2 * step), get(rows, p + 3 * step)
        for k in range(1, m):
            p = at[k] + x
            a, b = low(a, get(rows, p)), low(b, get(rows, p + step))
            c, d = low(c, get(rows, p + 2 * step)), low(d, get(rows, p + 3 * step))
        p = first + x
        if add:
            a, b = low(a, get(to, p)), low(b, get(to, p + step))
            c, d = low(c, get(to, p + 2 * step)), low(d, get(to, p + 3 * step))
        put(to, p, turned(a, turn))
        put(to, p + step, turned(b, turn))
        put(to, p + 2 * step, turned(c, turn))
        put(to, p + 3 * step, turned(d, turn))
        x += 4 * step
    while x < n:
        a = get(rows, at[0] + x)
        for k in range(1, m):
            a = low(a, get(rows, at[k] + x))
        if add:
            a = low(a, get(to, first + x))
        put(to, first + x, turned(a, turn))
        x += step


@njit(nogil=True, cache=True)
def chords_of(levels, pitch, m, lengths, count, step, n, lists, first, list_pitch):
    """The minima over the chords of each length of a padded row, levels[:m], of whose outputs there are n.

    lists: from `first` on, a list of `list_pitch` for each length, in which an output finds that of the usual chord
    """
    vector, have = lanes(levels), 0
    for number in range(count):
        length, k, usual = lengths[5 * number], lengths[5 * number + 1], lengths[5 * number + 2]
        least, most = lengths[5 * number + 3], lengths[5 * number + 4]
        while have < k:
            d = (1 << have) * step
            for x in range(0, m, vector):
                a = have * pitch + x
                put(levels, a + pitch, low(get(levels, a), get(levels, a + d)))
            have += 1
        a = k * pitch
        b = a + (length - (1 << k)) * step
        to = first + number * list_pitch - usual * step
        for x in range(least * step, most * step + n, vector):
            put(lists, to + x, low(get(levels, a + x), get(levels, b + x)))


@njit(nogil=True, cache=True)
def chords(data, strides, taps, tables, run, keys, footprint, tile, work, out):
    """out (z, y, x) = the minima of keys over a footprint on data.

    footprint: arrays of `minmax_plan.Chords`
    tile: (rows, columns, pitch of a row of results, of a padded row, of a list, where lists begin)
    work: levels of a row, a ring of lists, one of planes, a row of a disc, where rows begin, 0, and a vector
    all else: as `minmax_box.box` has it
    """
    wz, wy, wx, step = taps
    tz, ty, tx = tables
    floats, flip, cval = keys
    lengths, runs, discs, planes = footprint
    rows, columns, pitch, level_pitch, list_pitch, pad = tile
    levels, lists, results, disc, at, start, spare = work
    source, result, table, line = elements(data), elements(out), elements(tx), elements(levels)
    ring, made, row, part = elements(lists), elements(results), elements(disc), elements(spare)
    addresses, begin_at = elements(at), elements(start)
    lines, chord, plane, groups = elements(lengths), elements(runs), elements(planes), elements(discs)
    nz, ny, nx = len(tz) - wz + 1, len(ty) - wy + 1, len(tx) - (wx - 1) * step
    none = flip ^ flip
    size, front = len(lengths) * list_pitch, planes.min()
    for y0 in range(0, ny, rows):
        for x0 in range(0, nx, columns):
            n = min(columns, nx - x0)
            m = n + (wx - 1) * step
            direct = wz == 1 and not floats and n % lanes(line) == 0  # results need no row of their own
            for p in range(len(tz)):
                kz, ky = p % wz, -1  # the newest plane of the data in its ring of results, and row in its own
                for r in range(min(rows, ny - y0) + wy - 1):
                    ky = ky + 1 if ky + 1 < wy else 0
                    q, s, y, z = tz[p], ty[y0 + r], r - wy + 1, p - wz + 1
                    to = z * strides[2] + (y0 + y) * strides[3] + x0
                    if q >= 0 and y0 + r + 1 < len(ty) and ty[y0 + r + 1] >= 0:
                        ahead(source, q * strides[0] + ty[y0 + r + 1] * strides[1] + x0, n)
                    if y >= -1 and z >= 0:
                        ahead(result, to + strides[3], n)
                    base = q * strides[0] + s * strides[1]
                    if q < 0 or s < 0:
                        for x in range(m):
                            line[x] = cval
                        to_keys(line, 0, m, floats, flip)
                    else:
                        padded_row(source, base, table, run[0], run[1], x0, m, floats, flip, cval, line, part)
                    chords_of(line, level_pitch, m, lines, len(lengths), step, n, ring, ky * size + pad, list_pitch)
                    if y < 0:
                        continue
                    for c in range(len(discs)):
                        begin, end = groups[4 * c], groups[4 * c + 1]
                        for k in range(begin, end):
                            slot = ky + 1 + chord[3 * k]
                            slot = slot - wy if slot >= wy else slot
                            at_list = slot * size + chord[3 * k + 1] * list_pitch
                            addresses[k - begin] = at_list + pad + chord[3 * k + 2] * step
                        first, last = groups[4 * c + 2], groups[4 * c + 3]
                        if direct:
                            lowest(ring, addresses, end - begin, n, result, to, False, flip)
                            continue
                        alone = wz > 1 and last - first == 1
                        if not alone:
                            lowest(ring, addresses, end - begin, n, row, 0, False, none)
                        for k in range(first, last if wz > 1 else first):
                            slot = kz - plane[k] if kz >= plane[k] else kz - plane[k] + wz
                            slot = (slot * rows + y) * pitch
                            if not 0 <= p - plane[k] < nz:
                                continue
                            if alone:
                                lowest(ring, addresses, end - begin, n, made, slot, plane[k] != front, none)
                            else:
                                lowest(row, begin_at, 1, n, made, slot, plane[k] != front, none)
                    slot = kz + 1 if kz + 1 < wz else 0
                    if wz == 1 and not direct:
                        store(row, 0, n, floats, flip, result, to, part)
                    elif wz > 1 and z >= 0:
                        store(made, (slot * rows + y) * pitch, n, floats, flip, result, to, part)
