from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
from temporalio.client import Client

from contracts.incidents import PathProgress
from contracts.names import incident_id
from plans.model import Path as Chain
from tests.cli.conftest import ACCOUNT, REGION, Firebreak, Write, detail, working
from tests.cli.fake_incident import CHANGE, DIGEST

pytestmark = [pytest.mark.usefixtures("installation")]

Start = Callable[..., Awaitable[str]]

IMAGE = "registry.example/app@sha256:" + "a" * 64


@pytest.fixture
def start(firebreak: Firebreak, write: Write) -> Start:
    async def begin(title: str = "") -> str:
        made = detail(title)
        assert (await firebreak("start", write(made))).code == 0
        return incident_id(ACCOUNT, REGION, made["id"])

    return begin


@pytest.mark.usefixtures("worker")
class TestApprove:
    async def test_fills_in_what_a_decision_names(self, firebreak: Firebreak, start: Start) -> None:
        incident = await start()
        ran = await firebreak(
            "approve", incident, "--reason", "image rebuilt", "--image", IMAGE, "--by", "ada", "--json"
        )
        assert ran.code == 0
        assert ran.json == {
            "incident": incident,
            "gate": "eradicate",
            "decision": "approve",
            "accepted": True,
            "queued": False,
            "message": "gate eradicate open",
            "state": "open",
        }
        shown = (await firebreak("show", incident, "--json")).json
        [decision] = shown["gates"][0]["decisions"]
        assert (decision["by"], decision["reason"], decision["channel"]) == ("ada", "image rebuilt", "update")

    async def test_who_decides_is_the_user_unless_said(self, firebreak: Firebreak, start: Start) -> None:
        incident = await start()
        await firebreak("deny", incident, "--reason", "no")
        shown = (await firebreak("show", incident, "--json")).json
        assert "@" in shown["gates"][0]["decisions"][0]["by"]

    @pytest.mark.parametrize(
        ("arguments", "field"),
        [
            (["--image", IMAGE], "--reason"),
            (["--reason", "  ", "--image", IMAGE], "--reason"),
            (["--reason", "x"], "--image"),
            (["--reason", "x", "--image", "app:latest"], "--image"),
            (["--reason", "x", "--image", IMAGE + "\n"], "--image"),
            (["terminate", "--reason", "x"], "GATE"),
            (["everything", "--reason", "x"], "GATE"),
            (["--reason", "x", "--image", IMAGE, "--digest", "sha256:0"], "--digest"),
            (["--reason", "x", "--image", IMAGE, "--nonce", "n"], "--nonce"),
        ],
    )
    async def test_bad_usage_decides_nothing(
        self, firebreak: Firebreak, start: Start, arguments: list[str], field: str
    ) -> None:
        incident = await start()
        ran = await firebreak("approve", incident, *arguments, "--json")
        assert (ran.code, ran.error["field"]) == (2, field)
        assert (await firebreak("show", incident, "--json")).json["gates"][0]["decisions"] == []

    async def test_several_gates_must_be_named(self, firebreak: Firebreak, start: Start) -> None:
        incident = await start("two")
        ran = await firebreak("approve", incident, "--reason", "x", "--json")
        assert (ran.code, ran.error["field"]) == (2, "GATE")
        assert "terminate" in ran.error["found"]
        assert (await firebreak("approve", incident, "terminate", "--reason", "x")).code == 0
        ran = await firebreak("approve", incident, "terminate", "--reason", "x", "--image", IMAGE, "--json")
        assert (ran.code, ran.error["field"]) == (2, "--image")

    async def test_an_expired_gate_is_reopened_and_asks_again(self, firebreak: Firebreak, start: Start) -> None:
        incident = await start("expired")
        ran = await firebreak("approve", incident, "--reason", "x", "--image", IMAGE, "--json")
        assert (ran.code, ran.error["field"]) == (2, "GATE")
        named = ("approve", incident, "eradicate", "--reason", "x", "--image", IMAGE, "--json")
        assert (await firebreak(*named)).code == 4
        assert (await firebreak(*named)).code == 0

    async def test_what_is_over_cannot_be_decided(self, firebreak: Firebreak, start: Start) -> None:
        incident = await start("auto")
        await firebreak("watch", incident)
        ran = await firebreak("approve", incident, "--reason", "x", "--image", IMAGE, "--json")
        assert ran.code == 1
        assert ran.json["accepted"] is False

    async def test_a_denied_gate_stays_denied(self, firebreak: Firebreak, start: Start) -> None:
        incident = await start()
        assert (await firebreak("deny", incident, "--reason", "x")).code == 0
        ran = await firebreak("approve", incident, "eradicate", "--reason", "x", "--image", IMAGE, "--json")
        assert ran.code == 4


class TestWithoutWorker:
    async def test_a_decision_needs_what_only_the_worker_knows(self, firebreak: Firebreak, start: Start) -> None:
        incident = await start()
        ran = await firebreak("approve", incident, "eradicate", "--reason", "x", "--image", IMAGE, "--json")
        assert ran.code == 1
        assert "no worker" in ran.error["message"]

    async def test_or_is_queued_with_nonce_and_digest(self, firebreak: Firebreak, start: Start, client: Client) -> None:
        incident = await start()
        ran = await firebreak(
            "approve", incident, "eradicate", "--reason", "x", "--image", IMAGE,
            "--digest", DIGEST, "--nonce", "nonce-eradicate", "--json",
        )  # fmt: skip
        assert ran.code == 0
        assert (ran.json["accepted"], ran.json["queued"]) == (None, True)
        async with working(client):
            assert (await firebreak("watch", incident)).code == 0
            shown = (await firebreak("show", incident, "--json")).json
        assert shown["state"] == "Remediated"
        assert shown["gates"][0]["decisions"][0]["channel"] == "signal"


@pytest.mark.usefixtures("worker")
class TestRetryAndRelease:
    async def test_retry_of_a_failed_step(self, firebreak: Firebreak, start: Start) -> None:
        incident = await start("failed")
        assert (await firebreak("retry", incident, "pod.redeploy", "--by", "ada")).code == 0
        assert (await firebreak("show", incident, "--json")).json["notes"] == ["retry pod.redeploy by ada"]

    async def test_release_of_a_running_incident(self, firebreak: Firebreak, start: Start) -> None:
        incident = await start()
        ran = await firebreak("release", incident, "--reason", "false alarm", "--json")
        assert ran.code == 0
        assert ran.json["state"] == "Released"
        assert ran.json["pods_restored"] == 1
        assert len(ran.json["undone"]) == 1
        assert ran.json["kept"] == ["policy kept: others hold it"]
        again = await firebreak("release", incident, "--json")
        assert again.code == 0
        assert again.json["message"].startswith("released already")

    async def test_release_of_one_that_is_over(self, firebreak: Firebreak, start: Start) -> None:
        incident = await start("auto")
        await firebreak("watch", incident)
        ran = await firebreak("release", incident)
        assert ran.code == 0
        assert "undone  Pod shop/checkout-1" in ran.out

    async def test_release_of_one_that_was_terminated(self, firebreak: Firebreak, start: Start, client: Client) -> None:
        incident = await start()
        handle = client.get_workflow_handle(incident)
        await handle.signal("progress", PathProgress(path=Chain.POD, changes=(CHANGE,)))
        await handle.terminate("by hand")
        shown = await firebreak("show", incident)
        assert "terminated" in shown.out
        ran = await firebreak("release", incident)
        assert ran.code == 0
        # Names for people, although no result says what the keys mean.
        assert "undone  Pod shop/checkout-1" in ran.out
        assert CHANGE.key not in ran.out
        assert (await firebreak("release", incident, "--json")).json["undone"] == [CHANGE.key]

    async def test_release_of_one_that_ends_while_it_is_asked(self, firebreak: Firebreak, start: Start) -> None:
        ran = await firebreak("release", await start("closing"), "--json")
        assert ran.code == 0
        assert ran.json["undone"] == [CHANGE.key]

    async def test_release_of_one_that_changed_nothing(self, firebreak: Firebreak, start: Start) -> None:
        ran = await firebreak("release", await start("untouched"))
        assert ran.code == 0
        assert ran.out.splitlines() == ["released; nothing had been changed"]


@pytest.mark.usefixtures("worker")
class TestRecords:
    async def test_a_running_incident_has_a_draft_of_its_report(
        self, firebreak: Firebreak, start: Start, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
    ) -> None:
        # The fake incident names a store that is a folder of the working directory.
        monkeypatch.chdir(tmp_path)
        incident = await start()
        ran = await firebreak("report", incident, "--json")
        assert ran.code == 0
        assert (ran.json["draft"], ran.json["key"]) == (True, None)
        assert incident in ran.json["markdown"]

    async def test_evidence_that_was_never_sealed_does_not_pass(
        self, firebreak: Firebreak, start: Start, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
    ) -> None:
        monkeypatch.chdir(tmp_path)
        incident = await start()
        assert (await firebreak("evidence", "list", incident, "--json")).json["entries"] == []
        ran = await firebreak("evidence", "verify", incident, "--json")
        assert ran.code == 1
        assert ran.json["ok"] is False
        ran = await firebreak("evidence", "get", incident, "../../etc/passwd", "--json")
        assert (ran.code, ran.error["field"]) in ((2, "KEY"), (2, "key"))
