"""Which device blocks are computed on, and the way there and back.

A block on a GPU goes through three stages, each of which ends when the GPU is done: upload, kernel, download. A few
blocks (`Places`) are on the GPU at a time, so that one is computed while another is copied; other threads meanwhile
decode and encode. A block that the GPU's memory does not hold is cut in two, and again, until the pieces fit.
"""

from __future__ import annotations

import ctypes
import importlib.util
import os
import queue
import sys
import threading
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from math import prod
from typing import Any

import numpy as np

from gridstride.workers.operators.base import Block
from gridstride.workers.split import halves, where
from gridstride.workers.stages import stages

# Blocks on a GPU at one time: one is computed while the next is uploaded or the last downloaded.
BLOCKS_ON_DEVICE = 2
# A piece of pinned memory; each place on the GPU has two.
STAGING_BYTES = 32 * 2**20
# Elements below which a block is not cut for lack of memory: a GPU without room for so few has none to speak of.
SMALLEST_PIECE = 2**15


def gpu_count() -> int:
    """Number of CUDA devices, asked of the driver itself: no context is made and no package is imported."""
    if os.environ.get("CUDA_VISIBLE_DEVICES") in ("", "-1"):
        return 0
    try:
        driver = ctypes.CDLL("libcuda.so.1")
    except OSError:
        return 0
    count = ctypes.c_int(0)
    return count.value if driver.cuInit(0) == 0 and driver.cuDeviceGetCount(ctypes.byref(count)) == 0 else 0


def resolve(wanted: str) -> tuple[str, str]:
    """("gpu" or "cpu", one sentence saying why) for a wish of "auto", "gpu" or "cpu". Raises ValueError."""
    if wanted == "cpu":
        return "cpu", "CPU, as asked"
    missing = [name for name in ("cupy", "dask_cuda") if importlib.util.find_spec(name) is None]
    gpus = gpu_count()
    if gpus and not missing:
        return "gpu", f"{gpus} GPU{'s' if gpus > 1 else ''}"
    reason = (
        "no CUDA device was found" if not gpus else f"{gpus} GPUs are here but {' and '.join(missing)} is not installed"
    )
    if wanted == "gpu":
        advice = "" if not gpus else " (pip install 'gridstride[gpu]')"
        raise ValueError(f"--device gpu: {reason}{advice}; use --device cpu or auto")
    return "cpu", f"CPU: {reason}"


def device_memory() -> int:
    """Bytes that are free for us on the fullest GPU, asked of NVML: the client, which plans, makes no CUDA context."""
    import pynvml

    pynvml.nvmlInit()
    handles = [pynvml.nvmlDeviceGetHandleByIndex(i) for i in range(pynvml.nvmlDeviceGetCount())]
    return int(0.85 * min(pynvml.nvmlDeviceGetMemoryInfo(handle).free for handle in handles))


def compute(operator: Any, block: Block, device: str) -> np.ndarray:
    """The operator's result for a block in host memory, as an array in host memory.

    Raises MemoryError if the GPU has no room even for a small part of the block.
    """
    if device == "cpu":
        with stages("kernel"):  # which is where Numba loads and, the first time, compiles
            return _on_cpu(operator, block)
    with stages("wait"):
        place = places.take()
    try:
        result = _attempt(operator, block, place)
    finally:
        places.give_back(place)
    if result is not None:
        return result
    with places.alone() as place:
        return _in_pieces(operator, block, place)


def _on_cpu(operator: Any, block: Block) -> np.ndarray:
    """The result, by halves where memory does not suffice for the whole (and an operator's results do not depend on
    it). Raises MemoryError where it does not suffice for a small part either."""
    from gridstride.workers import cpu

    try:
        return operator.compute(block, cpu)
    except MemoryError as error:
        if not operator.exact or prod(block.extent) < 2 * SMALLEST_PIECE:
            raise
        traceback.clear_frames(error.__traceback__)  # they hold the attempt's arrays
    shortages.count += 1
    result = np.empty(operator.out_shape(block.extent), operator.out_dtype)
    for piece in halves(operator, block):
        result[where(operator, piece, block)] = _on_cpu(operator, piece)
    return result


class Shortages:
    """How often this process had not the memory for a block, and cut it in two."""

    def __init__(self) -> None:
        self.count = 0

    def drain(self) -> int:
        """How often since the last call."""
        count, self.count = self.count, 0
        return count


shortages = Shortages()


# --- the way there and back -------------------------------------------------------------------------------------


class Place:
    """Room for one block on the GPU: a stream, and two pieces of pinned memory that its copies go through.

    The host fills (or empties) one piece while the GPU copies the other. Pinned memory is a fixed sum this way, however
    large the blocks are; and what goes in and out is ordinary memory, which anyone may keep.
    """

    def __init__(self) -> None:
        import cupy

        self.stream = cupy.cuda.Stream(non_blocking=True)
        # Waiting threads sleep (block=True): the cores are for those that decode and encode.
        self._done = cupy.cuda.Event(block=True, disable_timing=True)
        self._pinned = [
            (
                np.frombuffer(cupy.cuda.alloc_pinned_memory(STAGING_BYTES), np.uint8, STAGING_BYTES),
                cupy.cuda.Event(block=True, disable_timing=True),
            )
            for _ in range(2)
        ]

    def wait(self) -> None:
        """Until the GPU has done all that this place asked of it."""
        self._done.record(self.stream)
        self._done.synchronize()

    def upload(self, data: np.ndarray) -> Any:
        """A copy on the GPU."""
        import cupy

        there = cupy.empty(data.shape, data.dtype)
        source = np.ascontiguousarray(data).reshape(-1).view(np.uint8)
        for number, first in enumerate(range(0, source.size, STAGING_BYTES)):
            piece = source[first : first + STAGING_BYTES]
            pinned, copied = self._pinned[number % 2]
            copied.synchronize()  # the copy before last, which is still to be read from here
            pinned[: piece.size] = piece
            self._copy(there.data.ptr + first, pinned.ctypes.data, piece.size, cupy.cuda.runtime.memcpyHostToDevice)
            copied.record(self.stream)
        self.wait()
        return there

    def download(self, result: Any) -> np.ndarray:
        """A copy in host memory."""
        import cupy

        result = cupy.ascontiguousarray(result)
        here = np.empty(result.shape, result.dtype)
        target = here.reshape(-1).view(np.uint8)
        pieces = [target[first : first + STAGING_BYTES] for first in range(0, target.size, STAGING_BYTES)]
        for number in range(len(pieces) + 1):
            if number < len(pieces):
                pinned, copied = self._pinned[number % 2]
                source, size = result.data.ptr + number * STAGING_BYTES, pieces[number].size
                self._copy(pinned.ctypes.data, source, size, cupy.cuda.runtime.memcpyDeviceToHost)
                copied.record(self.stream)
            if number > 0:
                pinned, copied = self._pinned[(number - 1) % 2]
                copied.synchronize()
                pieces[number - 1][...] = pinned[: pieces[number - 1].size]
        return here

    def _copy(self, target: int, source: int, size: int, kind: int) -> None:
        import cupy

        cupy.cuda.runtime.memcpyAsync(target, source, size, kind, self.stream.ptr)


class Places:
    """The places on this process's GPU. Threads that find none wait; other processes may use the GPU too.

    Streams belong to places, not to threads, because CuPy's pool keeps freed memory for the stream that it was used on:
    with a stream a thread, it would keep a block's memory for each of them.
    """

    def __init__(self, count: int) -> None:
        self.count = count
        self.splits = 0  # blocks, and parts of blocks, that were cut in two for lack of memory
        self._free: queue.LifoQueue[Place | None] = queue.LifoQueue()  # last in, first out: fewest come into use
        self._turn = threading.Lock()
        for _ in range(count):
            self._free.put(None)

    def take(self) -> Place:
        """Wait for a place; it must be given back."""
        place = self._free.get()
        if place is not None:
            return place
        try:
            return Place()
        except BaseException:
            self._free.put(None)
            raise

    def give_back(self, place: Place) -> None:
        self._free.put(place)

    @contextmanager
    def alone(self) -> Iterator[Place]:
        """A place, when all the others are empty."""
        taken: list[Place | None] = []
        with stages("wait"):
            self._turn.acquire()  # one at a time, or two would hold a place each and wait for the other's
        try:
            with stages("wait"):
                for _ in range(self.count):
                    taken.append(self._free.get())
            place = next((place for place in taken if place is not None), None)
            if place is None:
                place = taken[0] = Place()
            yield place
        finally:
            for each in taken:
                self._free.put(each)
            self._turn.release()


places = Places(BLOCKS_ON_DEVICE)


def _attempt(operator: Any, block: Block, place: Place) -> np.ndarray | None:
    """The result for a block, or None if the GPU's memory does not suffice."""
    try:
        return _on_gpu(operator, block, place)
    except Exception as error:
        if not _is_out_of_memory(error):
            raise
        # The frames of the error hold the attempt's arrays on the GPU.
        traceback.clear_frames(error.__traceback__)
        return None


def _on_gpu(operator: Any, block: Block, place: Place) -> np.ndarray:
    from gridstride.workers import gpu

    with place.stream:
        with stages("upload"):
            there = replace(block, data=place.upload(block.data))
        with stages("kernel"):
            result = operator.compute(there, gpu)
            del there
            place.wait()
            _forget_fft_plans()
        with stages("download"):
            return place.download(result)


def _is_out_of_memory(error: Exception) -> bool:
    """CuPy's and RMM's errors are MemoryErrors; to CUDA's runtime, its driver and cuFFT alike, lack of memory is 2."""
    if isinstance(error, MemoryError):
        return True
    package = type(error).__module__.partition(".")[0]
    return package in ("cupy", "cupy_backends") and 2 in (getattr(error, "status", 0), getattr(error, "result", 0))


# --- blocks that the GPU's memory does not hold -----------------------------------------------------------------


def _in_pieces(operator: Any, block: Block, place: Place) -> np.ndarray:
    """The result for a block that did not fit: tried once more, then cut in two, and so on."""
    result = None
    waiting = [block]
    while waiting:
        piece = waiting.pop()
        _free_memory()
        values = _attempt(operator, piece, place)
        if values is None:
            if prod(piece.extent) < 2 * SMALLEST_PIECE:
                raise MemoryError(
                    f"the GPU has no room for {' x '.join(map(str, piece.extent))} elements and their halo, to which a "
                    f"block of {' x '.join(map(str, block.extent))} was cut: is another program using its memory?"
                )
            waiting.extend(halves(operator, piece))
            places.splits += 1
        elif piece is block:
            return values
        else:
            if result is None:
                result = np.empty(operator.out_shape(block.extent), operator.out_dtype)
            result[where(operator, piece, block)] = values
    assert result is not None
    return result


def _free_memory() -> None:
    """Give back what CuPy's pool keeps: freed pieces may each be too small for a larger request (cupy#7678)."""
    import cupy

    _forget_fft_plans()
    cupy.get_default_memory_pool().free_all_blocks()


def _forget_fft_plans() -> None:
    """CuPy keeps FFT plans for each thread, and each plan keeps as much memory as it worked in."""
    if "cupy.cuda.cufft" in sys.modules:
        import cupy

        cupy.fft.config.get_plan_cache().clear()  # clear_plan_cache() warns each time that it is experimental
