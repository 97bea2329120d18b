"""Stencils on the CPU: tap by tap, or by FFT."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import scipy.fft

from gridstride.workers.families.casting import store
from gridstride.workers.families.local import padded as local_padded
from gridstride.workers.loops import KERNELS
from gridstride.workers.operators.base import Window, accumulator

if TYPE_CHECKING:
    from gridstride.workers.families.stencil import Stencil


def _padded(op: Stencil, window: Window, dtype: np.dtype) -> np.ndarray:
    """The padded window as (channels, *the other axes)."""
    padded = local_padded(op, window, op.cval, dtype)
    if op.channel_axis is None:
        return padded[None]
    return np.ascontiguousarray(np.moveaxis(padded, op.channel_axis, 0))


def _without_channels(op: Stencil, shape: tuple[int, ...]) -> tuple[int, ...]:
    return tuple(n for axis, n in enumerate(shape) if axis != op.channel_axis)


def _weights(op: Stencil) -> np.ndarray:
    """(outputs, channels, *taps of the axes but the channels')."""
    return op.weights.reshape(*op.channels, *_without_channels(op, op.taps))


def _outputs_first(op: Stencil, out: np.ndarray) -> np.ndarray:
    return out[None] if op.channel_axis is None else np.moveaxis(out, op.channel_axis, 0)


def correlate(op: Stencil, window: Window, out: np.ndarray) -> None:
    """Apply `op` to a window tap by tap."""
    if out.size == 0:
        return
    acc, weights, extent = accumulator(op.precision), _weights(op), _without_channels(op, out.shape)
    padded = _padded(op, window, acc)
    rows = KERNELS[acc][0]
    strides = np.array(padded.strides) // padded.itemsize
    # scipy leaves out the taps that are nothing to it; a tap of 0 must not turn an infinity into a NaN.
    nothing = np.finfo(np.float64).eps if op.cast == "scipy" else 0.0
    # The last two axes are a plane; the planes' and rows' first elements in the padded array:
    extent = (1, *extent) if len(extent) == 1 else extent
    row_stride = strides[-2] if len(strides) > 2 else 0
    bases = np.arange(extent[-2], dtype=np.int64) * row_stride
    plane = np.empty(extent[-2:], acc)
    for o, target in enumerate(_outputs_first(op, out)):
        used = np.nonzero(np.abs(weights[o]) > nothing)
        taps = weights[o][used].astype(acc)
        offsets = np.stack(used, -1) @ strides
        start = acc.type(0 if op.bias is None else op.bias[o])
        for index in np.ndindex(*extent[:-2]):
            base = int(np.dot(index, strides[1 : 1 + len(index)])) if index else 0
            rows(padded.reshape(-1), bases + base, offsets, taps, 0, start, acc.type(1), plane)
            store(plane[0] if target.ndim == 1 else plane, target[index], op.cast)


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
