"""Files that grow line by line, beside an output in an object store, whose objects cannot be appended to.

They are written in a temporary folder, and put as whole objects every few seconds and at the end. A client that is
killed loses the last seconds of them; markers are put directly.
"""

from __future__ import annotations

import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from gridstride.pipeline.errors import JobFailed
from gridstride.pipeline.storage.paths import StorePath
from gridstride.pipeline.storage.remote import Remote

SECONDS = 10.0  # between copies


@contextmanager
def mirrored(where: StorePath, names: tuple[str, ...]) -> Iterator[Path]:
    """A local folder whose files of these names are copied to a place; the place itself if it is a folder."""
    if isinstance(where, Path):
        yield where
        return
    with tempfile.TemporaryDirectory(prefix="gridstride-") as name:
        folder = Path(name)
        sent: dict[str, int] = {}
        for file in names:
            try:
                (folder / file).write_bytes((where / file).read_bytes())
                sent[file] = (folder / file).stat().st_size
            except FileNotFoundError:
                continue
        done = threading.Event()

        def send_often() -> None:
            while not done.wait(SECONDS):
                _send(folder, where, names, sent)

        thread = threading.Thread(target=send_often, name="mirror", daemon=True)
        thread.start()
        try:
            yield folder
        finally:
            done.set()
            thread.join()
            _send(folder, where, names, sent)


def _send(folder: Path, where: Remote, names: tuple[str, ...], sent: dict[str, int]) -> None:
    for name in names:
        try:
            data = (folder / name).read_bytes()
            if sent.get(name) != len(data):
                (where / name).write_bytes(data)
                sent[name] = len(data)
        except (FileNotFoundError, JobFailed):  # the job goes on without the copy
            continue
