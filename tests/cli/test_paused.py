"""What `show` says while changes are paused, with a cluster that answers, is silent, or is not there."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler
from pathlib import Path

import pytest

from cli.paused import PATIENCE, pause_banner
from cli.reading import Held
from tests.cli.conftest import Firebreak, Write, detail
from tests.clients.server import reply, serving

pytestmark = [pytest.mark.usefixtures("installation", "worker")]

PAUSE = {"by": "ada@desk", "reason": "deployment freeze \x1b[31m", "at": "2026-11-24T21:36:21+00:00"}
BANNER = "Changes are paused by ada@desk since 2026-11-24 21:36:21 UTC: deployment freeze"


@pytest.fixture
def cluster(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[dict[str, object]]:
    """A cluster with nothing but the switch; while it is `silent` it takes questions and answers none."""
    told: dict[str, object] = {"paused": json.dumps(PAUSE), "silent": False}
    ended = threading.Event()

    def answer(handler: BaseHTTPRequestHandler) -> None:
        if told["silent"]:
            ended.wait()
            handler.close_connection = True
            return
        assert handler.path == "/api/v1/namespaces/firebreak/configmaps/firebreak-control"
        reply(handler, 200, json.dumps({"data": {"paused": told["paused"]}}).encode())

    with serving(answer) as address:
        config = tmp_path / "kubeconfig"
        entry = {"name": "c", "cluster": {"server": address}}
        context = {"name": "c", "context": {"cluster": "c", "user": "u"}}
        config.write_text(
            json.dumps({
                "apiVersion": "v1", "kind": "Config", "clusters": [entry], "contexts": [context],
                "users": [{"name": "u", "user": {}}], "current-context": "c",
            })
        )  # fmt: skip
        monkeypatch.setenv("KUBECONFIG", str(config))
        yield told
        ended.set()


async def test_says_who_holds_every_change(firebreak: Firebreak, write: Write, cluster: dict[str, object]) -> None:
    made = detail()
    await firebreak("start", write(made))
    ran = await firebreak("show", made["id"])
    assert BANNER in ran.out
    assert "`firebreak resume` goes on" in " ".join(ran.out.split())
    assert "\x1b" not in ran.out
    assert (await firebreak("show", made["id"], "--json")).json["paused"] == PAUSE
    cluster["paused"] = ""
    assert (await firebreak("show", made["id"], "--json")).json["paused"] is None


async def test_who_waits_learns_why_nothing_happens(
    firebreak: Firebreak, write: Write, cluster: dict[str, object]
) -> None:
    ran = await firebreak("start", write(detail()), "--wait", "--timeout", "2", "--json")
    assert BANNER in ran.err
    assert ran.json["paused"] == PAUSE


async def test_a_cluster_that_is_silent_does_not_keep_show_waiting(
    firebreak: Firebreak, write: Write, cluster: dict[str, object]
) -> None:
    made = detail()
    await firebreak("start", write(made))
    cluster["silent"] = True
    began = time.monotonic()
    ran = await firebreak("show", made["id"], "--json")
    assert time.monotonic() - began < PATIENCE + 1
    assert (ran.code, ran.json["paused"]) == (0, None)


async def test_no_cluster_at_all(firebreak: Firebreak, write: Write) -> None:
    made = detail()
    await firebreak("start", write(made))
    ran = await firebreak("show", made["id"], "--json")
    assert (ran.code, ran.json["paused"]) == (0, None)


def test_a_switch_that_was_thrown_by_hand() -> None:
    assert pause_banner(Held("", "x", "")) == "Changes are paused by somebody: x; `firebreak resume` goes on"
    assert " since soon; " in pause_banner(Held("ada", "", "soon"))
