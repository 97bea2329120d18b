"""What answers like the API of Kubernetes, as far as starting a DaskCluster asks: it keeps what it is sent, and has one
pod that cannot be started. No controller acts on anything."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import yaml

POD = {
    "apiVersion": "v1",
    "kind": "Pod",
    "metadata": {"name": "pod-of-the-scheduler", "namespace": "default"},
    "status": {
        "containerStatuses": [{"state": {"waiting": {"reason": "ImagePullBackOff", "message": "no such image"}}}]
    },
}


class API(ThreadingHTTPServer):
    """operator: whether the Dask operator's resources are there; sent, deleted: names and content of clusters"""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.operator = True
        self.sent: dict[str, Any] = {}
        self.deleted: dict[str, Any] = {}


class Handler(BaseHTTPRequestHandler):
    server: API

    def do_GET(self) -> None:
        path = self.path.split("?")[0]
        if path == "/version/":
            self.answer(200, {"major": "1", "minor": "31", "gitVersion": "v1.31.0"})
        elif path.endswith("/customresourcedefinitions"):
            found = {
                "apiVersion": "apiextensions.k8s.io/v1",
                "kind": "CustomResourceDefinition",
                "metadata": {"name": "daskclusters.kubernetes.dask.org"},
            }
            self.answer(200, {"items": [found] if self.server.operator else []})
        elif path.endswith("/pods"):
            self.answer(200, {"items": [POD]})
        elif path.endswith("/daskclusters"):
            self.answer(200, {"items": list(self.server.sent.values())})
        elif (name := path.rsplit("/", 1)[-1]) in self.server.sent:
            self.answer(200, self.server.sent[name])
        else:
            self.answer(404, {"kind": "Status", "code": 404, "message": "not found"})

    def do_POST(self) -> None:
        made = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.server.sent[made["metadata"]["name"]] = made
        self.answer(201, made)

    def do_DELETE(self) -> None:
        name = self.path.split("?")[0].rsplit("/", 1)[-1]
        self.server.deleted[name] = self.server.sent.pop(name, None)
        self.answer(200, {"kind": "Status", "status": "Success"})

    def answer(self, code: int, content: Any) -> None:
        body = json.dumps(content).encode()
        self.send_response(code)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: Any) -> None:
        pass


@pytest.fixture
def kubernetes_api(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[API]:
    pytest.importorskip("dask_kubernetes")
    from kr8s._api import Api

    monkeypatch.setattr(Api, "_instances", {})  # kr8s remembers the server of an earlier test
    server = API()
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    config = {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "c",
        "clusters": [{"name": "c", "cluster": {"server": f"http://127.0.0.1:{server.server_port}"}}],
        "contexts": [{"name": "c", "context": {"cluster": "c", "user": "u", "namespace": "default"}}],
        "users": [{"name": "u", "user": {"token": "none"}}],
    }
    (tmp_path / "kubeconfig").write_text(yaml.safe_dump(config))
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "kubeconfig"))
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
