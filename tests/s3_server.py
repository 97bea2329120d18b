"""moto's S3 on loopback, as a program of its own: prints its port, and can be told to fail.

PUT /faults {"every": 5, "kind": "503"} makes every fifth request fail with that status; kind "reset" cuts its
connection, and kind "hang" never answers; "match" is a regular expression that "METHOD /path" has to hold. GET /log is
what was asked so far: [["PUT", "/bucket/key", 200], ...].
"""

from __future__ import annotations

import json
import re
import socket
import struct
import threading
import time
from typing import Any

from moto.server import DomainDispatcherApplication, create_backend_app
from werkzeug.serving import WSGIRequestHandler, make_server


class Flaky:
    """A WSGI application around another."""

    def __init__(self, app: Any) -> None:
        self.app = app
        self.faults: dict[str, Any] = {}
        self.log: list[tuple[str, str, int]] = []
        self.matched = 0
        self.lock = threading.Lock()

    def __call__(self, environ: Any, start_response: Any) -> Any:
        method, path = environ["REQUEST_METHOD"], environ["PATH_INFO"]
        if path == "/faults":
            self.faults, self.matched = json.loads(environ["wsgi.input"].read(int(environ["CONTENT_LENGTH"]))), 0
            start_response("200 OK", [])
            return [b""]
        if path == "/log":
            start_response("200 OK", [])
            return [json.dumps(self.log).encode()]
        if path.startswith("/moto-api"):
            return self.app(environ, start_response)
        with self.lock:
            fails = False
            if self.faults and re.search(self.faults.get("match", ""), f"{method} {path}"):
                self.matched += 1
                fails = self.matched % self.faults["every"] == 0
        if fails and self.faults["kind"] == "reset":
            self.log.append((method, path, 0))
            connection = environ["werkzeug.socket"]
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            connection.shutdown(socket.SHUT_RDWR)
            connection.close()
            raise ConnectionError("cut")
        if fails and self.faults["kind"] == "hang":
            self.log.append((method, path, 0))
            time.sleep(3600)
        if fails:
            self.log.append((method, path, int(self.faults["kind"])))
            environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
            start_response(f"{self.faults['kind']} Slow Down", [("Content-Type", "application/xml")])
            return [b"<Error><Code>SlowDown</Code><Message>Please reduce your request rate.</Message></Error>"]

        def answered(status: str, headers: Any, *rest: Any) -> Any:
            self.log.append((method, path, int(status.split()[0])))
            return start_response(status, headers, *rest)

        return self.app(environ, answered)


class Silent(WSGIRequestHandler):
    protocol_version = "HTTP/1.1"

    def log(self, *_: Any) -> None:
        pass


def main() -> None:
    app = Flaky(DomainDispatcherApplication(create_backend_app))
    server = make_server("127.0.0.1", 0, app, threaded=True, request_handler=Silent)
    print(server.server_port, flush=True)
    server.serve_forever()


if __name__ == "__main__":
    main()
