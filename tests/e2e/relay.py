"""An HTTP server between a worker and an API, through which a test sees each change and can stop time at it.

The worker is the product, unchanged: only the address that it is given is the relay's. So a test can end the worker
exactly after the API server made a change and before the worker learned of it, which no hook inside the worker shows.
"""

from __future__ import annotations

import base64
import json
import ssl
import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import TracebackType
from typing import Any
from urllib.parse import urlsplit

import urllib3

_OWN_HEADERS = {"host", "connection", "transfer-encoding", "content-length", "keep-alive", "expect"}
_CHANGING = {"POST", "PUT", "PATCH", "DELETE"}


@dataclass(frozen=True)
class Call:
    """One request as it passed; `status` is 0 until it was answered."""

    method: str
    path: str
    status: int = 0

    @property
    def changes(self) -> bool:
        """Whether it is meant to change something; reviews and GuardDuty's queries are POSTs that only ask."""
        return self.method in _CHANGING and "review" not in self.path and not self.path.startswith("/detector")

    @property
    def made(self) -> bool:
        """Whether it changed something."""
        return self.changes and 200 <= self.status < 300


Hook = Callable[[Call], bool]
"""Returns whether the call goes on. Called from the relay's threads."""


class Relay:
    """Forwards everything to one server. `before` can keep a request from it, `after` its answer from the client."""

    def __init__(self, upstream: str, authority: str = "") -> None:
        self.before: Hook = lambda _: True
        self.after: Hook = lambda _: True
        self._calls: list[Call] = []
        self._lock = threading.Lock()
        context = ssl.create_default_context(cadata=authority) if authority else None
        self._pool = urllib3.PoolManager(ssl_context=context, retries=False, maxsize=32, timeout=60)
        self._upstream = upstream
        self._server = _Server(("127.0.0.1", 0), self._handler())
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.1}, daemon=True)

    @property
    def url(self) -> str:
        """Where the relay listens."""
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    @property
    def calls(self) -> list[Call]:
        """Everything that was answered, in order."""
        with self._lock:
            return list(self._calls)

    def __enter__(self) -> Relay:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._pool.clear()

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        relay = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            disable_nagle_algorithm = True

            def handle_one_request(self) -> None:
                try:
                    super().handle_one_request()
                except OSError:
                    # The worker was killed in the middle of a request.
                    self.close_connection = True

            def log_message(self, format: str, *args: Any) -> None:
                return

            def do_GET(self) -> None:
                relay._pass(self)

            do_HEAD = do_POST = do_PUT = do_PATCH = do_DELETE = do_GET

        return Handler

    def _pass(self, handler: BaseHTTPRequestHandler) -> None:
        body = _body(handler)
        call = Call(handler.command, urlsplit(handler.path).path)
        if not self.before(call):
            handler.close_connection = True
            return
        headers = {k: v for k, v in handler.headers.items() if k.lower() not in _OWN_HEADERS}
        try:
            answer = self._pool.request(
                call.method,
                self._upstream + handler.path,
                body=body,
                headers=headers,
                redirect=False,
                decode_content=False,
            )
        except urllib3.exceptions.HTTPError:
            handler.close_connection = True
            return
        call = Call(call.method, call.path, answer.status)
        with self._lock:
            self._calls.append(call)
        if not self.after(call):
            handler.close_connection = True
            return
        _answer(handler, answer.status, answer.headers.items(), answer.data)


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 256


def _body(handler: BaseHTTPRequestHandler) -> bytes:
    if handler.headers.get("Transfer-Encoding", "").lower() != "chunked":
        return handler.rfile.read(int(handler.headers.get("Content-Length") or 0))
    chunks = []
    while size := int(handler.rfile.readline().split(b";")[0], 16):
        chunks.append(handler.rfile.read(size))
        handler.rfile.readline()
    handler.rfile.readline()
    return b"".join(chunks)


def _answer(handler: BaseHTTPRequestHandler, status: int, headers: Iterable[tuple[str, str]], data: bytes) -> None:
    handler.send_response_only(status)
    length = str(len(data))
    for name, value in headers:
        if name.lower() == "content-length" and handler.command == "HEAD":
            length = value
        if name.lower() not in _OWN_HEADERS:
            handler.send_header(name, value)
    handler.send_header("Content-Length", length)
    handler.end_headers()
    handler.wfile.write(data)


def relay_of_cluster(kubeconfig: Path) -> Relay:
    """A relay in front of the API server of a kubeconfig."""
    cluster = json.loads(kubeconfig.read_text())["clusters"][0]["cluster"]
    return Relay(cluster["server"], base64.b64decode(cluster["certificate-authority-data"]).decode())


def kubeconfig_through(relay: Relay, kubeconfig: Path, folder: Path) -> Path:
    """The same identity, by way of a relay."""
    config = json.loads(kubeconfig.read_text())
    config["clusters"][0]["cluster"] = {"server": relay.url}
    file = folder / "kubeconfig.json"
    file.write_text(json.dumps(config))
    return file
