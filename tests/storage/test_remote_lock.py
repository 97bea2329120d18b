"""One client at a time writes an output in an object store."""

from __future__ import annotations

import json
import os
import re
import socket
import subprocess
import time
from collections.abc import Callable
from typing import Any

import pytest
from object_stores import Server
from remote_jobs import BLOCKS, assert_puts_are_conditional, gridstride, out_of, prepared

from gridstride.pipeline import api
from gridstride.pipeline.errors import JobFailed, UsageError
from gridstride.pipeline.storage import lock, paths
from gridstride.pipeline.storage.journal import FOLDER, Journal
from gridstride.pipeline.storage.remote import parse

pytest.importorskip("obstore", reason="needs obstore: pip install 'gridstride[remote]'")
pytest.importorskip("moto", reason="needs moto's S3 server: pip install 'moto[s3]' flask flask-cors")


def test_two_clients_do_not_write_one_output(source: str, s3: Server, monkeypatch: Any) -> None:
    monkeypatch.setattr(lock, "BEAT", 0.1)
    monkeypatch.setattr(lock, "POLL", 0.1)
    out = out_of("two.zarr")
    job = prepared(source, out)
    first = Journal(out)
    first.lock()
    before = set(paths.names(parse(out)))
    with pytest.raises(UsageError, match=r"another gridstride is writing s3://data/two\.zarr"):
        api.run(job)
    overwriting = prepared(source, out, overwrite=True)
    with pytest.raises(UsageError, match="another gridstride is writing"):
        api.run(overwriting)
    assert set(paths.names(parse(out))) == before
    (parse(out) / "zarr.json").write_bytes(b"{}")
    first.clear()
    assert paths.names(parse(out) / FOLDER) - {"clock"} == {"lock"}, "all goes but the lock, which is held"
    assert paths.names(parse(out)) == {FOLDER}
    first.unlock()
    second = Journal(out)
    second.lock()
    second.unlock()
    assert not (second.folder / "lock").is_file()


def test_of_two_clients_at_once_one_gets_the_lock(s3: Server) -> None:
    """Both find none; or both find the same dead one."""
    file = parse(out_of("race")) / "lock"
    assert_puts_are_conditional(file)


THEIRS = b'{"host": "elsewhere", "boot": "x", "process": 1, "id": "theirs"}'


class Clock:
    """Time for `lock`, which passes only while it sleeps; `then` happens after each sleep."""

    def __init__(self, monkeypatch: Any, then: Callable[[], object] = lambda: None) -> None:
        self.now, self.then = 0.0, then
        monkeypatch.setattr(lock, "time", self)

    def monotonic(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds
        self.then()


def left_by_another(name: str) -> Any:
    file = parse(out_of(name)) / FOLDER / "lock"
    file.write_bytes(THEIRS)
    return file


def test_the_lock_of_a_client_that_died_elsewhere_is_waited_for_and_taken_over(s3: Server, monkeypatch: Any) -> None:
    file, said = left_by_another("stale"), []
    found: list[bytes] = []
    clock = Clock(monkeypatch, lambda: found.append(file.read_bytes()))
    held = lock.lock(file, said.append)
    assert (json.loads(file.read_bytes())["id"], held.holder["id"]) == (held.holder["id"],) * 2  # type: ignore[union-attr]
    held.release()
    assert found == [THEIRS] * len(found), "it was taken before it was stale"
    [line] = said
    words = (
        r"the lock of s3://data/stale was last renewed (\d+) s ago by elsewhere, pid 1: waiting up to (\d+) s for it"
    )
    age, left = map(int, re.match(words, line).groups())  # type: ignore[union-attr]
    assert lock.STALE - 1 <= age + left <= lock.STALE + 1
    assert left - 1 <= clock.now <= left


def test_who_finds_a_lock_that_is_renewed_or_taken_over_by_another_gives_way(s3: Server, monkeypatch: Any) -> None:
    for name, theirs in (("renewed", THEIRS.replace(b"1,", b'1, "beats": 1,')), ("heir", THEIRS.replace(b"rs", b"r2"))):
        file = left_by_another(name)
        clock = Clock(monkeypatch, lambda: clock.now > 2.5 and file.write_bytes(theirs))  # noqa: B023
        with pytest.raises(UsageError, match=rf"another gridstride is writing s3://data/{name} \(elsewhere, pid 1;"):
            lock.lock(file)
        assert clock.now == 3 * lock.POLL
        assert file.read_bytes() == theirs


def test_a_lock_that_is_given_back_is_taken(s3: Server, monkeypatch: Any) -> None:
    file = left_by_another("given")
    clock = Clock(monkeypatch, lambda: clock.now > 2.5 and file.unlink())
    lock.lock(file).release()
    assert clock.now == 3 * lock.POLL


def test_a_dead_holder_of_this_machine_is_not_waited_for(s3: Server, monkeypatch: Any) -> None:
    file = left_by_another("gone")
    dead = subprocess.Popen(["true"])
    dead.wait()
    gone = {"host": socket.gethostname(), "boot": lock._boot(), "process": dead.pid, "id": "theirs"}
    file.write_bytes(json.dumps(gone).encode())
    clock, said = Clock(monkeypatch), []
    lock.lock(file, said.append).release()
    assert (clock.now, said) == (0.0, [])
    # This one runs, or another has got its number: only a beat can tell.
    file.write_bytes(json.dumps({**gone, "process": os.getpid()}).encode())
    lock.lock(file, said.append).release()
    assert len(said) == 1


@pytest.mark.slow
def test_resume_waits_and_says_so(source: str, client: Any, monkeypatch: Any) -> None:
    out = out_of("waits.zarr")
    api.run(prepared(source, out), client)
    for options, begin in (([], r"\d\d:\d\d:\d\d the lock of"), (["--log-json"], '.*"waiting".*"the lock of')):
        (parse(out) / FOLDER / "lock").write_bytes(THEIRS)
        Clock(monkeypatch)
        result = gridstride("resume", out, "--device", "cpu", *options)
        assert result.exit_code == 0, result.output
        assert len(re.findall(rf"(?m)^{begin} {out} was last renewed", result.output)) == 1
        assert f"{BLOCKS} skipped (already done)" in result.output


def test_a_client_that_lost_its_lock_stops(s3: Server, monkeypatch: Any) -> None:
    file = parse(out_of("lost")) / FOLDER / "lock"
    stopped: list[bool] = []
    monkeypatch.setattr(lock, "BEAT", 0.05)
    monkeypatch.setattr("_thread.interrupt_main", lambda: stopped.append(True))
    held = lock.lock(file)
    begun = file.head().tag
    deadline = time.monotonic() + 20
    while file.head().tag == begun and time.monotonic() < deadline:
        time.sleep(0.01)
    assert file.head().tag != begun, "it does not beat"
    held.check()
    for _ in range(100):  # between two beats
        file.write_bytes(b'{"id": "another"}')
        time.sleep(0.1)
        if stopped:
            break
    with pytest.raises(JobFailed, match="another gridstride took over"):
        held.check()
    held.release()
    assert file.is_file(), "the lock is not ours to take away"
