"""Stencils on the CPU: tap by tap, or by FFT. `stencil_loops` has the loops of the first."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import scipy.fft

from gridstride.workers.families import stencil_loops as loops
from gridstride.workers.families.casting import store
from gridstride.workers.families.local import longest_run
from gridstride.workers.families.local import padded as local_padded
from gridstride.workers.families.rows import LINE, aligned, in_a_row, walkable
from gridstride.workers.families.stencil_ring import ROWS, TILE_BYTES, Ring
from gridstride.workers.operators.base import Window, accumulator

if TYPE_CHECKING:
    from gridstride.workers.families.stencil import Stencil

OUTSIDE = -(2**60)  # a sum of offsets with it is below 0
MOST_ROWS = 10  # of the input that are read together where they lie


def correlate(op: Stencil, window: Window, out: np.ndarray) -> None:
    """Apply `op` to a window tap by tap."""
    if out.size == 0:
        return
    ring, block = Ring.of(op, window.want), _Block.of(op, window)
    memory, dtype = block.memory(ring.size), block.flat.dtype
    # (leading axes, outputs, z, y, x)
    results = _outputs_first(op, out)
    results = np.moveaxis(results.reshape(len(results), *(1,) * (4 - results.ndim), *results.shape[1:]), 0, -4)
    deep, tall, wide = ring.extent
    if not ring.buffered and results.strides[-1] == out.itemsize and walkable(results):
        pieces = _pieces(ring, block, results)
        program = _program(op, ring, dtype, [rows.stop - rows.start for rows, _, _ in pieces])
        volumes = np.stack([block.volumes(before) for before in np.ndindex(results.shape[:-4])])
        for rows, columns, padded in pieces:
            part = volumes, slice(0, deep), rows, columns
            block.sums(ring, program, memory if padded else None, part, results[..., rows, columns])
        return
    program = _program(op, ring, dtype, [tall])
    for before in np.ndindex(results.shape[:-4]):
        volumes = block.volumes(before)[None]
        for z in range(0, deep, ring.planes):
            for y in range(0, tall, ring.strip):
                here = results[before][:, z : z + ring.planes, y : y + ring.strip]
                made = np.empty(here.shape, block.acc)
                part = volumes, slice(z, z + here.shape[1]), slice(y, y + here.shape[2]), slice(0, wide)
                block.sums(ring, program, memory, part, made)
                for plane in np.ndindex(here.shape[:2]):
                    store(made[plane], here[plane], op.cast)


def _pieces(ring: Ring, block: _Block, results: np.ndarray) -> list[tuple[slice, slice, bool]]:
    """Rows and columns that are made together, and whether through the ring. What needs no padding and no conversion is
    read where it lies, if its rows are few: they often lie 4096 bytes apart, in few places of the first-level cache."""
    (_, tall, wide), (_, high, broad) = ring.extent, ring.taps
    everything = [(slice(0, tall), slice(0, wide), True)]
    reached = ring.volumes * ring.taps[0] * (ROWS + high - 1)
    if block.flat.dtype != block.acc or block.line.step != 1 or reached > MOST_ROWS:
        return everything
    tile, item = TILE_BYTES // results.itemsize, results.itemsize
    y0, y1 = longest_run(np.where(block.offsets[-1] < 0, -2, block.offsets[-1] // max(block.apart, 1)))
    x0, x1 = block.line.begin, block.line.end - broad + 1
    x0 += -(results.ctypes.data // item + x0) % (64 // item)  # where a line of cache begins in the result
    y1 = y0 + (y1 - high + 1 - y0) // ROWS * ROWS
    if y1 <= y0 or x1 - x0 < 4 * tile:
        return everything
    left, right, inner = slice(0, x0), slice(x1, wide), slice(y0, y1)
    around = [(slice(0, y0), slice(0, wide)), (slice(y1, tall), slice(0, wide)), (inner, left), (inner, right)]
    return [(inner, slice(x0, x1), False), *((y, x, True) for y, x in around if y.start < y.stop and x.start < x.stop)]


@dataclass(frozen=True)
class _Block:
    """Where a block's rows are.

    flat:    the data, and whatever lies between them in memory
    offsets: in it, of channels, of the leading axes and of z and y, at each coordinate of the padded block
    leading: taps of the leading axes
    table:   where to find each element of a padded row, -1 outside
    apart:   elements from one row to the next; acc: the type of the sums
    """

    flat: np.ndarray
    offsets: list[np.ndarray]
    leading: tuple[int, ...]
    table: np.ndarray
    line: loops.Line
    apart: int
    acc: np.dtype

    @classmethod
    def of(cls, op: Stencil, window: Window) -> _Block:
        data = window.data
        if data.dtype == np.float16:
            data = data.astype(np.float32)
        elif data.dtype == np.bool_:
            data = data.view(np.uint8)
        if not walkable(data):
            data = np.ascontiguousarray(data)
        flat, steps = in_a_row(data)
        tables = op.tables(window)
        spatial = [axis for axis in range(data.ndim) if axis != op.channel_axis]
        x = spatial.pop()
        leading = tuple(op.taps[axis] for axis in spatial[:-2])
        offsets = [
            np.zeros(1, np.int64) if axis is None else np.where(tables[axis] < 0, OUTSIDE, tables[axis] * steps[axis])
            for axis in (op.channel_axis, *[None] * (2 - len(spatial)), *spatial)
        ]
        acc, apart = accumulator(op.precision), steps[spatial[-1]] if spatial else 0
        line = loops.Line(len(tables[x]), steps[x], *longest_run(tables[x]), acc.type(op.cval))
        return cls(flat, offsets, leading, tables[x], line, apart, acc)

    def memory(self, size: int) -> np.ndarray:
        """Of the ring: rows of the input begin at lines of cache in it."""
        vector = LINE // self.acc.itemsize
        return aligned(size + vector, self.acc)[-self.line.begin % vector :]

    def volumes(self, before: tuple[int, ...]) -> np.ndarray:
        """Where the volumes begin that are needed at an index of the leading axes."""
        found = self.offsets[0]
        for offsets, first, taps in zip(self.offsets[1:-2], before, self.leading, strict=True):
            found = found[..., None] + offsets[first : first + taps]
        return found.reshape(-1)

    def sums(
        self,
        ring: Ring,
        program: loops.Program,
        memory: np.ndarray | None,
        part: tuple[np.ndarray, slice, slice, slice],
        out: np.ndarray,
    ) -> None:
        """Some volumes, planes, rows and columns of the result; out: (leading axes, outputs, z, y, x).

        memory: of the ring; None: rows are read where they lie
        """
        volumes, z, y, x = part
        depth, halo, broad = (taps - 1 for taps in ring.taps)
        deep, high = self.offsets[-2][z.start : z.stop + depth], self.offsets[-1][y.start : y.stop + halo]
        flat, steps = in_a_row(out)
        begins = np.zeros((), np.int64)
        for n, step in zip(out.shape[:-4], steps, strict=False):
            begins = begins[..., None] + np.arange(n) * step
        source = loops.Source(volumes, deep, high, self.table[x.start : x.stop + broad])
        length, padded = len(source.table), memory is not None
        begin, end = (min(max(edge - x.start, 0), length) for edge in (self.line.begin, self.line.end))
        line = self.line._replace(length=length, begin=begin, end=end)
        strip, pitch = (ring.strip, ring.pitch) if padded else (out.shape[-2], self.apart)
        planes, height, width = out.shape[-3:]
        sizes = loops.Sizes(planes, height, width, depth + 1, strip, halo, pitch, self.apart, padded)
        target = loops.Target(steps[-3], steps[-2], steps[-4])
        ring_memory = self.flat if memory is None else memory
        loops.correlate(self.flat, source, line, sizes, program, ring_memory, flat, begins.reshape(-1), target)


def _program(op: Stencil, ring: Ring, dtype: np.dtype, heights: Iterable[int]) -> loops.Program:
    """What `loops.correlate` is to do with data of a dtype, for results of these heights."""
    acc, columns = accumulator(op.precision), op.marches(dtype)
    # scipy leaves out the taps that are nothing to it; a tap of 0 must not turn an infinity into a NaN.
    nothing = np.finfo(np.float64).eps if op.cast == "scipy" else 0.0
    weights = np.where(np.abs(op.weights) > nothing, op.weights, 0).astype(acc)
    weights = weights.reshape(ring.outputs, ring.volumes, *ring.taps)
    bias = np.zeros(ring.outputs, acc) if op.bias is None else op.bias.astype(acc)
    found: list[list[np.ndarray]] = []
    loads = 0
    for output, results, rows, left in ring.parts(heights):
        if rows == 1:
            beside = np.moveaxis(weights[output : output + results], 0, -1)
        else:
            z, y, x = ring.taps
            beside = np.zeros((ring.volumes, z, y + results - 1, x, results), acc)
            for result in range(results):
                beside[:, :, result : result + y, :, result] = weights[output]
        part = _loads(beside, columns)
        count = len(part[0])
        starts = np.resize(bias[output : output + results if rows == 1 else output + 1], ROWS)
        what = np.array([[loads, loads + count, results, output, rows, left]])
        found.append([*part, starts, what])
        loads += count
    return loops.Program(*(np.concatenate(arrays) for arrays in zip(*found, strict=True)))


def _loads(weights: np.ndarray, columns: bool) -> list[np.ndarray]:
    """Plane, row, x, use and weights of each load. weights: (volumes, z, y, x, results); columns: whether the taps of a
    plane are added up column by column"""
    results = weights.shape[-1]
    used = ((weights != 0) << np.arange(results, dtype=np.uint8)).sum(-1, dtype=np.uint8)
    volume, z, y, x = np.nonzero(used.swapaxes(-1, -2) if columns else used)
    y, x = (x, y) if columns else (y, x)
    each = np.zeros((len(x), ROWS), weights.dtype)
    each[:, :results] = weights[volume, z, y, x]
    return [volume * weights.shape[1] + z, y, x, used[volume, z, y, x], each.reshape(-1)]


def _without_channels(op: Stencil, shape: Sequence[int]) -> tuple[int, ...]:
    return tuple(n for axis, n in enumerate(shape) if axis != op.channel_axis)


def _weights(op: Stencil) -> np.ndarray:
    """(outputs, channels, *taps of the axes but the channels')."""
    return op.weights.reshape(*op.channels, *_without_channels(op, op.taps))


def _outputs_first(op: Stencil, out: np.ndarray) -> np.ndarray:
    return out[None] if op.channel_axis is None else np.moveaxis(out, op.channel_axis, 0)


def _padded(op: Stencil, window: Window, dtype: np.dtype) -> np.ndarray:
    """The padded window as (channels, *the other axes)."""
    padded = local_padded(op, window, op.cval, dtype)
    if op.channel_axis is None:
        return padded[None]
    return np.ascontiguousarray(np.moveaxis(padded, op.channel_axis, 0))


def fft(op: Stencil, window: Window, out: np.ndarray) -> None:
    """Apply `op` to a window by FFT, in float64; where the window holds NaN or infinity, tap by tap.

    (An FFT spreads one NaN over the whole block.)
    """
    if out.size == 0:
        return
    weights, extent = _weights(op), _without_channels(op, out.shape)
    padded = _padded(op, window, np.dtype(np.float64))
    if not np.isfinite(padded).all():
        correlate(op, window, out)
        return
    axes = [axis for axis in range(len(extent)) if weights.shape[2 + axis] > 1]
    lengths = [scipy.fft.next_fast_len(padded.shape[1 + axis], real=True) for axis in axes]
    valid = tuple(slice(0, n) for n in extent)
    spectra = [scipy.fft.rfftn(channel, lengths, axes=axes) for channel in padded]
    del padded
    for o, target in enumerate(_outputs_first(op, out)):
        total = 0
        for c, spectrum in enumerate(spectra):
            total = total + spectrum * scipy.fft.rfftn(weights[o, c], lengths, axes=axes).conj()
        values = scipy.fft.irfftn(total, lengths, axes=axes)[valid]
        if op.bias is not None:
            values += op.bias[o]
        store(values, target, op.cast)
