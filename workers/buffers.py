"""Memory for arrays between the steps of a block's computation, which a thread keeps for the next block: making the
pages of a fresh array takes longer than many a kernel."""

from __future__ import annotations

import threading
from math import prod
from types import TracebackType
from weakref import WeakSet

import numpy as np

SMALLEST = 2**18  # bytes of an array that is worth keeping
LARGER = 8  # memory is taken for an array up to an eighth smaller


class Kept:
    """What one thread has.

    free: memory that no array has; used: bytes of memory that arrays have, most: and of which they ever had at a time
    """

    def __init__(self) -> None:
        self.free: list[np.ndarray] = []
        self.used = self.most = 0

    def bytes(self) -> int:
        return self.used + sum(buffer.nbytes for buffer in self.free)


_here = threading.local()
_every: WeakSet[Kept] = WeakSet()  # of threads that live
_lock = threading.Lock()


def kept_here() -> Kept:
    if not hasattr(_here, "kept"):
        _here.kept = Kept()
        with _lock:
            _every.add(_here.kept)
    return _here.kept


def release() -> None:
    """Give up what no array has, in all threads: as a job ends, and as a sweep begins, for which other memory is
    planned."""
    with _lock:
        for kept in _every:
            kept.free.clear()
            kept.most = kept.used


class Borrowed:
    """Arrays of undefined content, which are given back by `give_back` or at the end of a `with`. No more memory is
    kept than arrays had at a time."""

    def __init__(self) -> None:
        self._buffers: dict[int, np.ndarray] = {}

    def __enter__(self) -> Borrowed:
        return self

    def __exit__(self, kind: type | None, error: BaseException | None, trace: TracebackType | None) -> None:
        for number in list(self._buffers):
            self._return(number)

    def array(self, shape: tuple[int, ...], dtype: np.dtype) -> np.ndarray:
        size = prod(shape) * dtype.itemsize
        if size < SMALLEST:
            return np.empty(shape, dtype)
        kept, buffer = kept_here(), None
        with _lock:
            fits = [n for n, b in enumerate(kept.free) if size <= b.nbytes <= size + size // LARGER]
            if fits:
                buffer = kept.free.pop(min(fits, key=lambda n: kept.free[n].nbytes))
            while buffer is None and kept.free and kept.bytes() + size > max(kept.most, kept.used + size):
                kept.free.pop(0)
        if buffer is None:
            buffer = np.empty(size, np.uint8)
        with _lock:
            kept.used += buffer.nbytes
            kept.most = max(kept.most, kept.used)
        array = buffer[:size].view(dtype).reshape(shape)
        self._buffers[id(array)] = buffer
        return array

    def give_back(self, array: np.ndarray) -> None:
        """Of an array that nobody reads any more; of others, nothing happens."""
        if id(array) in self._buffers:
            self._return(id(array))

    def _return(self, number: int) -> None:
        buffer, kept = self._buffers.pop(number), kept_here()
        with _lock:
            kept.used -= buffer.nbytes
            kept.free.append(buffer)
