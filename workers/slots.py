"""Slots on a GPU: a few blocks are there at a time, so that one is computed while another is copied; other threads
meanwhile decode and encode."""

from __future__ import annotations

import queue
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from gridstride.workers.stages import stages

# Blocks on a GPU at one time: one is computed while the next is uploaded or the last downloaded.
BLOCKS_ON_DEVICE = 2
# A piece of pinned memory; each slot has two.
STAGING_BYTES = 32 * 2**20


class DeviceSlot:
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
        """Until the GPU has done all that this slot asked of it."""
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


class DeviceSlots:
    """The slots on this process's GPU. Threads that find none wait; other processes may use the GPU too.

    Streams belong to slots, not to threads, because CuPy's pool keeps freed memory for the stream that it was used on:
    with a stream a thread, it would keep a block's memory for each of them.
    """

    def __init__(self, count: int) -> None:
        self.count = count
        self.splits = 0  # blocks, and parts of blocks, that were cut in two for lack of memory
        self._free: queue.LifoQueue[DeviceSlot | None] = queue.LifoQueue()  # last in, first out: fewest come into use
        self._turn = threading.Lock()
        for _ in range(count):
            self._free.put(None)

    def take(self) -> DeviceSlot:
        """Wait for a slot; it must be given back."""
        slot = self._free.get()
        if slot is not None:
            return slot
        try:
            return DeviceSlot()
        except BaseException:
            self._free.put(None)
            raise

    def give_back(self, slot: DeviceSlot) -> None:
        self._free.put(slot)

    @contextmanager
    def alone(self) -> Iterator[DeviceSlot]:
        """A slot, when all the others are empty."""
        taken: list[DeviceSlot | None] = []
        with stages("wait"):
            self._turn.acquire()  # one at a time, or two would hold a slot each and wait for the other's
        try:
            with stages("wait"):
                for _ in range(self.count):
                    taken.append(self._free.get())
            slot = next((slot for slot in taken if slot is not None), None)
            if slot is None:
                slot = taken[0] = DeviceSlot()
            yield slot
        finally:
            for each in taken:
                self._free.put(each)
            self._turn.release()


slots = DeviceSlots(BLOCKS_ON_DEVICE)
