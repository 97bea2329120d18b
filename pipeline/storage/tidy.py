"""A store of zarr-python without the files that file managers and interrupted writers leave in it."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING

from zarr.abc.store import Store
from zarr.storage import WrapperStore

if TYPE_CHECKING:
    from zarr.abc.buffer import Buffer
    from zarr.abc.store import ByteRequest
    from zarr.core.buffer import BufferPrototype

LITTER = ("Thumbs.db", "desktop.ini")
# A byte order of types of one byte, which some writers give and zarr-python does not know.
ONE_BYTE = re.compile(rb'("dtype"\s*:\s*")[<>=]([biu]1")')


class Tidy(WrapperStore[Store]):
    """A store without the files that file managers leave in it, whose types of one byte have no byte order."""

    async def get(self, key: str, prototype: BufferPrototype, byte_range: ByteRequest | None = None) -> Buffer | None:
        found = await super().get(key, prototype, byte_range)
        if found is None or not key.endswith((".zarray", ".zmetadata")):
            return found
        return prototype.buffer.from_bytes(ONE_BYTE.sub(rb"\1|\2", found.to_bytes()))

    async def list_dir(self, prefix: str) -> AsyncIterator[str]:
        async for name in super().list_dir(prefix):
            if not is_litter(name):
                yield name


def is_litter(name: str) -> bool:
    """Whether a name in a store is that of a file that others leave there: .DS_Store, ._x, .nfs0, x.partial."""
    return name.startswith(".") or name.endswith((".partial", ".__lock", ".tmp", "~")) or name in LITTER
