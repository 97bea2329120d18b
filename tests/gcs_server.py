"""A stand-in for Google Cloud Storage on loopback, as a program of its own: prints its port. No package that pip
installs has both halves: obstore speaks the XML interface, with conditions on generations, tensorstore the JSON one.

It knows one bucket, `data`, and of both interfaces what these two ask. GET /log is what was asked so far:
[["PUT", "a/b", 200], ...], with the keys of objects.
"""

from __future__ import annotations

import json
import re
import threading
from datetime import UTC, datetime
from email.utils import formatdate
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from time import time
from typing import Any, NamedTuple
from urllib.parse import parse_qs, unquote, urlsplit
from xml.sax.saxutils import escape


class Stored(NamedTuple):
    data: bytes
    generation: int
    modified: float


objects: dict[str, Stored] = {}
log: list[tuple[str, str, int]] = []
lock = threading.Lock()
generations = iter(range(1_700_000_000_000_000, 1_800_000_000_000_000))


class Storage(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_: Any) -> None:
        pass

    def answer(self, status: int, data: bytes = b"", found: Stored | None = None, length: int | None = None) -> None:
        log.append((self.command, self.key, status))
        self.send_response(status)
        if found:
            self.send_header("ETag", f'"{found.generation}"')
            self.send_header("x-goog-generation", str(found.generation))
            self.send_header("Last-Modified", formatdate(found.modified, usegmt=True))
        self.send_header("Content-Length", str(len(data) if length is None else length))
        self.end_headers()
        self.wfile.write(data)

    def handle_any(self) -> None:
        parts = urlsplit(self.path)
        query = {name: values[0] for name, values in parse_qs(parts.query, keep_blank_values=True).items()}
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        bucket, self.key = re.match(r"(?:(?:/upload)?/storage/v1/b)?/(\w+)/?(?:o/?)?(.*)", parts.path).groups()  # type: ignore[union-attr]
        if "/storage/v1/" not in parts.path:  # XML: the key begins after the bucket, whatever it is
            self.key = parts.path.removeprefix(f"/{bucket}").removeprefix("/")
        self.key = query.get("name") or unquote(self.key)
        if bucket == "log":
            self.answer(200, json.dumps(log).encode())
        elif bucket != "data":
            self.answer(404, b"<Error><Code>NoSuchBucket</Code></Error>")
        elif not self.key:
            self.list(query.get("prefix", ""), query.get("delimiter", ""))
        elif self.command in ("PUT", "POST"):
            self.put(body, self.headers.get("x-goog-if-generation-match") or query.get("ifGenerationMatch"))
        else:
            self.get_or_delete()

    do_GET = do_HEAD = do_PUT = do_POST = do_DELETE = handle_any

    def list(self, prefix: str, delimiter: str) -> None:
        content, folders = "", set()
        for key, found in sorted(objects.items()):
            name, cut, _ = key.removeprefix(prefix).partition(delimiter or "\0")
            if not key.startswith(prefix):
                continue
            if cut:
                folders.add(prefix + name + delimiter)
                continue
            content += f"<Contents><Key>{escape(key)}</Key><Size>{len(found.data)}</Size>"
            content += f"<ETag>{found.generation}</ETag><LastModified>{_iso(found.modified)}</LastModified></Contents>"
        content += "".join(f"<CommonPrefixes><Prefix>{escape(f)}</Prefix></CommonPrefixes>" for f in sorted(folders))
        self.answer(200, f"<ListBucketResult><IsTruncated>false</IsTruncated>{content}</ListBucketResult>".encode())

    def put(self, body: bytes, match: str | None) -> None:
        with lock:  # a condition and its put are one
            there = objects[self.key].generation if self.key in objects else 0
            if match is not None and int(match) != there:
                self.answer(412)
                return
            found = objects[self.key] = Stored(body, next(generations), time())
        about = {"name": self.key, "bucket": "data", "generation": str(found.generation), "metageneration": "1"}
        times = dict.fromkeys(("timeCreated", "updated"), _iso(found.modified))
        self.answer(200, json.dumps({**about, **times, "size": str(len(body))}).encode(), found)

    def get_or_delete(self) -> None:
        found = objects.get(self.key)
        wanted = re.match(r"bytes=(\d+)-(\d*)", self.headers.get("Range", ""))
        if found is None:
            self.answer(404, b"" if self.command == "HEAD" else b"<Error><Code>NoSuchKey</Code></Error>")
        elif self.command == "DELETE":
            objects.pop(self.key, None)
            self.answer(204)
        elif self.command == "HEAD":
            self.answer(200, found=found, length=len(found.data))
        elif wanted:
            start, stop = int(wanted[1]), int(wanted[2] or len(found.data)) + 1
            self.answer(206, found.data[start:stop], found)
        else:
            self.answer(200, found.data, found)


def _iso(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S.000Z")


if __name__ == "__main__":
    server = ThreadingHTTPServer(("127.0.0.1", 0), Storage)
    print(server.server_port, flush=True)
    server.serve_forever()
