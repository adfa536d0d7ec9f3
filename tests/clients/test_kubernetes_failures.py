"""What the client does when the API server does not answer as it should. Real sockets, nothing patched."""

from __future__ import annotations

import json
import time
from http.server import BaseHTTPRequestHandler
from pathlib import Path

import kubernetes.client
import pytest

from clients.kubernetes import Kubernetes
from errors import Conflict, Forbidden, InputError, TargetGone, Throttled, Unavailable
from tests.clients.server import reply, serving


def client(host: str, *, read: float = 5) -> Kubernetes:
    configuration = kubernetes.client.Configuration(host=host)
    return Kubernetes(kubernetes.client.ApiClient(configuration), timeout=(1, read))


def test_nobody_listens() -> None:
    with serving(lambda h: None) as host:
        pass
    with pytest.raises(Unavailable):
        client(host).get("/api/v1/pods")


def test_no_answer_within_the_timeout() -> None:
    asked = []

    def silent(handler: BaseHTTPRequestHandler) -> None:
        asked.append(handler.path)
        time.sleep(1)

    with serving(silent) as host:
        with pytest.raises(Unavailable, match="GET /api/v1/pods"):
            client(host, read=0.2).get("/api/v1/pods")
    # Temporal retries; the client does not.
    assert len(asked) == 1


def test_the_connection_breaks_in_the_middle_of_an_answer() -> None:
    def broken(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(200)
        handler.send_header("Content-Length", "1000")
        handler.end_headers()
        handler.wfile.write(b'{"items": [')
        handler.close_connection = True

    with serving(broken) as host:
        with pytest.raises(Unavailable):
            client(host).get("/api/v1/pods")
        with pytest.raises(Unavailable):
            list(client(host).stream("/log"))


@pytest.mark.parametrize("body", [b"ok", b"[]", b"", b"\xff"])
def test_an_answer_that_is_no_object(body: bytes) -> None:
    with serving(lambda h: reply(h, 200, body)) as host, pytest.raises(Unavailable):
        client(host).get("/livez")


def test_a_redirect_is_not_followed() -> None:
    # Our token would go to whoever it points at.
    with serving(lambda h: reply(h, 302, Location="http://127.0.0.1:1/")) as host, pytest.raises(Unavailable):
        client(host).get("/api/v1/pods")


def test_patience_is_passed_on() -> None:
    with serving(lambda h: reply(h, 429, Retry_After="4")) as host, pytest.raises(Throttled) as caught:
        client(host).create("/api/v1/pods", {})
    assert caught.value.retry_after == 4


def test_an_expired_list_goes_on_where_the_server_says() -> None:
    pages = {
        "": {"items": [{"n": 1}], "metadata": {"continue": "old"}},
        "new": {"items": [{"n": 2}], "metadata": {}},
    }

    def answer(handler: BaseHTTPRequestHandler) -> None:
        token = handler.path.partition("continue=")[2]
        if token == "old":
            reply(handler, 410, json.dumps({"metadata": {"continue": "new"}}).encode())
        else:
            reply(handler, 200, json.dumps(pages[token]).encode())

    with serving(answer) as host:
        assert [i["n"] for i in client(host).items("/api/v1/pods", limit=1)] == [1, 2]


def test_a_list_that_only_expires_is_a_conflict() -> None:
    with serving(lambda h: reply(h, 410, b"{}")) as host, pytest.raises(Conflict):
        list(client(host).pages("/api/v1/pods"))


def test_a_stream_is_read_in_bounded_chunks_and_can_be_left() -> None:
    with serving(lambda h: reply(h, 200, b"x" * 1_000_000)) as host:
        door = client(host)
        sizes = [len(chunk) for chunk in door.stream("/log")]
        assert sum(sizes) == 1_000_000 and max(sizes) <= 64 * 1024
        left = door.stream("/log")
        next(left)
        left.close()  # type: ignore[attr-defined]  # It is a generator.
        assert sum(len(c) for c in door.stream("/log")) == 1_000_000


def test_the_guard_stands_before_every_mutation_and_no_read() -> None:
    methods: list[str] = []

    def refuse() -> None:
        raise Forbidden("no")

    def answer(handler: BaseHTTPRequestHandler) -> None:
        methods.append(handler.command)
        reply(handler, 200)

    with serving(answer) as host:
        guarded = client(host).guarded_by(refuse)
        for mutation in (
            lambda: guarded.create("/a", {}),
            lambda: guarded.patch("/a", []),
            lambda: guarded.replace("/a", {}),
            lambda: guarded.delete("/a", uid="1"),
        ):
            with pytest.raises(Forbidden):
                mutation()
        guarded.get("/a")
        guarded.create("/a", {}, control=True)
    assert methods == ["GET", "POST"]


def test_without_a_cluster_the_variable_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("KUBECONFIG", raising=False)
    monkeypatch.delenv("KUBERNETES_SERVICE_HOST", raising=False)
    with pytest.raises(InputError, match="KUBECONFIG"):
        Kubernetes.from_environment()
    broken = tmp_path / "config"
    for text in ("", "{", "apiVersion: v1\nkind: Config\n", "a: [1"):
        broken.write_text(text)
        monkeypatch.setenv("KUBECONFIG", str(broken))
        with pytest.raises(InputError, match="KUBECONFIG"):
            Kubernetes.from_environment()


def test_gone_is_gone() -> None:
    with serving(lambda h: reply(h, 404, b'{"message": "pods \\"x\\" not found"}')) as host:
        with pytest.raises(TargetGone, match="not found"):
            next(client(host).stream("/log"))
