"""An S3 server and a web server on loopback, for tests: see `s3_server`."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
import urllib.request
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

KEY, SECRET = "AKIATESTTESTTESTTEST", "topSecretTopSecretTopSecretTopSecretTopS"


class Server:
    """A running S3 server with one bucket, `data`."""

    def __init__(self, port: int) -> None:
        self.url = f"http://127.0.0.1:{port}"
        self.environment = {
            "AWS_ENDPOINT_URL": self.url,
            "AWS_ACCESS_KEY_ID": KEY,
            "AWS_SECRET_ACCESS_KEY": SECRET,
            "AWS_REGION": "us-east-1",
        }

    def ask(self, method: str, path: str, data: bytes = b"") -> bytes:
        headers = {"Content-Type": "application/octet-stream"}
        request = urllib.request.Request(self.url + path, data=data, method=method, headers=headers)
        with urllib.request.urlopen(request, timeout=30) as answer:
            return answer.read()

    def fail(self, every: int = 0, kind: str = "503", match: str = "") -> None:
        """Let every n-th request that matches fail; none if 0."""
        content = {"every": every, "kind": kind, "match": match} if every else {}
        self.ask("PUT", "/faults", json.dumps(content).encode())

    def log(self) -> list[tuple[str, str, int]]:
        return [tuple(line) for line in json.loads(self.ask("GET", "/log"))]  # type: ignore[misc]

    @contextmanager
    def checks_credentials(self) -> Iterator[tuple[str, str]]:
        """From here on signatures and permissions count. Gives the key of somebody who may only read."""
        import boto3

        iam = boto3.client("iam", "us-east-1", endpoint_url=self.url, aws_access_key_id="a", aws_secret_access_key="b")
        reader = uuid.uuid4().hex
        iam.create_user(UserName=reader)
        allowed = {"Effect": "Allow", "Action": ["s3:GetObject", "s3:ListBucket"], "Resource": "*"}
        policy = json.dumps({"Version": "2012-10-17", "Statement": [allowed]})
        iam.put_user_policy(UserName=reader, PolicyName="reads", PolicyDocument=policy)
        key = iam.create_access_key(UserName=reader)["AccessKey"]
        self.ask("POST", "/moto-api/reset-auth", b"0")
        try:
            yield key["AccessKeyId"], key["SecretAccessKey"]
        finally:
            self.ask("POST", "/moto-api/reset-auth", b"inf")


@contextmanager
def s3_server() -> Iterator[Server]:
    command = [sys.executable, str(Path(__file__).with_name("s3_server.py"))]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    try:
        assert process.stdout is not None
        server = Server(int(process.stdout.readline()))
        server.ask("PUT", "/data")
        yield server
    finally:
        process.kill()
        process.wait()


class Ranges(SimpleHTTPRequestHandler):
    """A web server that answers requests for a part of a file, as real ones do."""

    protocol_version = "HTTP/1.1"

    def log_message(self, *_: Any) -> None:
        pass

    def do_GET(self) -> None:
        path, wanted = Path(self.translate_path(self.path)), self.headers.get("Range")
        if not path.is_file() or not wanted:
            super().do_GET()
            return
        size = path.stat().st_size
        first, _, last = wanted.removeprefix("bytes=").partition("-")
        start = int(first) if first else size - int(last)
        stop = min(int(last) + 1, size) if first and last else size
        with path.open("rb") as file:
            file.seek(start)
            data = file.read(stop - start)
        self.send_response(206)
        self.send_header("Content-Range", f"bytes {start}-{stop - 1}/{size}")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)


@contextmanager
def web_server(folder: Path) -> Iterator[str]:
    """Serves a folder; gives its address."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Ranges, directory=str(folder)))
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
